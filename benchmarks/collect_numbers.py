"""Numbers, times and dates in real voices: makes the sets numbers and timers in OUT.

    python -m benchmarks.collect_numbers OUT

- numbers, with sentences of its own: a few recordings of people saying dates and numbers (AN4, TIDIGITS, pocketsphinx),
  and times, dates and amounts joined from the Asterisk prompts' single words.
- timers, for the built-in sentences: "time for ten minutes" and the like, joined in the same way.

What is joined is said word by word, each with the tune of a word that stands alone: harder than speech in some ways,
easier in others, and all of one speaker. It is real sound for the numbers' names, and nothing more is claimed for it.
"""

from __future__ import annotations

import argparse
import random
import shutil
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from agentbox.bench.asr import PROMPTS
from agentbox.intents.understand import Understander
from agentbox.messages import SAMPLE_RATE_HZ
from benchmarks.make_builtin_commands import builtin_understander
from benchmarks.packages import fetch_sdist, prompt_texts, read_g722, read_sound
from benchmarks.sets import Clip, Command, SpeechSet, rightly_understood
from benchmarks.voices import PEAK, Sound, pad

SENTENCES = Path(__file__).parent / "numbers-en.yaml"

INTENTS = (
    *("SayTime", "SayPercent", "SayDate", "SayDuration"),
    *("SayThreeNumbers", "SayFourNumbers", "SayFiveDigits"),
)

ESPNET, POCKETSPHINX = "espnet==202611", "pocketsphinx==5.1.1"

MONTHS = "january february march april may june july august september october november december".split()  # noqa: SIM905
DAYS = "sunday monday tuesday wednesday thursday friday saturday".split()  # noqa: SIM905

GAP_MS = 60
"""Between two joined words."""

SPOKEN = {
    "an4_clstk/fbbh/cen8-fbbh-b": Command(
        "march third nineteen twenty eight", "SayDate", {"month": "march", "day_of_month": 3, "century": 19, "year": 28}
    ),
    "an4test_clstk/mmxg/cen8-mmxg-b": Command(
        "october twenty four nineteen seventy",
        "SayDate",
        {"month": "october", "day_of_month": 24, "century": 19, "year": 70},
    ),
    "an4_clstk/mwhw/cen8-mwhw-b": Command(
        "eleven seventeen fifty one", "SayThreeNumbers", {"first": 11, "second": 17, "third": 51}
    ),
    "an4test_clstk/fcaw/cen8-fcaw-b": Command(
        "eleven twenty seven fifty seven", "SayThreeNumbers", {"first": 11, "second": 27, "third": 57}
    ),
    "test/data/numbers.raw": Command(
        "thirty three four six ninety two", "SayFourNumbers", {"first": 33, "second": 4, "third": 6, "fourth": 92}
    ),
    "test/data/tidigits/dhd.2934z.raw": Command(
        "two nine three four zero", "SayFiveDigits", {"first": 2, "second": 9, "third": 3, "fourth": 4, "fifth": 0}
    ),
}
"""Whole recordings, by their file in the package."""


def number_prompts(number: int) -> list[str]:
    """The prompts that say a number up to 100.

    >>> number_prompts(42)
    ['digits/40', 'digits/2']
    """
    if number == 100:
        return ["digits/1", "digits/hundred"]
    if number <= 20 or number % 10 == 0:
        return [f"digits/{number}"]
    return [f"digits/{number // 10 * 10}", f"digits/{number % 10}"]


def ordinal_prompts(number: int) -> list[str]:
    """The prompts that say a day of the month.

    >>> ordinal_prompts(31)
    ['digits/30', 'digits/h-1']
    """
    if number <= 20 or number % 10 == 0:
        return [f"digits/h-{number}"]
    return [f"digits/{number // 10 * 10}", f"digits/h-{number % 10}"]


Joined = tuple[list[str], str, dict[str, object]]
"""Prompts, intent, slots."""


def joined_numbers(rng: random.Random) -> Iterator[Joined]:
    """Times, percents, dates and durations, chosen by `rng`."""
    for _ in range(60):
        hour, minute = rng.randint(1, 12), rng.choice([0] * 10 + list(range(1, 60)))
        said = number_prompts(hour)
        slots: dict[str, object] = {"hour": hour}
        if minute == 0:
            said += ["digits/oclock"]
        else:
            said += (["digits/oh"] if minute < 10 else []) + number_prompts(minute)
            slots["minute"] = minute
        if minute and (period := rng.choice(["", "a", "p"])):
            said, slots["period"] = [*said, f"digits/{period}-m"], f"{period}m"
        if (day := rng.randrange(12)) < 9:
            names = [*DAYS, "today", "tomorrow"]
            said = [*said, f"digits/day-{day}" if day < 7 else f"digits/{names[day]}"]
            slots["day"] = names[day]
        yield said, "SayTime", slots
    for percent in rng.sample(range(1, 101), 40):
        yield [*number_prompts(percent), "letters/ascii37"], "SayPercent", {"percent": percent}
    for _ in range(40):
        month, day = rng.randrange(12), rng.randint(1, 31)
        slots = {"month": MONTHS[month], "day_of_month": day}
        yield [f"digits/mon-{month}", *ordinal_prompts(day)], "SayDate", slots
    for said, slots in joined_durations(rng, 40):
        yield said, "SayDuration", slots


