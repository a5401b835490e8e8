"""Words as sequences of sounds, and how far two sequences are from each other.

A sound is one character of a key. Of Latin letters: the consonants and three kinds of vowels that `phonetics` makes of
a spelling. Of Chinese: each syllable is two sounds, its initial and its final, in characters of their own, so that
scripts never mix by chance.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import islice, product
from typing import NamedTuple

from agentbox.phonetics import Syllable, sound_of, spoken_letters, syllables_of

_LETTER = r"(?:(?![\u3400-\u9fff])[^\W_])"
_POSSESSIVE = r"['’][sS](?![^\W_])"
_WORD = re.compile(rf"([\u3400-\u9fff]|{_LETTER}+(?:(?!{_POSSESSIVE})['’]{_LETTER}+)*)(?:{_POSSESSIVE})?")
_BEHIND = re.compile(_POSSESSIVE)

_MOST_READINGS = 4
"""Of words with characters that are said in several ways, so many ways are known."""

_INITIALS = ("", *"bpmfdtnlgkhjqxrzcsyw", "zh", "ch", "sh")
_FIRST_INITIAL = 0xE000
_FIRST_FINAL = 0xE100
_FINALS = (
    *("", "a", "ai", "an", "ao", "e", "ei", "en", "er", "i", "ia", "ian", "iao", "ie", "in", "iong", "iu"),
    *("o", "ong", "ou", "u", "ua", "uai", "uan", "ue", "ui", "un", "uo"),
)
_FOLDED = str.maketrans({"ł": "l", "ø": "o", "đ": "d", "ð": "d", "þ": "t", "æ": "a", "œ": "o", "ß": "s", "ı": "i"})

_VOWELS = frozenset("aio")
_PAIRS = {frozenset(pair): cost for pair, cost in (("bp", 0.3), ("dt", 0.3), ("gk", 0.3), ("vf", 0.3), ("zs", 0.3))}
_PAIRS |= {frozenset(pair): cost for pair, cost in (("SJ", 0.5), ("sS", 0.4), ("zS", 0.5), ("mn", 0.4), ("lr", 0.6))}
_PAIRS |= {frozenset(pair): cost for pair, cost in (("vw", 0.5), ("vb", 0.5), ("ai", 0.4), ("ao", 0.35), ("io", 0.5))}
_PAIRS |= {frozenset(pair): cost for pair, cost in (("zJ", 0.5), ("dJ", 0.6), ("tJ", 0.5), ("kJ", 0.7))}

BLURRED = 0.25
"""What it costs that an initial or a final is one that many speakers do not tell from the other."""

_OTHER = 0.6
"""What it costs that an initial or a final is another one; a whole syllable costs 1."""


class Word(NamedTuple):
    """A word of a text, or one Chinese character: `text[start:end]`."""

    text: str
    start: int
    end: int


def words_of(text: str) -> list[Word]:
    """The words of `text`: runs of letters and digits, and single Chinese characters; in lower case. An "'s" at the end
    is no part of a word."""
    return [Word(found[1].lower(), found.start(1), found.end(1)) for found in _WORD.finditer(text)]


def past_possessive(text: str, at: int) -> int:
    """Where the "'s" ends that stands in `text` at `at`; `at` where none does."""
    found = _BEHIND.match(text, at)
    return at if found is None else found.end()


def is_chinese(word: str) -> bool:
    """Whether a word of `words_of` is a Chinese character."""
    return "\u3400" <= word[0] <= "\u9fff"


def coarse_keys(words: Sequence[str]) -> Iterator[str]:
    """The ways `words` may be said, as keys in which easily confused sounds are one; the usual way first."""
    ways = [_coarse(word) for word in words]
    yield from dict.fromkeys("".join(parts) for parts in islice(product(*ways), _MOST_READINGS))


@lru_cache(maxsize=65_536)
def _coarse(word: str) -> tuple[str, ...]:
    if not is_chinese(word):
        return (sound_of(plain(word)),)
    return tuple(dict.fromkeys(_as_characters(one.blurred) for one in syllables_of(word))) or (word,)


def _as_characters(syllable: Syllable) -> str:
    initial, final = _INITIALS.index(syllable.initial), _FINALS.index(syllable.final)
    return chr(_FIRST_INITIAL + initial) + chr(_FIRST_FINAL + final)


def likeness(heard: Sequence[str], meant: Sequence[str]) -> float:
    """How alike two runs of words sound, 0..1."""
    if all(map(is_chinese, heard)) and all(map(is_chinese, meant)):
        return _syllable_likeness(tuple(heard), tuple(meant))
    return _letter_likeness(letters_of(heard), letters_of(meant))


def letters_of(words: Sequence[str]) -> str:
    """The finer key of words in Latin letters; Chinese among them stands there in pinyin."""
    return spoken_letters("".join(_pinyin(word) if is_chinese(word) else plain(word) for word in words))


@lru_cache(maxsize=65_536)
def plain(word: str) -> str:
    """Without accents and apostrophes, as a recogniser for English writes it."""
    parts = unicodedata.normalize("NFKD", word.translate(_FOLDED))
    return "".join(part for part in parts if part not in "'’" and not unicodedata.combining(part))


def _pinyin(character: str) -> str:
    return next(("".join(one) for one in syllables_of(character)), character)


@lru_cache(maxsize=16_384)
def _letter_likeness(heard: str, meant: str) -> float:
    longest = max(len(heard), len(meant))
    if not longest:
        return 0.0
    row = [0.0]
    for sound in meant:
        row.append(row[-1] + _dropped(sound))
    for one in heard:
        before, row = row, [row[0] + _dropped(one)]
        for at, other in enumerate(meant, 1):
            same = before[at - 1] + (0.0 if one == other else _PAIRS.get(frozenset((one, other)), 1.0))
            row.append(min(same, before[at] + _dropped(one), row[at - 1] + _dropped(other)))
    alike = max(0.0, 1 - row[-1] / longest)
    # The beginning of a name is what is misheard least.
    return alike if heard[:1] == meant[:1] else alike * 0.95


def _dropped(sound: str) -> float:
    return 0.5 if sound in _VOWELS or sound in "rh" else 0.9


@lru_cache(maxsize=16_384)
def _syllable_likeness(heard: tuple[str, ...], meant: tuple[str, ...]) -> float:
    row = [float(at) for at in range(len(meant) + 1)]
    for one in heard:
        before, row = row, [row[0] + 1]
        for at, other in enumerate(meant, 1):
            same = before[at - 1] + _apart(one, other)
            row.append(min(same, before[at] + 1, row[at - 1] + 1))
    return max(0.0, 1 - row[-1] / max(len(heard), len(meant), 1))


@lru_cache(maxsize=65_536)
def _apart(one: str, other: str) -> float:
    """How far two characters are from each other, 0..1, by those of their readings that are nearest."""
    if one == other:
        return 0.0
    pairs = product(syllables_of(one), syllables_of(other))
    return min((_distance(a, b) for a, b in pairs), default=1.0)


def _distance(one: Syllable, other: Syllable) -> float:
    a, b = one.blurred, other.blurred
    parts = ((one.initial, other.initial, a.initial, b.initial), (one.final, other.final, a.final, b.final))
    return min(1.0, sum(0.0 if x == y else BLURRED if p == q else _OTHER for x, y, p, q in parts))
