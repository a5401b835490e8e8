"""Hours of synthetic talk without any wake phrase: what `agentbox bench wake --synthetic` counts false accepts on.

    python -m benchmarks.make_negative_talk OUT --hours 30 --without alexa --without computer \
        --noise kitchen-noise.flac --noise hold-music.g722

Sentences come from text that Debian packages (fortunes, wordnet-base, bible-kjv-text) and a folder of the reader's own,
and from commands of home-assistant-intents; with `--near-misses`, instead, from words that look like the phrases (of
wamerican's list): "service" for "Jarvis". A sentence with a word that begins with a phrase is left out: "computers"
begins with the sound of "computer".
Voices: espeak-ng (apt), flite (apt) and hibari-tts (pip); each that is installed is used, at many speeds and pitches.
Each file is about a minute of sentences with pauses, in the same place: clean, or in noise or music at -5 to 30 dB.

Every file depends on the seed and its own number only, so a broken-off run goes on where it stopped, and parts can be
made side by side (`--first`, `--step`).
"""

from __future__ import annotations

import argparse
import gzip
import io
import random
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

Sound: TypeAlias = NDArray[np.float32]
Say: TypeAlias = Callable[[str, random.Random], Sound]

RATE_HZ = 16_000
FILE_S = 60.0
TEXTS = (
    Path("/usr/share/games/fortunes"),
    Path("/usr/share/wordnet"),
    Path("/usr/share/doc/bible-kjv-text"),
)
WORDS = Path("/usr/share/dict/american-english")
NEAR_MISSES = 60
"""Words most like each phrase that sentences are made of."""

CLEAN = 0.25
"""Share of files without noise."""

