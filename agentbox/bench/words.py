"""Word and character error rate: texts brought to one form, and the edits between them counted."""

from __future__ import annotations

import functools
import re
import unicodedata
from dataclasses import dataclass

from rapidfuzz.distance import Levenshtein
from unicode_rbnf import FormatPurpose, RbnfEngine

_NOTE = re.compile(r"\[[^]]*\]|<[^>]*>|\([^)]*\)")
"""Remarks in a written text that nobody says: `[tone]`, `<beep>`, `(sound plays)`."""

_SIGNS = {"&": " and ", "%": " percent ", "@": " at ", "#": " pound ", "*": " star ", "+": " plus ", "=": " equals "}
_HALF_DAY = re.compile(r"(?<![a-z])([ap])\.? ?m\b\.?")
_NUMBER = re.compile(r"(\d[\d,]*(?:\.\d+)?)(st|nd|rd|th)?\b")

_MOST_FIGURES = 4
_FIGURES = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?")


@dataclass(frozen=True, slots=True)
class Errors:
    """Edits (words wrong, missing or too many) against the words that should be there; or characters."""

    edits: int
    words: int

    def __add__(self, other: Errors) -> Errors:
        return Errors(self.edits + other.edits, self.words + other.words)

    @property
    def rate(self) -> float:
        """0.0 for none; may pass 1."""
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


def normal_characters(text: str) -> list[str]:
    """Chinese text as the characters that are said: no punctuation and no spaces, full-width letters and digits as
    narrow ones, Latin letters small, numbers in characters ("10" is 十, and more than four figures without a comma are
    read one by one), 零 as 〇.

    Traditional characters stay: which script was wanted is for the caller to know.
    """
    text = unicodedata.normalize("NFKC", text.replace("\uff0c", " ")).lower()
    text = _FIGURES.sub(lambda found: _chinese(found.group()), text)
    return [letter for letter in text.replace("零", "〇") if letter.isalnum()]


def _chinese(figures: str) -> str:
    if figures.isdecimal() and len(figures) > _MOST_FIGURES:
        return "".join(_say(figure, ordinal=False, language="zh") for figure in figures)
    return _say(figures.replace(",", ""), ordinal=False, language="zh")


def character_errors(reference: str, heard: str) -> Errors:
    wanted = normal_characters(reference)
    return Errors(Levenshtein.distance(wanted, normal_characters(heard)), len(wanted))


def _say(number: str, *, ordinal: bool, language: str = "en") -> str:
    purpose = FormatPurpose.ORDINAL if ordinal else FormatPurpose.CARDINAL
    return _numbers(language).format_number(number, purpose).text


@functools.cache
def _numbers(language: str) -> RbnfEngine:
    return RbnfEngine.for_language(language)
