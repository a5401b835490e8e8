"""Numbers in words and digits, by the Unicode rule-based number formats, as hassil reads them."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from hassil import ListReference, RangeSlotList
from hassil.numbers import get_rbnf_engine
from hassil.string_matcher import MatchContext, MatchSettings, match_expression

from agentbox.intents.words import Word, is_single, words_of

_UNSAID = ("days", "financial")
"""Sets of number words that are not said for a plain number: "初二" (a day of the month), "贰" (on a cheque)."""


class NumberWords:
    """The words a language has for the whole numbers 0..100, and texts with their numbers spelled the other way.

    For sentences that hold a literal number ("eight ounce"): the recogniser may have written "8 ounce".
    """

    def __init__(self, language: str) -> None:
        self._words: dict[int, str] = {}
        self._numbers: dict[str, int] = {}
        for number in range(101):
            spellings = _formats(language, number)
            for rules, spelling in spellings.items():
                if not rules.endswith(_UNSAID):
                    self._numbers.setdefault(_plain(spelling), number)
            self._words[number] = spellings.get("spellout-cardinal") or next(iter(spellings.values()), str(number))
        longest_first = sorted(self._numbers, key=len, reverse=True)
        spaced = not any(is_single(spelling[0]) for spelling in longest_first)
        any_number = "|".join(re.escape(spelling).replace(r"\ ", "[ -]") for spelling in longest_first)
        edge = r"\b" if spaced else ""  # a script without spaces has no word boundary beside a number
        self._pattern = re.compile(f"{edge}(?:{any_number}){edge}", re.IGNORECASE) if any_number else None
        self.parts = frozenset(word.text for spelling in longest_first for word in words_of(spelling))
        """Every single word (in Chinese: character) that numbers are made of."""

    def to_words(self, text: str) -> str:
        """`text` with its whole numbers up to 100 spelled out; other numbers stay."""
        return re.sub(
            r"(?<![\d.,:/-])\d{1,3}(?![\d]|[.,:/-]\d)",
            lambda found: self._words.get(int(found[0]), found[0]).replace("-", " "),
            text,
        )

    def to_digits(self, text: str) -> str:
        """`text` with its number words up to one hundred written as digits."""
        if self._pattern is None:
            return text
        return self._pattern.sub(lambda found: str(self._numbers[_plain(found[0])]), text)


@lru_cache(maxsize=8)
def number_words(language: str) -> NumberWords:
    """One for each language: to spell every number takes some 30 ms."""
    return NumberWords(language)


def number_ends(
    text: str, words: Sequence[Word], index: int, reference: ListReference, numbers: RangeSlotList, language: str
) -> list[int]:
    """The indexes of `words` at which a number of the list that begins at `index` may end.

    hassil itself reads the number, in digits or in words; one that ends inside a word is none.
    """
    first = words[index].text
    if not first.isdecimal() and first not in first_words(numbers, language):
        return []
    start = words[index].start
    if (
        first.isdecimal()
        and text[start - 1 : start] == "-"
        and not text[: start - 1].rstrip(" ").endswith(tuple("0123456789"))
    ):
        start -= 1
    settings = MatchSettings(slot_lists={reference.list_name: numbers}, language=language)
    starts = [word.start for word in words]
    ends = []
    for match in match_expression(settings, MatchContext(text=text[start:] + " "), reference):
        stop = len(text) - len(match.text) + 1
        end = bisect_left(starts, stop)
        if words[end - 1].end <= stop:
            ends.append(end)
    return ends


def spelled(numbers: RangeSlotList, number: int, language: str) -> list[str]:
    """The words that are said for `number` in a list of numbers of a box that speaks `language`."""
    formats = _formats(numbers.words_language or language, number)
    written = [text.lower() for rules, text in formats.items() if not rules.endswith(_UNSAID)]
    words = [_plain(text) for text in written] + written
    if language.startswith("en") and number > 99:
        words += [re.sub(r"hundred (?=\w)", "hundred and ", text) for text in words]
        words += [re.sub(r"^one (?=hundred|thousand)", "a ", text) for text in words]
    return list(dict.fromkeys(words))


def goes_on(said: str, numbers: RangeSlotList, language: str) -> bool:
    """Whether a longer number of the list begins with the number `said` ("twenty" - "twenty-five")."""
    if not numbers.words:
        return False
    spelled = _spellings(numbers.words_language or language, numbers.start, numbers.stop, numbers.step)
    plain = _plain(said)
    return (spelled.words.get(int(plain), "") if plain.isdecimal() else plain) in spelled.beginnings


def first_words(numbers: RangeSlotList, language: str) -> frozenset[str]:
    """The words that the spelled-out numbers of a list begin with."""
    if not numbers.words:
        return frozenset()
    return _spellings(numbers.words_language or language, numbers.start, numbers.stop, numbers.step).firsts


class _Spelled(NamedTuple):
    """The numbers of a range: in words; the words that others of them begin with; the first words there are."""

    words: dict[int, str]
    beginnings: frozenset[str]
    firsts: frozenset[str]


@lru_cache(maxsize=64)
def _spellings(language: str, start: int, stop: int, step: int) -> _Spelled:
    words: dict[int, str] = {}
    beginnings: set[str] = set()
    firsts: set[str] = set()
    for number in range(start, stop + 1, step):
        for spelling in _formats(language, number).values():
            plain = _plain(spelling)
            words.setdefault(number, plain)
            parts = words_of(plain)
            firsts.update(part.text for part in parts[:1])
            beginnings.update(plain[: part.end] for part in parts[:-1])
    return _Spelled(words, frozenset(beginnings), frozenset(firsts))


def _formats(language: str, number: int) -> dict[str, str]:
    """The spellings of a number by name of rule set; none where the language's numbers are not known."""
    try:
        return dict(get_rbnf_engine(language).format_number(number).text_by_ruleset)
    except ValueError:
        return {}


def _plain(spelling: str) -> str:
    return " ".join(spelling.lower().replace("-", " ").split())
