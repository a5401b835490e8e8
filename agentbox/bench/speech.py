"""Benchmark of the box's voice: how soon it is heard, what it costs, and whether it is understood.

What it says are the box's own replies, of all kinds, with drawn values. The memory is that of a process of its own:
`python -m agentbox.bench.speech CACHE`.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import string
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soxr

from agentbox.asr.engine import Engine
from agentbox.bench.memory import pss_mb
from agentbox.bench.words import Errors, word_errors
from agentbox.config import Speech
from agentbox.inference import return_free_memory
from agentbox.messages import SAMPLE_RATE_HZ
from agentbox.tools.phrases import Phrases, load
from agentbox.tts.engine import Samples, Voice
from agentbox.tts.load import load_voice
from agentbox.tts.narrator import Narrator

_NOW = datetime(2026, 11, 21, 9, 5)  # noqa: DTZ001 (a wall clock on the kitchen wall has no zone)


class _Values(NamedTuple):
    """What replies are filled with."""

    things: tuple[str, ...]
    names: tuple[str, ...]
    deeds: tuple[str, ...]
    lists: tuple[str, ...]


_VALUES = {
    "en": _Values(
        ("milk", "two dozen eggs", "sourdough bread", "olive oil", "a birthday card", "batteries", "washing powder"),
        ("pizza", "laundry", "tea", "bread", "Saturday", "work"),
        ("call the dentist", "water the plants", "take the bins out", "feed the cat next door"),
        ("shopping list", "to-do list", "party list"),
    ),
    "zh": _Values(
        ("牛奶", "两打鸡蛋", "面包", "橄榄油", "生日贺卡", "电池", "洗衣粉"),
        ("披萨", "洗衣", "茶", "面包", "周六", "上班"),
        ("给牙医打电话", "给花浇水", "倒垃圾", "喂隔壁的猫"),
        ("购物清单", "待办清单", "聚会清单"),
    ),
}


class Said(NamedTuple):
    """One reply, said."""

    text: str
    sound: Samples
    first_ms: float
    """From the text to the first piece of sound."""
    spent_ms: float
    """Until all of it was made."""


@dataclass(frozen=True, slots=True)
class Memory:
    """PSS, MB: what a voice adds, loaded, after it has spoken, and at rest."""

    loaded_mb: float
    spoken_mb: float
    resting_mb: float


def replies(count: int, seed: int = 1, language: str = "en") -> list[str]:
    """`count` different replies in one of `phrases.LANGUAGES`: one of each kind, as far as they go, then any."""
    draw = random.Random(seed)
    phrases = Phrases(language)
    kinds = sorted((key, text) for key, text in load(language).items() if "." not in key)
    each_once = draw.sample(kinds, len(kinds))
    found: dict[str, None] = {}
    while len(found) < count:
        key, template = each_once.pop() if each_once else draw.choice(kinds)
        names = {name for _, name, _, _ in string.Formatter().parse(template) if name}
        text = phrases.say(key, **{name: _value(name, phrases, draw) for name in sorted(names)}).strip()
        if len(text) > 5 and "…" not in text and (language != "en" or " " in text):
            found[text] = None
    return list(found)


def _value(name: str, phrases: Phrases, draw: random.Random) -> str:
    grammar, values = phrases.grammar, _VALUES[phrases.language]
    moment = _NOW + timedelta(minutes=draw.randrange(14 * 24 * 60))
    made: dict[str, Callable[[], str]] = {
        "duration": lambda: grammar.duration(draw.choice([30, 60, 90, 600, 2700, 5400, 86_400, draw.randrange(9_000)])),
        "late": lambda: grammar.duration(60 * draw.randrange(1, 300)),
        "time": lambda: grammar.time(moment),
        "date": lambda: grammar.calendar_day(moment.date()),
        "when": lambda: grammar.when(moment, _NOW),
        "percent": lambda: str(draw.randrange(101)),
        "name": lambda: draw.choice(values.names),
        "item": lambda: draw.choice(values.things),
        "items": lambda: grammar.join(draw.sample(values.things, draw.randrange(1, 5))),
        "list": lambda: draw.choice(values.lists),
    }
    return made.get(name, lambda: draw.choice(values.deeds))()


def say(voice: Voice, texts: Sequence[str], language: str = "en") -> list[Said]:
    """Each of `texts` said for the first time, one after the other."""
    narrator = Narrator(voice, language, remembered_bytes=0)

    async def each(text: str) -> Said:
        began_s = time.perf_counter()
        first_ms = 0.0
        sounds = []
        async for sound in narrator.say(text):
            first_ms = first_ms or (time.perf_counter() - began_s) * 1000
            sounds.append(sound)
        return Said(text, np.concatenate(sounds), first_ms, (time.perf_counter() - began_s) * 1000)

    async def every() -> list[Said]:
        return [await each(text) for text in texts]

    return asyncio.run(every())


def heard(engine: Engine, voice: Voice, said: Sequence[Said], language: str = "en") -> list[tuple[Said, str, Errors]]:
    """What `engine` makes of each, and the words it has wrong."""
    found = []
    for one in said:
        text = written(engine, one.sound, voice.sample_rate_hz, language)
        found.append((one, text, word_errors(_spelled(one.text), _spelled(text))))
    return found


def written(engine: Engine, sound: Samples, rate_hz: int, language: str = "en") -> str:
    """What `engine` makes of a voice's sound."""
    quiet = np.zeros(SAMPLE_RATE_HZ // 4, dtype=np.float32)
    speech = soxr.resample(sound.astype(np.float32) / 32768.0, rate_hz, SAMPLE_RATE_HZ)
    return engine.transcribe(np.concatenate([quiet, speech, quiet]), language=language).text


def _spelled(text: str) -> str:
    """In the one way of several in which the same may be written."""
    text = re.sub(r"(?i)\bcancelled\b", "canceled", text)
    return re.sub(r"\b([A-Z][a-z]+ \d{1,2})(?:st|nd|rd|th)\b", r"\1", text)


def memory(cache: Path) -> Memory:
    """What the English voice adds to a process."""
    command = [sys.executable, "-P", "-m", __name__, str(cache)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return Memory(**json.loads(done.stdout))


def _measured(cache: Path) -> Memory:
    # Once, that its files are there and everything that it shares with the rest of the box is loaded.
    load_voice(Speech(voice="hibari"), "en", cache).close()
    return_free_memory()
    before_mb = pss_mb()
    voice = load_voice(Speech(voice="hibari"), "en", cache)
    loaded_mb = pss_mb()
    say(voice, replies(20))
    spoken_mb = pss_mb()
    return_free_memory()
    return Memory(loaded_mb - before_mb, spoken_mb - before_mb, pss_mb() - before_mb)


if __name__ == "__main__":
    print(json.dumps(asdict(_measured(Path(sys.argv[1])))))
