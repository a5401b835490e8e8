"""Which of the things that have a name is meant. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from rapidfuzz import fuzz

LIKENESS = 80.0
"""How alike (0..100) a heard name and a kept one must be; below it, another thing is meant."""


def plain(name: str) -> str:
    """The name without case, extra spaces, and a leading article or possessive."""
    words = name.casefold().split()
    while len(words) > 1 and words[0] in ("the", "my", "a", "an", "our", "some"):
        words = words[1:]
    return " ".join(words)


def matching(heard: str, names: Sequence[str]) -> list[int]:
    """The indexes of the names that are meant: all that are equal, else all that are equally and very much alike."""
    wanted = plain(heard)
    kept = [plain(name) for name in names]
    equal = [index for index, name in enumerate(kept) if name == wanted]
    if equal or not wanted:
        return equal
    likeness = [fuzz.ratio(wanted, name) if name else 0.0 for name in kept]
    best = max(likeness, default=0.0)
    return [index for index, score in enumerate(likeness) if score == best >= LIKENESS]