def joined_durations(rng: random.Random, count: int) -> Iterator[tuple[list[str], dict[str, object]]]:
    """Lengths of time of one or two parts, with their slots."""
    units = ("hours", "minutes", "seconds")
    for _ in range(count):
        first = rng.choice([0, 1, 1, 1, 2])
        parts = [(units[first], rng.randint(2, 12 if first == 0 else 60))]
        if first < 2 and rng.random() < 0.4:
            parts.append((units[first + 1], rng.randint(2, 59)))
        said: list[str] = []
        for unit, number in parts:
            said += [*(["vm-and"] if said else []), *number_prompts(number), unit]
        yield said, dict(parts)


def join(words: Sequence[Sound], gap_ms: int = GAP_MS) -> Sound:
    """Words without the silence around each, with `gap_ms` between them; float32 [n], the loudest at `PEAK`."""
    gap = np.zeros(gap_ms * SAMPLE_RATE_HZ // 1000, np.float32)
    pieces = [piece for word in words for piece in (gap, trim(word))][1:]
    whole = np.concatenate(pieces)
    return np.asarray(whole * (PEAK / float(np.abs(whole).max())), np.float32)


def trim(word: Sound, below_db: float = 40.0, frame: int = 160) -> Sound:
    """Cut leading and trailing frames more than `below_db` under the loudest one."""
    levels = np.square(word[: len(word) // frame * frame].reshape(-1, frame)).mean(axis=1)
    loud = np.flatnonzero(levels > levels.max() * 10 ** (-below_db / 10))
    return word[loud[0] * frame : (loud[-1] + 1) * frame]


def joined_clips(joined: Sequence[Joined], understander: Understander) -> Iterator[Clip]:
    texts = prompt_texts()
    recordings: dict[str, Sound] = {}
    commands = {}
    for said, intent, slots in joined:
        text = " ".join(texts[name].lower().replace(".", "") for name in said)
        commands[text] = Command(text, intent, slots), said
    kept = rightly_understood([command for command, _ in commands.values()], understander)
    for command in kept:
        said = commands[command.text][1]
        for name in said:
            recordings.setdefault(name, read_g722(PROMPTS / f"{name}.g722"))
        sound = pad(join([recordings[name] for name in said]))
        source = "asterisk-core-sounds-en-g722, joined"
        yield Clip(f"joined {command.text}", sound, command.text, source, "real", command)


def whole_clips(understander: Understander) -> Iterator[Clip]:
    """Recordings of whole utterances."""
    an4 = fetch_sdist(ESPNET) / "egs2/mini_an4/asr1"
    if not (an4 / "downloads").is_dir():
        with tarfile.open(an4 / "downloads.tar.gz") as packed:
            packed.extractall(an4, filter="data")
    right = rightly_understood(list(SPOKEN.values()), understander)
    for file, command in SPOKEN.items():
        if command not in right:
            continue
        if file.startswith("an4"):
            source, path = ESPNET, an4 / "downloads/an4/wav" / f"{file}.sph"
        else:
            source, path = POCKETSPHINX, fetch_sdist(POCKETSPHINX) / file
        yield Clip(
            f"whole {command.text}", pad(read_sound(path, 20)), command.text, f"{source} {file}", "real", command
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    rng = random.Random(given.seed)
    own = Understander("en", builtin=False, owner_files=[SENTENCES], intents=set(INTENTS))
    for problem in own.problems:
        print(problem.what)
    numbers = SpeechSet(given.out / "numbers")
    for clip in [*whole_clips(own), *joined_clips(list(joined_numbers(rng)), own)]:
        numbers.add(clip)
    numbers.close()
    shutil.copyfile(SENTENCES, numbers.folder / "sentences.yaml")
    timers = SpeechSet(given.out / "timers")
    lengths: list[Joined] = [
        (["time", "for", *said], "HassStartTimer", slots) for said, slots in joined_durations(rng, 60)
    ]
    for clip in joined_clips(lengths, builtin_understander()):
        timers.add(clip)
    timers.close()


if __name__ == "__main__":
    main()
