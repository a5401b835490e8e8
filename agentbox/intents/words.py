"""Words of a text and of a template, cut the same way on both sides, so they can be laid next to each other."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from agentbox.intents.chinese import CJK

# Scripts written without spaces are cut into characters: CJK, and Thai, Lao, Burmese, Khmer.
_SINGLE = CJK + "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
_WORD = re.compile(rf"[{_SINGLE}]|\d+|(?:(?![{_SINGLE}])[^\W\d_])+")
_SINGLE_CHARACTER = re.compile(f"[{_SINGLE}]")


class Word(NamedTuple):
    """One word of a text: its case-folded form, and where it stands in the text (`text[start:end]`)."""

    text: str
    start: int
    end: int


class Pieces(NamedTuple):
    """The words of one literal piece of a template, and whether its first and last may be parts of longer words."""

    words: tuple[str, ...]
    first: frozenset[str]
    """The first word, if there is one."""
    joins_before: bool
    joins_after: bool


def words_of(text: str) -> list[Word]:
    """The words of `text`: runs of letters, runs of digits, single characters of scripts without spaces.

    Everything else parts words and is not heard: spaces, hyphens, apostrophes, punctuation, `%`.
    """
    return [Word(found[0].casefold(), found.start(), found.end()) for found in _WORD.finditer(text)]


@lru_cache(maxsize=8192)
def pieces_of(literal: str) -> Pieces:
    """The words of a template's literal piece. In `hour[s]`, "hour" joins what comes after and "s" what is before."""
    found = list(_WORD.finditer(literal))
    if not found:
        return Pieces((), frozenset(), not literal, not literal)
    first, last = found[0], found[-1]
    words = tuple(word[0].casefold() for word in found)
    return Pieces(
        words,
        frozenset(words[:1]),
        first.start() == 0 and not is_single(first[0]),
        last.end() == len(literal) and not is_single(last[0]),
    )


def is_single(word: str) -> bool:
    """Whether `word` is a character of a script without spaces, which never joins its neighbours to one word."""
    return _SINGLE_CHARACTER.match(word) is not None
