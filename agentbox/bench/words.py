"""Word error rate: texts brought to one form, and the edits between them counted."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from rapidfuzz.distance import Levenshtein
from unicode_rbnf import FormatPurpose, RbnfEngine

_NOTE = re.compile(r"\[[^]]*\]|<[^>]*>|\([^)]*\)")
"""Remarks in a written text that nobody says: `[tone]`, `<beep>`, `(sound plays)`."""

_SIGNS = {"&": " and ", "%": " percent ", "@": " at ", "#": " pound ", "*": " star ", "+": " plus ", "=": " equals "}
_HALF_DAY = re.compile(r"(?<![a-z])([ap])\.? ?m\b\.?")
_NUMBER = re.compile(r"(\d[\d,]*(?:\.\d+)?)(st|nd|rd|th)?\b")


@dataclass(frozen=True, slots=True)
class Errors:
    """Edits (words wrong, missing or too many) against the words that should be there."""

    edits: int
    words: int

    def __add__(self, other: Errors) -> Errors:
        return Errors(self.edits + other.edits, self.words + other.words)

    @property
    def rate(self) -> float:
        """Word error rate, 0.0 for none; may pass 1."""
        return self.edits / self.words if self.words else 0.0


def normal_words(text: str) -> list[str]:
    """English text as the words that are said: lower case, no punctuation, numbers and signs in words.

    "Press 1, please." and "press one please" are the same; "can't" is `cant`, "log-in" is two words, "a.m." is one.
    """
    text = _HALF_DAY.sub(r" \1m", _NOTE.sub(" ", text.lower()))
    text = _NUMBER.sub(lambda found: f" {_say(found.group(1).replace(',', ''), ordinal=bool(found.group(2)))} ", text)
    for sign, word in _SIGNS.items():
        text = text.replace(sign, word)
    return re.sub(r"[^a-z ]", " ", re.sub(r"['\u2019]", "", text)).split()


def word_errors(reference: str, heard: str) -> Errors:
    wanted = normal_words(reference)
    return Errors(Levenshtein.distance(wanted, normal_words(heard)), len(wanted))


def _say(number: str, *, ordinal: bool) -> str:
    purpose = FormatPurpose.ORDINAL if ordinal else FormatPurpose.CARDINAL
    return _numbers().format_number(number, purpose).text


@functools.cache
def _numbers() -> RbnfEngine:
    return RbnfEngine.for_language("en")
