"""The box's own words in what it heard: the guard against answering itself, behind echo cancelling. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

from rapidfuzz.distance import LCSseq, Levenshtein

ALIKE = 0.7
"""Words at least so alike (of 1) are the same one, heard twice: an echo is heard less well than an owner."""

_WORD = re.compile(r"[\u3400-\u9fff]|[^\W_]+(?:['’][^\W_]+)*")


class Overlap(NamedTuple):
    """How much of what was heard the box said itself."""

    words: int
    """That were heard."""
    share: float
    """Of them, 0 to 1."""
    others: tuple[str, ...]
    """What somebody else may have said amidst it: from the first word that is not the box's on, and the same without
    the box's words at its end. Empty where there is none."""


def overlap(heard: str, own: str) -> Overlap:
    """What of `heard` are the box's `own` words; `own`: all that it said meanwhile."""
    words = list(_WORD.finditer(heard))
    mine = [word.casefold() for word in _WORD.findall(own)]
    # Equal names stand for words that are alike, so that the longest common sequence forgives misheard ones.
    named = [_named(word.group().casefold(), mine) for word in words]
    echoed = {
        at for step in LCSseq.opcodes(named, mine) if step.tag == "equal" for at in range(step.src_start, step.src_end)
    }
    rest = [at for at in range(len(words)) if at not in echoed]
    if not rest:
        return Overlap(len(words), 1.0 if words else 0.0, ())
    begin = words[rest[0]].start()
    end = len(heard) if rest[-1] == len(words) - 1 else words[rest[-1]].end()
    return Overlap(len(words), len(echoed) / len(words), tuple(dict.fromkeys((heard[begin:], heard[begin:end]))))


def begins(heard: str, own: str) -> bool:
    """Whether what was heard are the first of the box's `own` words, and nothing else."""
    words = [word.casefold() for word in _WORD.findall(heard)]
    mine = [word.casefold() for word in _WORD.findall(own)][: len(words)]
    alike = [_named(word, [said]) for word, said in zip(words, mine, strict=False)] == mine
    return 0 < len(words) == len(mine) and alike


def _named(word: str, mine: list[str]) -> str:
    """The one of `mine` that `word` is most like, if it is like one at all."""
    nearest = max(mine, key=lambda own: Levenshtein.normalized_similarity(word, own), default="")
    return nearest if Levenshtein.normalized_similarity(word, nearest) >= ALIKE else word
