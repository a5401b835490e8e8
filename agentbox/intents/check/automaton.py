"""Sentence templates as automata over words, to find a text that two of them can both read.

Rules and lists are compiled once for each scope and called; a state is a node and the nodes to return to. Only where a
word is put together from pieces ("order[s]") is a rule written out in place. Number words are digits on both sides.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeAlias

from hassil import (
    Alternative,
    Expression,
    Group,
    ListReference,
    Permutation,
    RangeSlotList,
    RuleReference,
    Sequence,
    SlotList,
    TextChunk,
    TextSlotList,
)

from agentbox.intents.grammar import Scope, Template
from agentbox.intents.numbers import NumberWords
from agentbox.intents.words import is_single, pieces_of

_MAX_PAIRS = 4_000
"""Pairs of states that are looked at for two templates; where two hundred are many, this many are a maze."""


class Numbers(NamedTuple):
    """Any number of a range."""

    first: int
    last: int
    step: int


class Free(NamedTuple):
    """Any one word."""


Label: TypeAlias = str | Numbers | Free
Stack: TypeAlias = "tuple[int, Stack] | None"
State: TypeAlias = tuple[int, Stack]
Place: TypeAlias = tuple[int, str]
"""A node, and the beginning of a word that is not yet whole."""


class Moves(NamedTuple):
    """What a state leads to, and whether a sentence may be over there."""

    steps: tuple[tuple[Label, State], ...]
    over: bool


class Automata:
    """All templates that were asked for, in one graph."""

    def __init__(self, numbers: NumberWords) -> None:
        self._numbers = numbers
        self._arcs: list[list[tuple[Label, int]]] = []
        self._empty: list[list[int]] = []
        self._calls: list[list[tuple[int, int]]] = []
        self._ends: set[int] = set()
        self._starts: dict[tuple[int, str], int] = {}
        self._moves: dict[State, Moves] = {}
        self._joining: dict[tuple[int, int], tuple[bool, bool]] = {}
        self._kept: list[object] = []
        """Expressions are told apart by identity, so they must stay alive."""

    def start(self, scope: Scope, template: Template) -> State:
        """The state before the first word of a template."""
        return self._fragment(scope, f"sentence {id(template.sentence)}", [template.sentence.expression]), None

    def moves(self, state: State) -> Moves:
        """What can be said next in a state."""
        known = self._moves.get(state)
        if known is None:
            self._moves[state] = known = self._look(state)
        return known

    def _look(self, state: State) -> Moves:
        steps: dict[tuple[Label, State], None] = {}
        over = False
        seen = {state}
        rest = [state]
        while rest:
            node, stack = rest.pop()
            steps |= dict.fromkeys((label, (target, stack)) for label, target in self._arcs[node])
            nearby: list[State] = [(target, stack) for target in self._empty[node]]
            nearby += [(first, (target, stack)) for first, target in self._calls[node]]
            if node in self._ends:
                if stack is None:
                    over = True
                else:
                    nearby.append(stack)
            rest += [one for one in nearby if one not in seen]
            seen.update(nearby)
        return Moves(tuple(steps), over)

    def _node(self) -> int:
        self._arcs.append([])
        self._empty.append([])
        self._calls.append([])
        return len(self._arcs) - 1

    def _fragment(self, scope: Scope, name: str, ways: Iterable[Expression]) -> int:
        key = (id(scope), name)
        if key not in self._starts:
            self._kept.append(scope)
            start, end = self._node(), self._node()
            self._starts[key] = start
            self._ends.add(end)
            for way in ways:
                for place in self._walk(scope, way, {(start, "")}, joined=False):
                    self._empty[self._whole(place)].append(end)
        return self._starts[key]

    def _walk(self, scope: Scope, expression: Expression, places: set[Place], joined: bool) -> set[Place]:
        """Where what `expression` says ends. `joined`: what comes after may go on with its last word."""
        if not places:
            return places
        if isinstance(expression, TextChunk):
            return {self._text(expression.text, place) for place in places}
        if isinstance(expression, Sequence):
            return self._in_order(scope, expression.items, places, joined)
        if isinstance(expression, Alternative):
            ends = {end for item in expression.items for end in self._walk(scope, item, places, joined)}
            return self._join(ends)
        if isinstance(expression, Permutation):
            return self._permutation(scope, expression.items, places)
        if isinstance(expression, RuleReference):
            inner = [scope.rules[expression.rule_name].expression]
            return self._call(scope, f"<{expression.rule_name}>", inner, places, joined)
        assert isinstance(expression, ListReference)
        return self._list(scope, expression.list_name, scope.lists[expression.list_name], places, joined)

    def _in_order(self, scope: Scope, items: list[Expression], places: set[Place], joined: bool) -> set[Place]:
        for number, item in enumerate(items):
            on = joined
            for later in reversed(items[number + 1 :]):
                joins, empty = self._joins(scope, later)
                on = joins or (empty and on)
            places = self._walk(scope, item, places, on)
        return self._join(places)

    def _joins(self, scope: Scope, expression: Expression) -> tuple[bool, bool]:
        """Whether `expression` may go on with a word that began before it, and whether it may be empty."""
        if isinstance(expression, TextChunk):
            pieces = pieces_of(expression.text)
            return bool(pieces.words) and pieces.joins_before, not expression.text
        key = (id(scope), id(expression))
        known = self._joining.get(key)
        if known is None:
            self._joining[key] = known = self._joins_anew(scope, expression)
        return known

    def _joins_anew(self, scope: Scope, expression: Expression) -> tuple[bool, bool]:
        if isinstance(expression, RuleReference):
            return self._joins(scope, scope.rules[expression.rule_name].expression)
        if isinstance(expression, ListReference):
            slot_list = scope.lists[expression.list_name]
            values = slot_list.values if isinstance(slot_list, TextSlotList) else ()
            return any(self._joins(scope, value.text_in)[0] for value in values), False
        assert isinstance(expression, Group)
        parts = [self._joins(scope, item) for item in expression.items]
        if not isinstance(expression, Sequence):
            return any(joins for joins, _ in parts), any(empty for _, empty in parts)
        for joins, empty in parts:
            if joins or not empty:
                return joins, False
        return False, True

    def _list(self, scope: Scope, name: str, slot_list: SlotList, places: set[Place], joined: bool) -> set[Place]:
        if isinstance(slot_list, TextSlotList):
            return self._call(scope, f"{{{name}}}", [value.text_in for value in slot_list.values], places, joined)
        before = self._meet(self._whole(place) for place in places)
        after = self._node()
        if isinstance(slot_list, RangeSlotList):
            self._arcs[before].append((Numbers(slot_list.start, slot_list.stop, slot_list.step), after))
        else:
            self._arcs[before].append((Free(), after))
            self._arcs[after].append((Free(), after))
        return {(after, "")}

    def _call(self, scope: Scope, name: str, ways: list[Expression], places: set[Place], joined: bool) -> set[Place]:
        """Say one of `ways`: called where whole words stand around it, else written out."""
        begun = {place for place in places if joined or place[1]}
        ends = self._join({end for way in ways for end in self._walk(scope, way, begun, joined)})
        if begun == places:
            return ends
        target = self._node()
        start = self._fragment(scope, name, ways)
        for node, _ in places - begun:
            self._calls[node].append((start, target))
        return ends | {(target, "")}

    def _permutation(self, scope: Scope, items: list[Expression], places: set[Place]) -> set[Place]:
        """All orders; which items have been said counts for how it goes on, not in which order they were."""
        ways: dict[frozenset[int], set[Place]] = {frozenset(): places}
        for _ in items:
            longer: dict[frozenset[int], set[Place]] = {}
            for said, here in ways.items():
                for number, item in enumerate(items):
                    if number not in said:
                        longer.setdefault(said | {number}, set()).update(self._walk(scope, item, here, joined=True))
            ways = {said: self._join(ends) for said, ends in longer.items()}
        return ways.get(frozenset(range(len(items))), places)

    def _join(self, places: set[Place]) -> set[Place]:
        """Places at which the same letters have begun become one."""
        by_begun: dict[str, list[int]] = {}
        for node, begun in sorted(places):
            by_begun.setdefault(begun, []).append(node)
        return {(self._meet(nodes), begun) for begun, nodes in by_begun.items()}

    def _meet(self, nodes: Iterable[int]) -> int:
        several = list(nodes)
        if len(several) == 1:
            return several[0]
        target = self._node()
        for node in several:
            self._empty[node].append(target)
        return target

    def _whole(self, place: Place) -> int:
        node, begun = place
        if not begun:
            return node
        target = self._node()
        self._arcs[node].append((begun, target))
        return target

    def _text(self, text: str, place: Place) -> Place:
        pieces = pieces_of(self._numbers.to_digits(text))
        if not pieces.words:
            return place if pieces.joins_before else (self._whole(place), "")
        for number, word in enumerate(pieces.words):
            begun = place[1]
            if number or not pieces.joins_before or (begun and begun.isdigit() != word.isdigit()):
                place = (self._whole(place), "")
            place = (place[0], place[1] + word)
        return place if pieces.joins_after else (self._whole(place), "")


def common_texts(
    automata: Automata, first: State, second: State, any_word: str = "pizza", most: int = 4
) -> Iterator[str]:
    """Texts that both can read, the shortest first; none where there is none (or where it takes too long to tell).

    `any_word` is said where both take any word; at most `most` texts are given.
    """
    pairs = {(first, second)}
    queue: deque[tuple[State, State, tuple[str, ...]]] = deque([(first, second, ())])
    found = 0
    while queue and len(pairs) < _MAX_PAIRS:
        one, other, said = queue.popleft()
        ones, others = automata.moves(one), automata.moves(other)
        if ones.over and others.over:
            yield joined(said)
            found += 1
            if found == most:
                return
        for label, after in ones.steps:
            for other_label, other_after in others.steps:
                word = _both(label, other_label, any_word)
                pair = (after, other_after)
                if word is not None and pair not in pairs:
                    pairs.add(pair)
                    queue.append((after, other_after, (*said, word)))


def joined(words: Iterable[str]) -> str:
    """A text of these words, without spaces between characters of scripts that have none."""
    text = ""
    for word in words:
        text += word if not text or (is_single(word) and is_single(text[-1])) else f" {word}"
    return text


def _both(one: Label, other: Label, any_word: str) -> str | None:
    """A word that two labels have in common."""
    if isinstance(one, Free):
        one, other = other, one
    if isinstance(other, Free):
        return any_word if isinstance(one, Free) else one if isinstance(one, str) else str(one.first)
    if isinstance(other, str):
        one, other = other, one
    if isinstance(one, str):
        return one if one == other or (not isinstance(other, str) and _holds(other, one)) else None
    assert isinstance(one, Numbers)
    assert isinstance(other, Numbers)
    common = range(max(one.first, other.first), min(one.last, other.last) + 1)
    return next((str(number) for number in common if number in _range(one) and number in _range(other)), None)


def _holds(label: Label, word: str) -> bool:
    return isinstance(label, Numbers) and word.isdecimal() and int(word) in _range(label)


def _range(numbers: Numbers) -> range:
    return range(numbers.first, numbers.last + 1, numbers.step)