_SENTENCE = re.compile(r"[A-Z][A-Za-z ,;'-]{12,120}[.!?]")
_EXAMPLE = re.compile(r'"([A-Za-z][A-Za-z ,\'-]{12,100})"')
_FRAMES = (
    "{}",
    "{}.",
    "{}, please.",
    "{} is what I said.",
    "The {}.",
    "{} and then we go.",
    "Is it {}?",
    "A {} again.",
)
_NAMES = (
    "kitchen",
    "bedroom",
    "living room",
    "desk lamp",
    "garage door",
    "radio",
    "garden lights",
    "milk",
    "ceiling fan",
)
_VARIANTS = ("m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "f1", "f2", "f3", "f4", "f5", "klatt4", "steph", "rob")
_ACCENTS = ("en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-029")
_FLITE = ("kal16", "awb", "rms", "slt")


# Texts


def sentences(folders: Sequence[Path]) -> list[str]:
    """All plain sentences in the text files under `folders`, each once."""
    found: dict[str, None] = {}
    for path in sorted(path for folder in folders for path in folder.rglob("*") if path.is_file()):
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8", "ignore")
        if path.name.startswith("data."):  # wordnet keeps its examples in quotes
            found |= dict.fromkeys(_EXAMPLE.findall(text))
        elif "\0" not in text:
            found |= dict.fromkeys(_SENTENCE.findall(re.sub(r"\s+", " ", text)))
    return list(found)


def commands(rng: random.Random, count: int) -> list[str]:
    """Spoken commands, drawn from the templates of home-assistant-intents; none where it is not installed."""
    try:
        from home_assistant_intents import get_intents
    except ImportError:
        return []
    known: dict[str, Any] = dict(get_intents("en") or {})
    blocks = [block for intent in known["intents"].values() for block in intent["data"]]
    found: dict[str, None] = {}
    for _ in range(4 * count):
        block = rng.choice(blocks)
        rules = known["expansion_rules"] | block.get("expansion_rules", {})
        text = " ".join(draw(rng.choice(block["sentences"]), rules, known["lists"], rng).split())
        if re.fullmatch(r"[A-Za-z0-9 ,'%-]{8,120}", text):
            found[text] = None
    return list(found)[:count]


def draw(template: str, rules: dict[str, str], lists: dict[str, Any], rng: random.Random) -> str:
    """One random sentence of a hassil template; the inmost bracket first."""
    while found := re.search(r"\[([^][()]*)\]|\(([^][()]*)\)|<(\w+)>|\{([\w:]+)\}", template):
        optional, group, rule, name = found.groups()
        if rule is not None:
            said = f"({rules.get(rule, '')})"
        elif name is not None:
            said = rng.choice(_values(lists.get(name.split(":")[0], {}), rng))
        elif optional is not None and rng.random() < 0.6:
            said = ""
        else:
            said = rng.choice(re.split(r"[|;]", optional if group is None else group))
        template = template[: found.start()] + said + template[found.end() :]
    return template


def _values(said: dict[str, Any], rng: random.Random) -> list[str]:
    if "range" in said:
        return [str(rng.randint(said["range"]["from"], said["range"]["to"]))]
    values = [value if isinstance(value, str) else value["in"] for value in said.get("values", ())]
    return values or list(_NAMES)


def near_misses(phrases: Sequence[str], words: Path, rng: random.Random) -> list[str]:
    """Short sentences with words whose letters are much like those of a phrase, and with its parts."""
    known = (
        [word for word in words.read_text().split() if re.fullmatch(r"[A-Za-z]{3,14}", word)] if words.is_file() else []
    )
    found = []
    for phrase in phrases:
        letters = re.sub("[^a-z]", "", phrase.lower())
        alike = sorted(known, key=lambda word: -Levenshtein.normalized_similarity(word.lower(), letters))
        for word in alike[:NEAR_MISSES]:
            found += [frame.format(word) for frame in rng.sample(_FRAMES, 3)]
    return found


def allowed(text: str, phrases: Sequence[str]) -> bool:
    """Whether no phrase is said in `text`, nor a word that begins with one."""
    words = re.findall(r"[a-z0-9']+", text.lower())
    plain = " " + " ".join(words)
    pairs = {first + second for first, second in pairwise(words)}
    return not any(f" {phrase.lower()}" in plain or phrase.lower().replace(" ", "") in pairs for phrase in phrases)


# Voices


def voices() -> dict[str, Say]:
    """The speech synthesisers that are installed, by name."""
    found: dict[str, Say] = {}
    if shutil.which("espeak-ng"):
        found["espeak-ng"] = _espeak
    if shutil.which("flite"):
        found["flite"] = _flite
    try:
        from hibari import Hibari
    except ImportError:
        return found
    speaker = Hibari()

    def hibari(text: str, rng: random.Random) -> Sound:
        sound = np.asarray(speaker(text, speed=rng.uniform(0.8, 1.35), seed=rng.randrange(1 << 30)), np.float32)
        # Read at another rate the same voice is another person, smaller or larger.
        return _resample(sound, 24_000 * rng.choice((0.82, 0.9, 1.0, 1.0, 1.1, 1.18)))

    found["hibari"] = hibari
    return found


def _espeak(text: str, rng: random.Random) -> Sound:
    voice = f"{rng.choice(_ACCENTS)}+{rng.choice(_VARIANTS)}"
    options = ["-s", str(rng.randint(130, 210)), "-p", str(rng.randint(20, 80)), "-v", voice]
    return _read(subprocess.run(["espeak-ng", "--stdout", *options, text], capture_output=True, check=True).stdout)


def _flite(text: str, rng: random.Random) -> Sound:
    stretch = f"duration_stretch={rng.uniform(0.8, 1.2):.2f}"
    done = subprocess.run(
        ["flite", "-voice", rng.choice(_FLITE), "--setf", stretch, "-t", text, "-o", "/dev/stdout"],
        capture_output=True,
        check=True,
    )
    return _resample(_read(done.stdout), RATE_HZ * rng.choice((0.88, 0.95, 1.0, 1.06, 1.14)))


def _read(data: bytes) -> Sound:
    # Written to a pipe, a WAV header names no length: what follows the header counts.
    body = data[data.index(b"data") + 8 :]
    sound = np.frombuffer(body[: len(body) // 2 * 2], dtype="<i2")
    rate = int.from_bytes(data[24:28], "little")
    return _resample(sound.astype(np.float32) / 32768.0, rate)


def _resample(sound: Sound, rate_hz: float) -> Sound:
    return np.asarray(soxr.resample(sound, rate_hz, RATE_HZ), np.float32)


# Sound


def read_background(path: Path) -> Sound:
    """A file of noise or music, 16 kHz mono; Asterisk's G.722 through `av`."""
    if path.suffix == ".g722":
        import av

        with av.open(str(path), format="g722") as container:
            frames = [frame.to_ndarray().reshape(-1) for frame in container.decode(audio=0)]
        return np.concatenate(frames).astype(np.float32) / 32768.0
    sound, rate = soundfile.read(io.BytesIO(path.read_bytes()), dtype="float32", always_2d=True)
    return _resample(sound.mean(axis=1), rate)


def mix(speech: Sound, background: Sound, snr_db: float, rng: random.Random) -> Sound:
    """`background` from a random place under `speech`, the ratio of their mean powers where there is speech."""
    start = rng.randrange(len(background))
    under = np.resize(np.roll(background, -start), len(speech))
    loud = speech[np.abs(speech) > 0.01]
    power = float(np.square(loud).mean()) if loud.size else 1e-4
    scale = np.sqrt(power / (float(np.square(under).mean()) + 1e-9) / 10 ** (snr_db / 10))
    return np.asarray(speech + under * scale, np.float32)


def make_file(
    rng: random.Random,
    texts: Sequence[Sequence[str]],
    weights: Sequence[int],
    say: dict[str, Say],
    noises: Sequence[Sound],
) -> Sound:
    """A minute of one to three voices with pauses."""
    speakers = [rng.choice(sorted(say)) for _ in range(rng.randint(1, 3))]
    parts: list[Sound] = []
    length = 0
    while length < FILE_S * RATE_HZ:
        text = rng.choice(rng.choices(texts, weights)[0])
        voice = random.Random(rng.randrange(1 << 30))
        spoken = say[rng.choice(speakers)](text, voice)
        if spoken.size == 0:
            continue
        level = 10 ** (rng.uniform(-32, -14) / 20)
        spoken = spoken * (level / (float(np.sqrt(np.square(spoken).mean())) + 1e-6))
        pause = np.zeros(int(rng.uniform(0.15, 1.6) * RATE_HZ), np.float32)
        parts += [spoken, pause]
        length += spoken.size + pause.size
    sound = np.concatenate(parts)
    if noises and rng.random() > CLEAN:
        sound = mix(sound, rng.choice(noises), rng.uniform(-5, 30), rng)
    peak = float(np.abs(sound).max())
    return sound / max(1.0, peak / 0.98)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--hours", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--without", action="append", default=[], help="a wake phrase; may be given often")
    parser.add_argument("--text", type=Path, action="append", default=[], help="a folder of text files")
    parser.add_argument("--noise", type=Path, action="append", default=[], help="a sound file of noise or music")
    parser.add_argument("--near-misses", action="store_true", help="only words that look like a phrase")
    parser.add_argument("--first", type=int, default=0, help="number of the first file")
    parser.add_argument("--step", type=int, default=1, help="make every so manyth file")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    kinds = (
        [(near_misses(options.without, WORDS, rng), 1)]
        if options.near_misses
        else [(sentences([*TEXTS, *options.text]), 8), (commands(rng, 4000), 3)]
    )
    kept = [([text for text in kind if allowed(text, options.without)], weight) for kind, weight in kinds]
    texts, weights = zip(*((kind, weight) for kind, weight in kept if kind), strict=True)
    print(f"{' and '.join(str(len(kind)) for kind in texts)} sentences; voices: {', '.join(voices())}")
    noises = [read_background(path) for path in options.noise]
    say = voices()
    options.out.mkdir(parents=True, exist_ok=True)
    for number in range(options.first, round(options.hours * 3600 / FILE_S), options.step):
        path = options.out / f"talk-{number:05d}.flac"
        if not path.exists():
            sound = make_file(random.Random(f"{options.seed}/{number}"), texts, weights, say, noises)
            part = path.with_suffix(".part")
            soundfile.write(part, sound, RATE_HZ, format="FLAC", subtype="PCM_16")
            part.rename(path)


if __name__ == "__main__":
    main()
