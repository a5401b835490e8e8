"""Long replies are said piece by piece, so that the first is heard while the rest is made."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

FIRST_LETTERS = 80
"""A first piece longer than this is cut at a comma: it is what the owner waits for."""

MOST_LETTERS = 240
"""No piece is longer: voices lose the thread, and nothing is heard until it is made."""

_LEAST_LETTERS = 24
"""No cut at a comma leaves less than this: the voice drops at the end of every piece."""

_SENTENCE_END = re.compile(r"[.!?…]+[\"'”’)\]]*(?=\s)|[。！？；…]+[”’」』）]*|\n+")
_CLAUSE_END = re.compile(r"[,;:](?=\s)|[，、：]|\s[-–—](?=\s)")
_ABBREVIATION = re.compile(r"(?:^|[\s(])(?:Mr|Mrs|Ms|Dr|Prof|St|Jr|Sr|vs|approx|e\.g|i\.e)\.$", re.IGNORECASE)
_INITIAL = re.compile(r"(?:^|(?:^|[\s(])(?:[A-Z]|Mr|Mrs|Ms|Dr|Prof)\.\s?)[A-Z]\.$")
_ENUMERATED = re.compile(r"^\d{1,3}\.$")
_NUMBERED = re.compile(r"(?:^|[\s(])No\.$")
"""A number must follow: else it is an answer."""


def pieces(text: str) -> Iterator[str]:
    """`text` in pieces that can be said one after the other; together they hold all of it but spaces at the seams."""
    limit = FIRST_LETTERS
    for sentence in _sentences(text):
        left = sentence
        while len(left) > limit and (end := _cut(left, limit)) is not None:
            yield left[:end].strip()
            left, limit = left[end:].strip(), MOST_LETTERS
        yield left
        limit = MOST_LETTERS


def written_so_far(text: str) -> tuple[list[str], str]:
    """The whole sentences of a text that is still being written, and the rest, which may go on."""
    *whole, last = [0, *_ends(text)]
    sentences = [text[begin:end].strip() for begin, end in pairwise([*whole, last])]
    if sentences and not text[last:].strip():
        # What follows decides whether it was the end of one.
        return sentences[:-1], text[whole[-1] :]
    return sentences, text[last:]


def _sentences(text: str) -> Iterator[str]:
    begin = 0
    for end in _ends(text):
        yield text[begin:end].strip()
        begin = end
    if rest := text[begin:].strip():
        yield rest


def _ends(text: str) -> Iterator[int]:
    """Where sentences end."""
    begin = 0
    for found in _SENTENCE_END.finditer(text):
        end = found.end()
        sentence = text[begin:end].strip()
        if sentence and (found[0].isspace() or not _goes_on(sentence, text[end:].lstrip()[:1])):
            yield end
            begin = end


def _goes_on(sentence: str, following: str) -> bool:
    """Whether a full stop is none."""
    if any(pattern.search(sentence) for pattern in (_ABBREVIATION, _INITIAL, _ENUMERATED)):
        return True
    return following.islower() or (following.isdigit() and _NUMBERED.search(sentence) is not None)


def _cut(sentence: str, limit: int) -> int | None:
    """Where to cut a sentence that is longer than `limit`: after the last clause that fits, else after the first one;
    where a sentence of more than `MOST_LETTERS` has none, at its last space that fits."""
    ends = [found.end() for found in _CLAUSE_END.finditer(sentence)]
    ends = [end for end in ends if _LEAST_LETTERS <= end <= len(sentence) - _LEAST_LETTERS]
    fitting = [end for end in ends if end <= limit]
    if fitting or (ends and ends[0] <= MOST_LETTERS):
        return fitting[-1] if fitting else ends[0]
    if len(sentence) <= MOST_LETTERS:
        return None
    space = sentence.rfind(" ", 1, MOST_LETTERS)
    return space if space > 0 else MOST_LETTERS
