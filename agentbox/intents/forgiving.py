"""Finds the sentence nearest to what was misheard ("at milk to my shopping list"), and is slow to believe it.

A template is laid along the heard words at the least cost: a word may be another one that sounds like it, two words
may be one ("a larm"), small words may be missing or too many. Everything else must be there, word for word: no other
word may be left over, numbers and the values of lists (days, up and down, halves of the day) are never guessed, and
most of the sentence's own words must have been heard as they are. The result is the heard text with the template's
words put in; hassil then reads that as if it had been heard.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from hassil import Expression, ListReference, RangeSlotList, SlotList, WildcardSlotList

from agentbox.intents.grammar import ANYTHING, BUILTIN, NUMBER, OURS, Grammar, Scope, Template
from agentbox.intents.likely import Index
from agentbox.intents.numbers import NumberWords, number_ends
from agentbox.intents.smallwords import FILLERS, MAY_BE_MISSING, SMALL_WORDS
from agentbox.intents.sounds import likeness
from agentbox.intents.walk import Place, Walker
from agentbox.intents.words import Word, is_single, words_of
from agentbox.messages import JSON
from agentbox.phonetics import sound_of

_MAX_WORDS = 30
_MIN_LIKENESS = 0.7
"""A heard word less like the template's word than this is another word."""


_PERSONS = frozenset(("i", "you"))
"""Small words that are not heard as others: who does something matters."""

_OFTEN = {("and", "add"): 0.8, ("had", "add"): 0.8, ("hard", "add"): 0.8}
"""Mishearings that small models make often and that sound less alike than they are."""


_OTHER_FORM = 0.8
"""The likeness of two forms of a word: ice, iced; remind, reminds."""

_SMALL_WEIGHT = 0.4
_SINGLE_WEIGHT = 0.5
"""A Chinese character carries about half of what an English word does."""
_SMALL_MISSING = 0.15
_SMALL_EXTRA = 0.2
_SMALL_OTHER = 0.15
_SMALL_MISHEARD = 0.25
_FILLER_EXTRA = 0.05
_MAX_COST = 1.0


class Near(NamedTuple):
    """A sentence near to what was heard: where it is from, its words, and how near (0..1) it is."""

    grammar: Grammar
    sentence: str
    score: float


class _Edit(NamedTuple):
    """Heard words `first` to `after` (without the last) become `words`; nothing becomes nothing."""

    first: int
    after: int
    words: str


class _Reading(NamedTuple):
    """What one way of laying a template along the words costs and rests on."""

    cost: float = 0.0
    weight: float = 0.0
    """Of the template's words and numbers on this way."""
    exact: float = 0.0
    """Of that, what carries meaning and was heard as it is."""
    other: int = 0
    """Words that carry meaning heard as another word."""
    doubt: int = 0
    """0: those sound the same; 1: one is another form of its word ("reminds"); 2: one sounds otherwise."""
    free: tuple[tuple[int, int], ...] = ()
    """Stretches of heard words taken as free text."""
    edits: tuple[_Edit, ...] = ()


_NOTHING = _Reading()


class Forgiver:
    """Finds near sentences in several grammars. Numbers are recognised by `numbers`; `likeness` is the least score."""

    def __init__(self, grammars: Sequence[Grammar], numbers: NumberWords, likeness: float) -> None:
        self._likeness = likeness
        self._indexes = [Index(scope) for grammar in grammars for scope in grammar.scopes if scope.templates]
        self._known = _Known(
            numbers=numbers.parts,
            values=frozenset(
                word
                for index in self._indexes
                if index.is_fixed
                for word in index.values - SMALL_WORDS
                if not is_single(word)  # a Chinese character is part of too many words
            ),
        )

    def nearest(self, heard: str, context: Mapping[str, JSON]) -> list[Near]:
        """Sentences near to `heard` (normalised), the nearest first; of equals the owner's come first."""
        words = words_of(heard)
        if not 2 <= len(words) <= _MAX_WORDS:
            return []
        found: dict[tuple[int, str], Near] = {}
        for index in self._indexes:
            near_words = index.near(words)
            ear = _Ear(heard, words, index.scope, self._known, near_words)
            for template in index.likely(heard, near_words, ear.firsts):
                if not index.scope.grammar.possible(template.block, context):
                    continue
                for reading in ear.readings(template):
                    score = 1 - reading.cost / reading.weight
                    if score >= self._likeness and _is_credible(reading):
                        near = Near(index.scope.grammar, _mended(heard, words, reading.edits), score)
                        key = (id(near.grammar), near.sentence)
                        if key not in found or found[key].score < score:
                            found[key] = near
        return sorted(found.values(), key=lambda near: -near.score)


