"""How many of an owner's names are written as they are, and what hotwords put into other speech.

    pip install faker
    python -m benchmarks.hotwords FOLDER
    python -m benchmarks.hotwords FOLDER --names 20 --distractors 500 --voice hibari

Names of people from a dozen countries are said in sentences by synthetic voices, and ordinary sentences that hold none
of them. Each clip is heard once, with all names and the distractors as hotwords; what would have been written without
them is known, since what was put right is told. A model that takes names as a hint hears each clip without them, too.
`FOLDER` keeps the sound, so that a second run only listens.
`--real FOLDER` adds recordings in which no name is said, `--prompts` the telephone prompts of `agentbox bench asr`.

`--part 2`, the default, draws other names than those that the weights of `asr.hotwords.evidence` were fitted on, which
is `--part 1`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from agentbox import paths, settings
from agentbox.asr.engine import Recognition
from agentbox.asr.hotwords.index import HotwordIndex
from agentbox.asr.hotwords.sounds import words_of
from agentbox.asr.listener import Listener
from agentbox.asr.load import load_engine
from agentbox.bench.asr import prompts
from agentbox.bench.recordings import as_floats, read_sound, sound_files
from benchmarks.spoken_names import Clip, names, ordinary, spoken, with_names

DISTRACTORS_SEED = 99


@dataclass(slots=True)
class Tally:
    """What came of the clips of one kind."""

    clips: int = 0
    without: int = 0
    """Names written as they are without hotwords."""
    recalled: int = 0
    """The same with them."""
    wrong: list[str] = field(default_factory=list)
    """What was put in that nobody said."""
    took_ms: list[float] = field(default_factory=list)

    def add(self, clip: Clip, heard: Recognition, without: str, hotwords: Sequence[str]) -> None:
        self.clips += 1
        self.without += _holds(without, clip.name)
        self.recalled += _holds(heard.text, clip.name)
        elsewhere = f"{without} {clip.text}"
        if heard.text != without:
            put_in = [one for one in hotwords if _holds(heard.text, one) and not _holds(elsewhere, one)]
            self.wrong += [f"{without} -> {heard.text} ({', '.join(put_in)})"] * bool(put_in)
        if heard.hotwords_ms is not None:
            self.took_ms.append(heard.hotwords_ms)

    def told(self, kind: str) -> str:
        took = sorted(self.took_ms)
        times = f"{median(took):.0f} ms, p95 {took[int(0.95 * (len(took) - 1))]:.0f}" if took else "-"
        recall = f"{self.without / self.clips:.1%} -> {self.recalled / self.clips:.1%}" if self.clips else "-"
        return f"{kind:20} {self.clips:5} clips  names {recall:18} wrong in {len(self.wrong):3}  {times}"


def _before(heard: Recognition) -> str:
    """What was read before names were put right."""
    text = heard.text
    for one in heard.corrections:
        text = text.replace(one.meant, one.heard, 1)
    return text


def _words(text: str) -> list[str]:
    return [word.text for word in words_of(text)]


def _holds(text: str, name: str) -> bool:
    return bool(name) and f" {' '.join(_words(name))} " in f" {' '.join(_words(text))} "


def _recorded(folder: Path) -> Iterable[Clip]:
    for file in sound_files(folder):
        yield Clip(as_floats(read_sound(file)), "", "")


def main() -> None:
    parser = argparse.ArgumentParser(description="Recall and false insertions of hotwords.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--names", type=int, default=200)
    parser.add_argument("--distractors", type=int, default=5000)
    parser.add_argument("--part", type=int, default=2)
    parser.add_argument("--voice", action="append", help="default: hibari and joe")
    parser.add_argument("--real", type=Path, action="append", default=[])
    parser.add_argument("--prompts", action="store_true")
    parser.add_argument("--model", default="moonshine-tiny-en")
    parser.add_argument("--show", action="store_true", help="write each name that was put in and not said")
    asked = parser.parse_args()
    said = names(asked.names, asked.part)
    engine = load_engine(asked.model, "en", paths.models_dir(settings.load().config))
    listener = Listener(engine)
    listener.names.hotwords = HotwordIndex([*said, *names(asked.distractors, DISTRACTORS_SEED)])
    print(f"{len(listener.names.hotwords)} hotwords, {asked.model}")
    kinds: list[tuple[str, Iterable[Clip]]] = []
    for voice in asked.voice or ["hibari", "joe"]:
        kinds.append((f"names, {voice}", spoken(asked.folder, voice, with_names(said, asked.part))))
        kinds.append((f"ordinary, {voice}", spoken(asked.folder, voice, ordinary())))
    kinds += [(f"real, {folder.name}", _recorded(folder)) for folder in asked.real]
    if asked.prompts:
        kinds.append(("real, prompts", [Clip(one.samples, one.text, "") for one in prompts()]))
    for kind, clips in kinds:
        tally = Tally()
        for clip in clips:
            heard = listener.hear(clip.samples, language="en")
            without = _before(heard)
            if engine.capabilities.takes_hotwords:
                without = listener.hear(clip.samples, language="en", names=False).text
            tally.add(clip, heard, without, listener.names.hotwords.hotwords)
        print(tally.told(kind), flush=True)
        if asked.show:
            print("\n".join(f"    {one}" for one in tally.wrong), file=sys.stderr)


if __name__ == "__main__":
    main()
