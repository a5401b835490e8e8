"""Finds the sentence nearest to what was misheard ("at milk to my shopping list"), and is slow to believe it.

A template is laid along the heard words at the least cost: a word may be another one that sounds like it, two words
may be one ("a larm"), small words may be missing or too many. Everything else must be there, word for word: no other
word may be left over, numbers and the values of lists (days, up and down, halves of the day) are never guessed, and
most of the sentence's own words must have been heard as they are. The result is the heard text with the template's
words put in; hassil then reads that as if it had been heard.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import compress, pairwise
from typing import NamedTuple

from hassil import (
    Expression,
    ListReference,
    RangeSlotList,
    SlotList,
    TextChunk,
    TextSlotList,
    WildcardSlotList,
)
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cdist

from agentbox.intents.grammar import ANYTHING, BUILTIN, NUMBER, OURS, Grammar, Scope, Template
from agentbox.intents.numbers import NumberWords, number_ends
from agentbox.intents.sounds import likeness, same_syllable, sound_of
from agentbox.intents.templates import parts_of
from agentbox.intents.walk import Place, Walker
from agentbox.intents.words import Word, is_single, pieces_of, words_of
from agentbox.messages import JSON

_MAX_WORDS = 30
_MIN_LIKENESS = 0.7
"""A heard word less like the template's word than this is another word."""


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_MAY_BE_MISSING = _set(
    "a an the my our to for of in on at by and me us is are s it 的 了 吧 啊 个 一 把 请 帮 给 我 那 这 在 里 去 来 下"
)
"""Small words that are swallowed when people speak fast."""

SMALL_WORDS = _MAY_BE_MISSING | _set(
    "your this that its was be been am or i you do does did will would can could there then so just please now have has"
    " got with from as 呀 呢 吗 嘛 将 你 您 它 是 和 到 为 成 有 就 都 也 再 还 得 地"
)
"""Words that carry little: they may be too many, or heard as each other."""

_PERSONS = _set("i you")
"""Small words that are not heard as others: who does something matters."""

_OFTEN = {("and", "add"): 0.8, ("had", "add"): 0.8, ("hard", "add"): 0.8}
"""Mishearings that small models make often and that sound less alike than they are."""

_FILLERS = _set(
    "um uh er erm ah oh eh hm well so like okay ok right please just now then hey yeah actually maybe kindly really"
    " 嗯 呃 哦 啊 吧 呢 呀 哎 喂"
)
"""What people say while they think; it may be too much at hardly any cost."""

_SMALL_WEIGHT = 0.4
_SINGLE_WEIGHT = 0.5
"""A Chinese character carries about half of what an English word does."""
_SMALL_MISSING = 0.15
_SMALL_EXTRA = 0.2
_SMALL_OTHER = 0.15
_SMALL_MISHEARD = 0.25
_FILLER_EXTRA = 0.05
_MAX_COST = 1.0
_MIN_CLOSE = 0.52
"""Below this, two words are not even compared with care. Less than `_MIN_LIKENESS`: pieces of words count here."""


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
    exact: int = 0
    """Words that carry meaning, and numbers, heard as they are."""
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
        self._indexes = [_Index(scope) for grammar in grammars for scope in grammar.scopes if scope.templates]
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


class _Index:
    """The templates of a scope by the words they cannot do without."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.is_fixed = scope.grammar.source in (OURS, BUILTIN)
        words = _words_in(rule.expression for rule in scope.rules.values())
        words |= _words_in(template.sentence.expression for template in scope.templates)
        lists = [slot_list for slot_list in scope.lists.values() if isinstance(slot_list, TextSlotList)]
        self.values = _words_in(value.text_in for slot_list in lists for value in slot_list.values)
        self.words = sorted(words | self.values)
        self._sounds = [sound_of(word) for word in self.words]
        self._needs = {
            id(template): template.sentence.get_required_clauses(scope.rules) for template in scope.templates
        }
        clauses = {clause for clauses in self._needs.values() for clause in clauses}
        self._pieces = {piece: _texts(words_of(piece)) for clause in clauses for piece in clause}

    def near(self, words: Sequence[Word]) -> list[frozenset[str]]:
        """For each heard word the words of the templates that it, or it and the next in one, may have been."""
        if not words or not self.words:
            return [frozenset() for _ in words]
        joined = [one.text + two.text for one, two in pairwise(words)]
        heard = [word.text for word in words] + joined
        sounds = [sound_of(word) for word in heard]
        by_sound = cdist(sounds, self._sounds, scorer=Levenshtein.normalized_similarity)
        by_letters = cdist(heard, self.words, scorer=Levenshtein.normalized_similarity)
        close = 0.7 * by_sound + 0.3 * by_letters >= _MIN_CLOSE
        sets = [
            frozenset(compress(self.words, row)) | _beginnings(word) | same_syllable(word)
            for word, row in zip(heard, close, strict=True)
        ]
        pairs = [*sets[len(words) :], frozenset[str]()]
        return [alone | pair for alone, pair in zip(sets, pairs, strict=False)]

    def likely(self, heard: str, near: Sequence[frozenset[str]], first: frozenset[str]) -> Iterator[Template]:
        """Templates that may begin with `first`, and of which every required piece was heard, or something near."""
        folded = heard.casefold()
        anywhere = SMALL_WORDS.union(*near)
        there = {
            piece
            for piece, words in self._pieces.items()
            if piece in folded or sum(word in anywhere for word in words) * 2 >= max(1, len(words))
        }
        for template in self.scope.starting_with(first):
            if all(not there.isdisjoint(clause) for clause in self._needs[id(template)]):
                yield template


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
            droppable = word.text in _FILLERS or word.text in SMALL_WORDS
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
            if not empty and firsts.isdisjoint(self._begins[index]) and firsts.isdisjoint(_MAY_BE_MISSING):
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
        meaning = 0 if small else 1
        if index < len(self._words):
            heard = self._words[index].text
            if heard == word:
                return ((index + 1, _Reading(0.0, weight, meaning)),)
        ways = list(self._other_ways(word, index, small, weight)) if index < len(self._words) else []
        if word in _MAY_BE_MISSING and index > 0 and word not in self._known.numbers:
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
            if word.text in _FILLERS:
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
                yield end, _Reading(0.0, 1.0, 1)

    def _value(self, ways: dict[Place, _Reading]) -> dict[Place, _Reading]:
        if self._fixed_values:
            return {
                place: reading._replace(exact=max(1, reading.exact))
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
    return len(shorter) >= 4 and longer.startswith(shorter) and len(longer) - len(shorter) <= 3


def _texts(words: Iterable[Word]) -> tuple[str, ...]:
    return tuple(word.text for word in words)


def _beginnings(word: str) -> frozenset[str]:
    return frozenset(word[:length] for length in range(1, len(word) + 1))


def _words_in(expressions: Iterable[Expression]) -> frozenset[str]:
    chunks = (part.text for expression in expressions for part in parts_of(expression) if isinstance(part, TextChunk))
    return frozenset(word for chunk in chunks for word in pieces_of(chunk).words)
