"""Walks through parsed sentence templates along the words of a text, remembering what was found.

hassil's own matcher answers "does this text match?". Two more questions need a walk that looks at the same parsed
expressions in another way: may the text go on (`continuation`), and which sentence is it nearest to (`forgiving`)?
Shared rules such as a length of time are walked once for each position of the text, whichever sentence names them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Generic, TypeVar

from hassil import (
    Alternative,
    Expression,
    ListReference,
    Permutation,
    RuleReference,
    Sentence,
    Sequence,
    SlotList,
    TextChunk,
    TextSlotList,
)

from agentbox.intents.words import pieces_of

Place = tuple[int, str]
"""Where a walk stands: the index of the next word, and the beginning of a template's word that is not yet whole."""

R = TypeVar("R")


class Walker(ABC, Generic[R]):
    """Walks expressions along one text. Each way has a reading `R`; of two ways to one place the better is kept.

    A subclass says what a word and a slot cost (`_word`, `_slot`) and how readings add up (`_join`, `_better`).
    `rules` and `lists` are those of the sentences walked; expressions are told apart by identity, so they must stay
    alive as long as the walker.
    """

    def __init__(self, rules: Mapping[str, Sentence], lists: Mapping[str, SlotList], start: R) -> None:
        self._rules = rules
        self._lists = lists
        self._start = start
        self._found: dict[tuple[int, Place], dict[Place, R]] = {}

    def ends(self, expression: Expression) -> dict[int, R]:
        """Where the walk may stand when the whole `expression` has been said from the text's beginning on."""
        ends = self._whole(self._walk(expression, (0, "")))
        return {index: reading for (index, _), reading in ends.items()}

    @abstractmethod
    def _word(self, word: str, index: int) -> Iterable[tuple[int, R]]:
        """Ways to hear the template's `word` at `index`: the next index and its reading."""

    @abstractmethod
    def _slot(self, reference: ListReference, slot_list: SlotList, index: int) -> Iterable[tuple[int, R]]:
        """Ways to hear a number or a wildcard at `index`."""

    def _value(self, ways: dict[Place, R]) -> dict[Place, R]:
        """What becomes of the ways through one value of a list."""
        return ways

    @abstractmethod
    def _join(self, first: R, second: R) -> R:
        """The reading of one way after another."""

    @abstractmethod
    def _better(self, first: R, second: R) -> bool:
        """Whether `first` is better than `second`."""

    def _walk(self, expression: Expression, place: Place) -> dict[Place, R]:
        key = (id(expression), place)
        known = self._found.get(key)
        if known is None:
            self._found[key] = known = self._walk_anew(expression, place)
        return known

    def _walk_anew(self, expression: Expression, place: Place) -> dict[Place, R]:
        if isinstance(expression, TextChunk):
            return self._walk_literal(expression, place)
        if isinstance(expression, Sequence):
            ways = {place: self._start}
            for item in expression.items:
                ways = self._walk_on(ways, item)
                if not ways:
                    break
            return ways
        if isinstance(expression, Alternative):
            return self._merge(self._walk(item, place) for item in expression.items)
        if isinstance(expression, Permutation):
            return self._walk_permutation(expression.items, place)
        if isinstance(expression, RuleReference):
            return self._walk(self._rules[expression.rule_name].expression, place)
        assert isinstance(expression, ListReference)
        return self._walk_list(expression, place)

    def _walk_literal(self, chunk: TextChunk, place: Place) -> dict[Place, R]:
        pieces = pieces_of(chunk.text)
        ways = {place: self._start}
        if not pieces.words:
            return ways if pieces.joins_before else self._whole(ways)
        for number, word in enumerate(pieces.words):
            joins = pieces.joins_before and number == 0 and _alike(place[1], word)
            if not joins:
                ways = self._whole(ways)
            ways = {(index, begun + word): reading for (index, begun), reading in ways.items()}
        return ways if pieces.joins_after else self._whole(ways)

    def _walk_list(self, reference: ListReference, place: Place) -> dict[Place, R]:
        slot_list = self._lists[reference.list_name]
        if isinstance(slot_list, TextSlotList):
            return self._merge(self._value(self._walk(value.text_in, place)) for value in slot_list.values)
        ways: dict[Place, R] = {}
        for (index, _), before in self._whole({place: self._start}).items():
            for end, reading in self._slot(reference, slot_list, index):
                self._keep(ways, (end, ""), self._join(before, reading))
        return ways

    def _walk_permutation(self, items: list[Expression], place: Place) -> dict[Place, R]:
        if not items:
            return {place: self._start}
        ways: dict[Place, R] = {}
        for number, item in enumerate(items):
            rest = items[:number] + items[number + 1 :]
            for middle, before in self._walk(item, place).items():
                for end, after in self._walk_permutation(rest, middle).items():
                    self._keep(ways, end, self._join(before, after))
        return ways

    def _walk_on(self, ways: dict[Place, R], expression: Expression) -> dict[Place, R]:
        further: dict[Place, R] = {}
        for place, before in ways.items():
            for end, after in self._walk(expression, place).items():
                self._keep(further, end, self._join(before, after))
        return further

    def _whole(self, ways: dict[Place, R]) -> dict[Place, R]:
        """The template's word ends here: hear it."""
        if all(not begun for _, begun in ways):
            return ways
        ended: dict[Place, R] = {}
        for (index, begun), before in ways.items():
            if begun:
                for end, reading in self._word(begun, index):
                    self._keep(ended, (end, ""), self._join(before, reading))
            else:
                self._keep(ended, (index, ""), before)
        return ended

    def _merge(self, many: Iterable[dict[Place, R]]) -> dict[Place, R]:
        merged: dict[Place, R] = {}
        for ways in many:
            for place, reading in ways.items():
                self._keep(merged, place, reading)
        return merged

    def _keep(self, ways: dict[Place, R], place: Place, reading: R) -> None:
        known = ways.get(place)
        if known is None or self._better(reading, known):
            ways[place] = reading


def _alike(begun: str, word: str) -> bool:
    """Letters join letters and digits join digits; "5" and "h" stay two words, as they are in a text."""
    return not begun or begun.isdigit() == word.isdigit()
