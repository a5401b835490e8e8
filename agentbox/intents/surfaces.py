"""How a recogniser may write a word of a sentence: "eight ounce" or "8 oz", "what is" or "what's", "café" or "cafe".

Only spellings of the same spoken words: "half past seven" may be written "half past 7", not "7:30", which is said
"seven thirty" and belongs to another sentence.
"""

from __future__ import annotations

import unicodedata
from typing import NamedTuple

from agentbox.intents.normalise import UNITS
from agentbox.intents.numbers import number_words
from agentbox.speech_grammar import is_spaced

LONGEST_SPAN = 3
"""Neighbouring words that may be written as one thing: "twenty five" - "25", "do not" - "don't"."""

_CONTRACTED = {
    "what is": "what's", "it is": "it's", "that is": "that's", "how is": "how's", "who is": "who's",
    "where is": "where's", "when is": "when's", "let us": "let's", "i am": "i'm", "i would": "i'd", "i will": "i'll",
    "i have": "i've", "do not": "don't", "does not": "doesn't", "is not": "isn't", "are not": "aren't",
    "can not": "can't", "cannot": "can't", "will not": "won't", "you are": "you're", "we are": "we're",
    "there is": "there's", "how much is": "how much's",
}  # fmt: skip
_ALIKE = {"okay": "ok", "ok": "okay", "anymore": "any more", "todo": "to do", "goodnight": "good night"}
_ORDINALS = (
    "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh",
    "twelfth", "thirteenth", "fourteenth", "fifteenth", "sixteenth", "seventeenth", "eighteenth", "nineteenth",
)  # fmt: skip
_HALVES_OF_DAY = {"am": ("a.m.", "a.m"), "pm": ("p.m.", "p.m")}


class Surface(NamedTuple):
    """The ways one thing may be written: as words of its own, or glued onto the word before it."""

    spoken: tuple[str, ...]
    glued: tuple[str, ...] = ()


class Surfaces:
    """The other spellings of words of one language (BCP-47)."""

    def __init__(self, language: str) -> None:
        self._numbers = number_words(language)
        english = language.lower().startswith("en")
        self._of: dict[str, list[str]] = {}
        self._glued: dict[str, list[str]] = {}
        self.spaced = is_spaced(language)
        if english:
            self._learn_english()

    def word(self, word: str) -> Surface:
        """One word as it stands in a sentence."""
        key = word.casefold()
        spoken = [word, *self._of.get(key, ())]
        spoken += [self._numbers.to_digits(word), self._numbers.to_words(word)]
        spoken.append(_without_accents(word))
        if "-" in word:
            spoken.append(word.replace("-", " "))
        if "'" in word:
            spoken.append(word.replace("'", ""))
        return Surface(tuple(dict.fromkeys(spoken)), tuple(self._glued.get(key, ())))

    def span(self, words: str) -> Surface | None:
        """Neighbouring words that may be written as one thing; null where they may not."""
        key = words.casefold()
        spoken = list(self._of.get(key, ()))
        digits = self._numbers.to_digits(words)
        if digits.isdecimal():
            spoken.append(digits)
        return Surface(tuple(dict.fromkeys(spoken))) if spoken else None

    def _learn_english(self) -> None:
        for long, short in _CONTRACTED.items():
            self._of.setdefault(long, []).append(short)
            self._of.setdefault(short, []).append(long)
        for word, other in _ALIKE.items():
            self._of.setdefault(word, []).append(other)
        for short, long in UNITS.items():
            self._of.setdefault(long, []).extend((short, f"{short}."))
            if short != "h":
                self._glued.setdefault(long, []).append(short)
        for singular, plural in (("minute", "minutes"), ("second", "seconds"), ("hour", "hours"), ("ounces", "ounce")):
            self._of.setdefault(singular, []).extend(self._of.get(plural, ()))
        for half, dotted in _HALVES_OF_DAY.items():
            self._of[half] = list(dotted)
            self._glued[half] = [half, half.upper(), *dotted]
        self._of["%"] = ["percent", "per cent"]
        self._glued["%"] = ["%"]
        self._of["percent"] = self._of["per cent"] = ["percent"]
        self._glued["percent"] = self._glued["per cent"] = ["%"]
        self._learn_ordinals()

    def _learn_ordinals(self) -> None:
        for number, word in enumerate(_ordinals(), start=1):
            ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10 if number // 10 != 1 else 0, "th")
            self._of.setdefault(word, []).append(f"{number}{ending}")
            self._of.setdefault(word.replace("-", " "), []).append(f"{number}{ending}")


def _ordinals() -> list[str]:
    """The days of a month: "first" to "thirty-first"."""
    return [*_ORDINALS, "twentieth", *(f"twenty-{word}" for word in _ORDINALS[:9]), "thirtieth", "thirty-first"]


def minutes(language: str, number: int) -> tuple[str, ...]:
    """How a number right after the hour may be glued to it: "7:30"."""
    return (f":{number:02}",) if language.lower().startswith("en") and 0 <= number < 60 else ()


def _without_accents(word: str) -> str:
    kept = [letter for letter in unicodedata.normalize("NFKD", word) if not unicodedata.combining(letter)]
    return unicodedata.normalize("NFC", "".join(kept))