class _Known(NamedTuple):
    """Words that are never guessed: parts of numbers, and values of our own lists (days, up and down)."""

    numbers: frozenset[str]
    values: frozenset[str]


class _Ear(Walker[_Reading]):
    """Walks templates along the heard words, allowing for mishearing."""

    def __init__(
        self, heard: str, words: Sequence[Word], scope: Scope, known: _Known, near: Sequence[frozenset[str]]
    ) -> None:
        super().__init__(scope.rules, scope.lists, _NOTHING)
        self._heard = heard
        self._words = words
        self._scope = scope
        self._known = known
        self._language = scope.grammar.language
        self._fixed_values = scope.grammar.source in (OURS, BUILTIN)
        self._begins: list[frozenset[str]] = []
        """For each heard word what an expression can begin with there: something near it, or near a word after
        words that may be too many."""
        after = frozenset[str]()
        for word, words_near in zip(reversed(words), reversed(near), strict=True):
            droppable = word.text in FILLERS or word.text in SMALL_WORDS
            after = words_near | {ANYTHING} | (after if droppable else frozenset())
            if scope.grammar.begins_number(word.text):
                after |= {NUMBER}
            if word.text in SMALL_WORDS:
                after |= SMALL_WORDS
            self._begins.insert(0, after)

    @property
    def firsts(self) -> frozenset[str]:
        """What a whole template can begin with."""
        return self._begins[0]

    def _walk(self, expression: Expression, place: Place) -> dict[Place, _Reading]:
        index, begun = place
        if index < len(self._words) and not begun:
            firsts, empty = self._scope.firsts(expression)
            if not empty and firsts.isdisjoint(self._begins[index]) and firsts.isdisjoint(MAY_BE_MISSING):
                return {}
        return super()._walk(expression, place)

    def readings(self, template: Template) -> Iterator[_Reading]:
        """The ways to lay the template along all of the words."""
        for index, reading in self.ends(template.sentence.expression).items():
            rest = self._extra(index, len(self._words)) if index < len(self._words) else _Reading()
            if rest is not None and reading.weight > 0:
                yield self._join(reading, rest)

    def _word(self, word: str, index: int) -> Iterable[tuple[int, _Reading]]:
        small = word in SMALL_WORDS
        weight = _SMALL_WEIGHT if small else _SINGLE_WEIGHT if is_single(word) else 1.0
        meaning = 0.0 if small else weight
        if index < len(self._words):
            heard = self._words[index].text
            if heard == word:
                return ((index + 1, _Reading(0.0, weight, meaning)),)
        ways = list(self._other_ways(word, index, small, weight)) if index < len(self._words) else []
        if word in MAY_BE_MISSING and index > 0 and word not in self._known.numbers:
            ways.append((index, _Reading(_SMALL_MISSING, 0.0, edits=(_Edit(index, index, word),))))
        return ways

    def _other_ways(self, word: str, index: int, small: bool, weight: float) -> Iterator[tuple[int, _Reading]]:
        heard = self._words[index].text
        extra = self._extra(index, index + 1)
        if extra is not None:
            for end, reading in self._word(word, index + 1):
                yield end, self._join(extra, reading)
        if word in self._known.numbers or word in self._known.values or heard in self._known.numbers:
            return
        if small:
            another = (_Edit(index, index + 1, word),)
            if heard in SMALL_WORDS and not {heard, word} & _PERSONS:
                yield index + 1, _Reading(_SMALL_OTHER, weight, edits=another)
            elif heard not in SMALL_WORDS and likeness(heard, word) >= _MIN_LIKENESS:
                yield index + 1, _Reading(_SMALL_MISHEARD, weight, edits=another)
            return
        alike = max(likeness(heard, word), likeness(heard, word + "a") - 0.02, _OFTEN.get((heard, word), 0.0))
        if _one_stem(heard, word):
            alike = max(alike, _OTHER_FORM)
        if alike >= _MIN_LIKENESS and heard not in self._known.values:
            same = is_single(word) or (heard, word) in _OFTEN or sound_of(heard) == sound_of(word)
            doubt = 0 if same else 1 if _one_stem(heard, word) else 2
            edit = (_Edit(index, index + 1, word),)
            yield index + 1, _Reading(weight * (1 - alike), weight, 0, 1, doubt, edits=edit)
        if index + 1 < len(self._words) and not is_single(word):
            yield from self._two_as_one(word, index, weight)

    def _two_as_one(self, word: str, index: int, weight: float) -> Iterator[tuple[int, _Reading]]:
        one, two = self._words[index].text, self._words[index + 1].text
        if two in self._known.numbers or two in self._known.values or len(word) < 5:
            return
        alike = likeness(one + two, word)
        if alike >= _MIN_LIKENESS:
            edit = (_Edit(index, index + 2, word),)
            yield index + 2, _Reading(weight * (1 - alike), weight, 0, 1, 0 if alike >= 0.9 else 2, edits=edit)

    def _extra(self, first: int, after: int) -> _Reading | None:
        """What it costs that these heard words are in no template; None when one of them may not be left out."""
        cost = 0.0
        for word in self._words[first:after]:
            if word.text in FILLERS:
                cost += _FILLER_EXTRA
            elif word.text in SMALL_WORDS and word.text not in self._known.numbers:
                cost += _SMALL_EXTRA
            else:
                return None
        return _Reading(cost, edits=(_Edit(first, after, ""),))

    def _slot(self, reference: ListReference, slot_list: SlotList, index: int) -> Iterable[tuple[int, _Reading]]:
        if index >= len(self._words):
            return
        if isinstance(slot_list, WildcardSlotList):
            for end in range(index + 1, len(self._words) + 1):
                yield end, _Reading(free=((index, end),))
        else:
            assert isinstance(slot_list, RangeSlotList)
            for end in number_ends(self._heard, self._words, index, reference, slot_list, self._language):
                yield end, _Reading(0.0, 1.0, 1.0)

    def _value(self, ways: dict[Place, _Reading]) -> dict[Place, _Reading]:
        if self._fixed_values:
            return {
                place: reading._replace(exact=max(1.0, reading.exact))
                for place, reading in self._whole(ways).items()
                if not reading.edits
            }
        return ways

    def _join(self, first: _Reading, second: _Reading) -> _Reading:
        if first == _NOTHING:
            return second
        if second == _NOTHING:
            return first
        return _Reading(
            first.cost + second.cost,
            first.weight + second.weight,
            first.exact + second.exact,
            first.other + second.other,
            max(first.doubt, second.doubt),
            first.free + second.free,
            first.edits + second.edits,
        )

    def _better(self, first: _Reading, second: _Reading) -> bool:
        return (first.cost, -first.weight) < (second.cost, -second.weight)


