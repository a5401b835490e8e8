"""Phrases of different meaning that sound nearly the same, by the sound keys of `intents.sounds`.

Only what differs counts: "light roast" and "white roast" are as alike as "light" and "white".
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from hassil import Expression, ListReference, RuleReference
from rapidfuzz import process
from rapidfuzz.distance import Levenshtein

from agentbox.intents.check.files import Finding, Located, OwnerList, Place
from agentbox.intents.check.meaning import Meanings, needed_context
from agentbox.intents.check.saying import count, texts
from agentbox.intents.grammar import Scope
from agentbox.intents.numbers import NumberWords
from agentbox.intents.sounds import same_syllable
from agentbox.intents.templates import parts_of
from agentbox.intents.words import is_single, words_of
from agentbox.phonetics import sound_of

ALIKE = 0.42
"""Phrases whose distance is at most this are told. Of 77 pairs of a word and what the default model wrote in its place
(320 recorded commands in kitchen noise, at 3 and 9 dB) 29 % are as near, of 17,660 arbitrary pairs of words 1 %. At
0.55 it would be 55 % and 3.5 %, and a list of ten values would have a false alarm or two."""

_NEAR = 0.5
"""Pairs with a larger share of other sounds are not looked at more closely."""
_MOST_COMPARED = 1_000
"""Of a longer list only so many are compared."""
_MOST_A_LIST = 3
_MOST_SENTENCES = 5
_SHORT = 4
"""Sentences of so many words are short: in a longer one the other words say which it is."""
_MOST_WAYS = 12
"""A sentence or value with more ways to say it is left out: there are other ways."""

_CLASSES = ("tpk", "fsS", "mn", "lrw", "JS")
"""Sounds made the same way; noise hides which of them it was."""
_SAME_CLASS = 0.6
_VOWEL_MISSING = 0.6
_LAST_MISSING = 0.7
_OTHER_VOWEL = 0.3
"""What it costs that a vowel is of another kind; the keys have one vowel only."""
_VOWEL_GROUPS = re.compile(r"([aeiouy])[aeiouy]+")
_VOWEL_KINDS = str.maketrans("eyo", "iiu")
_LETTERS = 0.2
"""What the spelling weighs: letters tell a little of what the keys do not."""


class Phrase(NamedTuple):
    """Words that can be said, what they mean, and where they stand."""

    text: str
    meaning: str
    place: Place


def distance(one: str, other: str, limit: float = math.inf) -> float:
    """How differently two texts sound, from 0 (the same); about 0.3 is one sound in three.

    Where it is more than `limit` it may be given too small, though still more than `limit`; that saves time.
    """
    ones, others = _words(one), _words(other)
    while ones and others and ones[0] == others[0]:
        ones, others = ones[1:], others[1:]
    while ones and others and ones[-1] == others[-1]:
        ones, others = ones[:-1], others[:-1]
    if not ones or not others:
        return 0.0 if ones == others else float(len(ones) + len(others))
    if any(map(is_single, (*ones, *others))):
        return _characters(ones, others)
    keys = ["".join(map(sound_of, words)) for words in (ones, others)]
    length = max(map(len, (*keys, "-"))) / max(len(ones), len(others))  # of one word: two that differ count as two
    least = _SAME_CLASS * Levenshtein.distance(*keys) / length
    if least > limit:
        return least
    vowels = Levenshtein.distance(_vowels(ones), _vowels(others))
    letters = Levenshtein.normalized_distance("".join(ones), "".join(others))
    return (_cost(*keys) + _OTHER_VOWEL * vowels) / length + _LETTERS * letters


@lru_cache(maxsize=8_192)
def _words(text: str) -> tuple[str, ...]:
    return tuple(word.text for word in words_of(text))


def alike_values(lists: Iterable[OwnerList], numbers: NumberWords) -> Iterator[Finding]:
    """Values of one list that are easily taken for one another, the worst first."""
    for one in lists:
        phrases = [
            Phrase(numbers.to_words(text), str(value.out), value.literal.place)
            for value in one.values
            if len(value.texts) <= _MOST_WAYS
            for text in value.texts
        ]
        for first, second in _closest(phrases, _MOST_A_LIST):
            what = f'"{first.text}" and "{second.text}" in the list {one.name} sound nearly the same.'
            todo = "Give one of them another name, or make them one value."
            yield second.place.finding("sentences_alike", what, todo)


def alike_sentences(
    templates: Iterable[Located], meanings: Meanings, told: Collection[frozenset[Place | None]]
) -> Iterator[Finding]:
    """Short sentences of different meaning that are easily taken for one another, the worst first.

    `told`: pairs of places of which worse is known.
    """
    phrases = []
    for located in templates:
        expression = located.template.sentence.expression
        if located.place is None or count(expression, located.scope) > _MOST_WAYS:
            continue
        if _names_list(expression, located.scope):
            continue  # what its values sound like is told of the list
        for text in texts(expression, located.scope)[0]:
            if len(words_of(text)) <= _SHORT:
                meaning = meanings.of(located, text, needed_context(located.template))
                if meaning is not None:
                    phrases.append(Phrase(text, str(meaning), located.place))
    for first, second in _closest(phrases, _MOST_SENTENCES, told):
        where = first.place.seen_from(second.place)
        what = f'"{second.text}" ({second.meaning}) sounds nearly like "{first.text}" ({first.meaning}, {where}).'
        yield second.place.finding("sentences_alike", what, "Say one of them in other words.")


def _names_list(expression: Expression, scope: Scope) -> bool:
    return any(
        isinstance(part, ListReference)
        or (isinstance(part, RuleReference) and _names_list(scope.rules[part.rule_name].expression, scope))
        for part in parts_of(expression)
    )


def _closest(
    phrases: Sequence[Phrase], most: int, told: Collection[frozenset[Place | None]] = ()
) -> list[tuple[Phrase, Phrase]]:
    """The pairs of different meaning that are alike, the closest first; of two meanings the closest pair.

    Those with the very same words are left out: they are ambiguous.
    """
    best: dict[frozenset[str], tuple[float, Phrase, Phrase]] = {}
    for first, second in _near_pairs(phrases[:_MOST_COMPARED]):
        if first.meaning == second.meaning or frozenset((first.place, second.place)) in told:
            continue
        apart = distance(first.text, second.text, ALIKE)
        key = frozenset((first.meaning, second.meaning))
        if 0 < apart <= ALIKE and (key not in best or apart < best[key][0]):
            best[key] = apart, first, second
    ranked = sorted(best.values(), key=lambda found: found[0])
    return [(first, second) for _, first, second in ranked[:most]]


def _near_pairs(phrases: Sequence[Phrase]) -> Iterator[tuple[Phrase, Phrase]]:
    """The pairs worth a closer look: a thousand names are half a million pairs."""
    keys = ["".join(map(sound_of, _words(phrase.text))) for phrase in phrases]
    apart = process.cdist(keys, keys, scorer=Levenshtein.normalized_distance, score_cutoff=_NEAR)
    for first, second in np.argwhere(np.triu(apart <= _NEAR, k=1)):
        yield phrases[first], phrases[second]


def _vowels(words: Iterable[str]) -> str:
    """The kinds of vowels in `words`, by the first letter of each: front, open, back. An "e" at the end is silent."""
    groups = (_VOWEL_GROUPS.sub(r"\1", re.sub(r"(?<=[^aeiouy])e$", "", word)) for word in words)
    return "".join(letter for group in groups for letter in group if letter in "aeiouy").translate(_VOWEL_KINDS)


def _characters(ones: Sequence[str], others: Sequence[str]) -> float:
    """For Chinese: the share of characters that are of another syllable."""
    if len(ones) != len(others):
        return 1.0
    other = sum(one != two and two not in same_syllable(one) for one, two in zip(ones, others, strict=True))
    return other / len(ones)


@lru_cache(maxsize=65_536)
def _cost(one: str, other: str) -> float:
    """The weighted edit distance of two sound keys (Wagner and Fischer, 1974)."""
    row = [0.0]
    for at in range(len(other)):
        row.append(row[-1] + _missing(other, at))
    for i, sound in enumerate(one):
        above, row = row, [row[0] + _missing(one, i)]
        for j, heard in enumerate(other):
            swapped = above[j] + _substitution(sound, heard)
            row.append(min(swapped, above[j + 1] + _missing(one, i), row[j] + _missing(other, j)))
    return row[-1]


def _missing(key: str, at: int) -> float:
    return _VOWEL_MISSING if key[at] == "a" else _LAST_MISSING if at == len(key) - 1 else 1.0


_SWAPPED = {(one, other): _SAME_CLASS for sounds in _CLASSES for one in sounds for other in sounds if one != other}


def _substitution(one: str, other: str) -> float:
    return 0.0 if one == other else _SWAPPED.get((one, other), 1.0)
