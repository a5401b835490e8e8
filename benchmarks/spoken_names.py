"""Names of people in spoken sentences, and sentences without any: what `benchmarks.hotwords` listens to.

Needs `pip install faker`, whose lists of names by country are drawn from.
"""

from __future__ import annotations

import importlib
import random
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.voices import Sound, Voice, load_voice, speak_once, write_flac

COUNTRIES = ("en_US", "en_GB", "en_IE", "en_IN", "de_DE", "fr_FR", "es_ES", "it_IT", "nl_NL", "sv_SE", "tr_TR", "fi_FI")

SENTENCES = (
    "Call {}.",
    "Please call {} now.",
    "Send a message to {}.",
    "Remind me to phone {} tomorrow.",
    "Is {} coming to dinner on Friday?",
    "Put {} on the guest list.",
    "What did {} say about the meeting?",
    "Add a birthday present for {} to the shopping list.",
    "When is the train of {} going to arrive?",
    "Tell {} that we are late.",
    "I want to talk to {} this evening.",
    "Who is {}?",
)

_ORDINARY = Path(__file__).with_name("other-intents-en.txt")


class Clip(NamedTuple):
    """A sentence that was spoken: float32 [n], 16 kHz."""

    samples: Sound
    text: str
    name: str
    """The name in it; empty where there is none."""


def names(count: int, seed: int) -> list[str]:
    """So many different names in the letters a to z: whole ones, first names and surnames."""
    draw = random.Random(seed)
    pools = []
    for country in COUNTRIES:
        provider = importlib.import_module(f"faker.providers.person.{country}").Provider
        pools.append((_plain(provider.first_names), _plain(provider.last_names)))
    found: dict[str, None] = {}
    while len(found) < count:
        first, last = draw.choice(pools)
        given, family, kind = draw.choice(first), draw.choice(last), draw.random()
        found[f"{given} {family}" if kind < 0.5 else given if kind < 0.75 else family] = None
    return list(found)


def with_names(said: Sequence[str], seed: int) -> list[tuple[str, str]]:
    """Each name in a sentence: (text, name)."""
    draw = random.Random(seed)
    return [(draw.choice(SENTENCES).format(name), name) for name in said]


def ordinary() -> list[tuple[str, str]]:
    """Sentences without a name of anybody's."""
    lines = _ORDINARY.read_text(encoding="utf-8").splitlines()
    return [(f"{line[0].upper()}{line[1:]}.", "") for line in lines if line and not line.startswith("#")]


def spoken(folder: Path, voice_name: str, texts: Sequence[tuple[str, str]]) -> Iterator[Clip]:
    """The texts (text, name) as sound, which is made where it is not in the folder yet."""
    voice: Voice | None = None
    for text, name in texts:
        file = folder / voice_name / f"{zlib.crc32(text.encode()):08x}.flac"
        if voice is None and not file.is_file():
            voice = load_voice(voice_name)
        samples = speak_once(file, voice, text) if voice is not None else speak_once(file, _silent, text)
        if not file.is_file():
            write_flac(file, samples)
        yield Clip(samples, text, name)


def _silent(text: str) -> Sound:
    raise AssertionError(f"{text!r} was spoken before")


def _plain(entries: Sequence[str]) -> list[str]:
    return sorted({one for one in entries if one.isascii() and one.isalpha() and len(one) > 3})
