"""Can this text be the beginning of a longer sentence? Pure; what endpointing asks while the owner draws breath.

A text that a sentence continues ("set a timer for five minutes" - "and ten seconds") deserves a longer wait than one
that none does ("what time is it").
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import Flag, auto

from hassil import Expression, ListReference, RangeSlotList, Sentence, SlotList, WildcardSlotList

from agentbox.intents.grammar import ANYTHING, NUMBER, Scope, Tail, Template
from agentbox.intents.numbers import goes_on, number_ends
from agentbox.intents.walk import Place, Walker
from agentbox.intents.words import words_of


class Reach(Flag):
    """How a text and a sentence end with respect to each other; several can hold at once."""

    NONE = 0
    MATCH = auto()
    """The sentence ends where the text ends."""
    OPEN = auto()
    """The same, and the last thing heard is a wildcard, which more words would belong to."""
    WORDS = auto()
    """The sentence goes on, with words only: more would say the same ("what time is it" - "right now")."""
    SLOT = auto()
    """The sentence goes on and may say more with a slot ("... five minutes" - "and ten seconds")."""


class Reacher(Walker[bool]):
    """Walks templates along one text, word for word.

    Beside the places in the text there are some past its end: the template goes on there (`_beyond`, and `_beyond
    + 1` once it had a slot there), a wildcard took the rest of the text (`_open`), or more would have to be said after
    such a wildcard (`_nowhere`).
    """

    def __init__(self, text: str, scope: Scope) -> None:
        super().__init__(scope.rules, scope.lists, True)
        self._text = text
        self._scope = scope
        self._language = scope.grammar.language
        self._words = words_of(text)
        self._begins = [_beginnings(word.text, scope) for word in self._words]
        self._end = len(self._words)
        self._beyond = self._end + 1
        self._open = self._end + 3
        self._nowhere = self._end + 4

    def starting(self, *, wild: bool = True) -> Iterator[Template]:
        """The templates of the scope that may begin with the text's first word; `wild`: also as free text."""
        if not self._words:
            return iter(())
        return self._scope.starting_with(self._begins[0] if wild else self._begins[0] - {ANYTHING})

    def reach(self, sentence: Sentence) -> Reach:
        """How `sentence` and the text end with respect to each other."""
        kinds = {self._end: Reach.MATCH, self._beyond: Reach.WORDS, self._beyond + 1: Reach.SLOT}
        kinds[self._open] = Reach.MATCH | Reach.OPEN
        reach = Reach.NONE
        for index in self.ends(sentence.expression):
            reach |= kinds.get(index, Reach.NONE)
        return reach

    def _walk(self, expression: Expression, place: Place) -> dict[Place, bool]:
        index, begun = place
        if index >= self._end and not begun:
            return {(self._past(index, tail), ""): True for tail in self._scope.tails(expression)}
        if not begun:
            firsts, empty = self._scope.firsts(expression)
            if not empty and self._begins[index].isdisjoint(firsts):
                return {}
        return super()._walk(expression, place)

    def _past(self, index: int, tail: Tail) -> int:
        """Where a walk stands past the end of the text when the template goes on there with `tail`."""
        if tail is Tail.NOTHING:
            return index
        if index >= self._open:
            return self._nowhere
        return max(index, self._beyond + (tail is Tail.SLOT))

    def _word(self, word: str, index: int) -> Iterable[tuple[int, bool]]:
        if index < self._end:
            return ((index + 1, True),) if self._words[index].text == word else ()
        if index >= self._open:
            return ()
        return ((max(index, self._beyond), True),)

    def _slot(self, reference: ListReference, slot_list: SlotList, index: int) -> Iterable[tuple[int, bool]]:
        if index >= self._open:
            return
        if index >= self._end:
            yield self._beyond + 1, True
        elif isinstance(slot_list, WildcardSlotList):
            for end in range(index + 1, self._end):
                yield end, True
            yield self._open, True
        else:
            assert isinstance(slot_list, RangeSlotList)
            for end in number_ends(self._text, self._words, index, reference, slot_list, self._language):
                yield end, True
                if end == self._end and goes_on(self._text[self._words[index].start :], slot_list, self._language):
                    yield self._beyond + 1, True

    def _value(self, ways: dict[Place, bool]) -> dict[Place, bool]:
        beyond = (self._beyond, self._beyond + 1)
        return {(self._beyond + 1 if index in beyond else index, begun): True for index, begun in ways}

    def _join(self, first: bool, second: bool) -> bool:
        return first and second

    def _better(self, first: bool, second: bool) -> bool:
        return False


def _beginnings(word: str, scope: Scope) -> frozenset[str]:
    """What a template's first word may be or begin with (see `Scope.firsts`) to match this word."""
    pieces = {word[:length] for length in range(1, len(word) + 1)} | {ANYTHING}
    if scope.grammar.begins_number(word):
        pieces.add(NUMBER)
    return frozenset(pieces)
