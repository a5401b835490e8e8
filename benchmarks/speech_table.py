"""Words (or Chinese characters) wrong, processor time and memory of the speech models, beside the program that others
run them with.

    python -m benchmarks.speech_table MODELS_FOLDER [--models NAME ...] [--sets NAME ...] [--clips N] [--memory]

MODELS_FOLDER holds a folder for each model, as `agentbox models pull` makes them. Both programs hear every clip, one
thread each, now one first and now the other; counted is processor time, since other work only makes the clock longer,
and the ratio is the median over the clips. Errors are counted as `agentbox.bench.words` says; for Chinese, traditional
characters are made simplified ones first, in what either program wrote. Where no one tells what is said, the text is
what two models of different families wrote alike (`JUDGES`), and neither of these is held to it. `--memory`: what
loading and three clips take at their height, each in a process of its own.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agentbox.bench.words import Errors, character_errors, normal_characters, normal_words, word_errors
from benchmarks.rivals import OURS, Decode, ours, rival, rival_name
from benchmarks.speech_clips import Said, sets

MODELS = ("moonshine-tiny-en", "moonshine-base-en", "whisper-base", "whisper-small")
JUDGES = ("moonshine-base-en", "whisper-small")


@dataclass
class Row:
    """One model on one set: of each program the texts and the seconds, clip by clip."""

    model: str
    clips: list[Said]
    texts: dict[str, list[str]] = field(default_factory=dict)
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def rtf(self, program: str) -> float:
        """Processor seconds for each second of sound."""
        return sum(self.seconds[program]) / sum(clip.seconds for clip in self.clips)

    def ratio(self) -> float:
        mine, theirs = self.seconds.values()
        return statistics.median(a / b for a, b in zip(mine, theirs, strict=True))

    def same(self) -> int:
        """In how many clips both wrote the same, but for punctuation."""
        mine, theirs = self.texts.values()
        return sum(normal_characters(a) == normal_characters(b) for a, b in zip(mine, theirs, strict=True))


def hear(row: Row, programs: dict[str, Decode], language: str) -> None:
    """All clips by all programs, in turns. The first clip is heard twice, to warm up."""
    row.texts = {name: [] for name in programs}
    row.seconds = {name: [] for name in programs}
    for decode in programs.values():
        decode(row.clips[0].samples, language)
    for number, clip in enumerate(row.clips):
        order = list(programs.items())
        for name, decode in order if number % 2 else reversed(order):
            started = time.process_time()
            row.texts[name].append(decode(clip.samples, language))
            row.seconds[name].append(time.process_time() - started)


def agreed(rows: Sequence[Row], clip: int) -> str | None:
    """What the judges wrote alike; null where they did not, or one of them did not hear it."""
    heard = [row.texts[OURS][clip] for row in rows if row.model in JUDGES]
    same = len(heard) == len(JUDGES) and len({tuple(normal_words(text)) for text in heard}) == 1
    return heard[0] if same and normal_words(heard[0]) else None


def errors(row: Row, program: str, rows: Sequence[Row], *, chinese: bool) -> Errors | None:
    """Null where there is nothing that the model can be held to."""
    total = Errors(0, 0)
    for at, (clip, heard) in enumerate(zip(row.clips, row.texts[program], strict=True)):
        if clip.source == "agreed" and row.model in JUDGES:
            continue
        said = clip.text or (None if chinese else agreed(rows, at))
        if said:
            total += character_errors(said, simplified(heard)) if chinese else word_errors(said, heard)
    return total if total.words else None


def simplified(text: str) -> str:
    from opencc import OpenCC

    return str(OpenCC("t2s").convert(text))


def peak_mb(folder: Path, program: str) -> float:
    """The most memory (RSS) that a process takes that loads the model and hears three clips of 2, 5 and 10 s."""
    command = [sys.executable, "-m", "benchmarks.speech_table", str(folder), "--measure", program]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])


def _measure(folder: Path, program: str) -> float:
    from benchmarks.nano_speed import sound

    decode = ours(folder) if program == OURS else rival(folder)
    for seconds in (2.0, 5.0, 10.0):
        decode(sound(seconds), "en")
    # Not `getrusage`: there a new process begins with what its parent had.
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def report(rows: Sequence[Row], *, chinese: bool) -> Iterator[str]:
    yield "| model | clips | s | wrong | theirs | s per s | theirs | ratio | same text |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for row in rows:
        mine, theirs = row.texts
        found = [errors(row, name, rows, chinese=chinese) for name in (mine, theirs)]
        wrong = ["" if one is None else f"{one.rate:.1%} of {one.words}" for one in found]
        yield (
            f"| {row.model} ({theirs}) | {len(row.clips)} | {sum(clip.seconds for clip in row.clips):.0f} "
            f"| {wrong[0]} | {wrong[1]} | {row.rtf(mine):.3f} | {row.rtf(theirs):.3f} | {row.ratio():.2f} "
            f"| {row.same()} |"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--models", nargs="*", default=MODELS)
    parser.add_argument("--sets", nargs="*", default=["commands", "words", "telephone", "read", "chinese"])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--clips", type=int, default=20, help="at most so many of each English set")
    parser.add_argument("--texts", action="store_true", help="say what was written where it is wrong")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.measure:
        print(_measure(options.folder, options.measure))
        return 0
    found = {name: list(sets(options.data)[name](options.clips)) for name in options.sets}
    rows: dict[str, list[Row]] = {name: [] for name in found}
    for model in options.models:
        folder = options.folder / model
        programs = {OURS: ours(folder), rival_name(folder): rival(folder)}
        for name, clips in found.items():
            if name == "chinese" and not model.startswith("whisper"):
                continue
            row = Row(model, clips)
            hear(row, programs, "zh" if name == "chinese" else "en")
            rows[name].append(row)
            print(name, *list(report([row], chinese=name == "chinese"))[2:], file=sys.stderr, flush=True)
    for name, heard in rows.items():
        print(f"\n{name}\n", *report(heard, chinese=name == "chinese"), sep="\n", flush=True)
        if options.texts:
            for row in heard:
                for clip, *texts in zip(row.clips, *row.texts.values(), strict=True):
                    print(row.model, clip.name, clip.text, *texts, sep=" | ")
    for model in options.models if options.memory else ():
        folder = options.folder / model
        mine, theirs = (peak_mb(folder, name) for name in (OURS, rival_name(folder)))
        print(f"{model}: {mine:.0f} MB, {rival_name(folder)} {theirs:.0f} MB, ratio {mine / theirs:.2f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