def _is_credible(reading: _Reading) -> bool:
    """Whether enough was heard as it is for the rest to be a mishearing and not other talk."""
    if not reading.edits or reading.cost > _MAX_COST:
        return False
    bounds = {place for stretch in reading.free for place in stretch}
    if any(edit.first == edit.after and edit.first in bounds for edit in reading.edits):
        return False  # the word that parts free text from the rest was not heard
    needed = 2 if reading.free or not reading.other else 1
    if reading.doubt == 1:
        needed = 2
    elif reading.doubt == 2:
        needed = max(needed, 2 * reading.other) + bool(reading.free)
    return reading.other <= 2 and reading.exact >= needed


def _mended(heard: str, words: Sequence[Word], edits: Iterable[_Edit]) -> str:
    """The heard text with the edits made."""
    pieces, position = [], 0
    for first, after, put in edits:
        start = words[first].start if first < len(words) else len(heard)
        pieces += [heard[position:start].rstrip("'-"), put if put and is_single(put) else f" {put} "]
        position = words[after - 1].end if after > first else start
    pieces.append(heard[position:])
    return " ".join("".join(pieces).split())


def _one_stem(heard: str, word: str) -> bool:
    shorter, longer = sorted((heard, word), key=len)
    return len(shorter) >= 3 and longer.startswith(shorter) and len(longer) - len(shorter) <= 2
