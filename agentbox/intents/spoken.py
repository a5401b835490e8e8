"""Sentence templates as a speech grammar: what hassil would read, as a graph of the words that can be said.

A template's words may be put together from pieces ("hour[s]"), so a way through a template has a place: the node it
has come to and the letters of a word that has begun there. Rules and lists become rules of the grammar and stand there
once; only where a piece of a word meets one is it written out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import msgspec
from hassil import (
    Alternative,
    Expression,
    Group,
    ListReference,
    Permutation,
    RangeSlotList,
    RuleReference,
    TextChunk,
    TextSlotList,
    TextSlotValue,
    check_excluded_context,
    check_required_context,
)
from hassil import Sequence as InOrder

from agentbox import caches
from agentbox.intents.grammar import Grammar, Scope, Template
from agentbox.intents.numbers import spelled
from agentbox.intents.surfaces import LONGEST_SPAN, Surfaces, minutes
from agentbox.messages import JSON
from agentbox.speech_grammar import END_NODE, START_NODE, Arc, Call, Free, Label, Nothing, Rule, Say, SpeechGrammar

_PUNCTUATION = re.compile(r"[\"“”,.?!;:()。，？！、；：…]+")
_MOST_SPELLED = 1_000
"""Numbers of one list that are spelled in words; of a longer list only the digits are known."""
_MOST_NUMBERS = 20_000

_KIND = "grammar"
"""The kind of file that keeps a speech grammar (see `caches`)."""


class Place(NamedTuple):
    """Where a way through a template stands: a node, and the letters of the word begun there."""

    node: int
    begun: str = ""


class Spoken:
    """The sentences of several grammars of one language as one speech grammar.

    `grammar` is made when it is first asked for, or read from the folder `cache` where it was made before.
    """

    def __init__(self, language: str, grammars: Sequence[Grammar], cache: Path | None = None) -> None:
        self._language = language
        self._cache = cache
        self._digest = caches.digest(language, *(grammar.digest for grammar in grammars))
        self._groups = [group for number, grammar in enumerate(grammars) for group in _groups(number, grammar)]

    @cached_property
    def grammar(self) -> SpeechGrammar:
        """Everything that may be said. What needs a list without values is a dead end in it."""
        kept = caches.read(self._cache, _KIND, self._digest, SpeechGrammar) if self._cache else None
        if kept is not None:
            return kept
        maker = SpeechGrammarMaker(self._language)
        for group in self._groups:
            maker.add(group.name, group.scope, group.templates)
        if self._cache is not None:
            caches.write(self._cache, _KIND, self._digest, maker.grammar())
        return maker.grammar()

    def active(self, context: Mapping[str, JSON]) -> list[str]:
        """The roots whose sentences can be meant in `context`."""
        return [group.name for group in self._groups if group.scope.grammar.possible(group.templates[0].block, context)]


class _Group(NamedTuple):
    """Sentences that the same contexts make possible: one root."""

    name: str
    scope: Scope
    templates: list[Template]


def _groups(number: int, grammar: Grammar) -> Iterator[_Group]:
    for index, scope in enumerate(grammar.scopes):
        alike: dict[bytes, list[Template]] = {}
        for template in scope.templates:
            alike.setdefault(_signature(template), []).append(template)
        for group, templates in enumerate(alike.values()):
            yield _Group(f"{number}.{index}.{group}", scope, templates)


class SpeechGrammarMaker:
    """Collects sentences into one speech grammar."""

    def __init__(self, language: str) -> None:
        self.language = language
        self.surfaces = Surfaces(language)
        self.rules: dict[str, Rule] = {}
        self._roots: list[str] = []

    def add(self, name: str, scope: Scope, templates: Iterable[Template]) -> None:
        """A root of the name `name` for some sentences of `scope`; names have the form `x.y.z`, `x.y` the scope's."""
        _Maker(self, name.rsplit(".", 1)[0], scope).sentences(name, templates)
        self._roots.append(name)

    def grammar(self) -> SpeechGrammar:
        """Everything added so far."""
        return SpeechGrammar(self.language, self.surfaces.spaced, self.rules, tuple(self._roots))


def _signature(template: Template) -> bytes:
    block = template.block
    return msgspec.json.encode((block.requires_context, block.excludes_context), order="sorted", enc_hook=str)


class _Graph:
    """A rule under way."""

    def __init__(self) -> None:
        self.arcs: list[Arc] = []
        self._count = 2

    @property
    def nodes(self) -> range:
        return range(self._count)

    def node(self) -> int:
        self._count += 1
        return self._count - 1

    def arc(self, source: int, label: Label, target: int | None = None) -> int:
        """Lead from `source` to `target`, or to a new node; gives the target."""
        target = self.node() if target is None else target
        self.arcs.append(Arc(source, target, label))
        return target

    def meet(self, nodes: Iterable[int], target: int | None = None) -> int:
        """One node that all `nodes` lead to."""
        several = list(dict.fromkeys(nodes))
        if target is None and len(several) == 1:
            return several[0]
        target = self.node() if target is None else target
        for node in several:
            self.arc(node, Nothing(), target)
        return target


class _Maker:
    """Makes the rules of one scope."""

    def __init__(self, maker: SpeechGrammarMaker, name: str, scope: Scope) -> None:
        self._rules = maker.rules
        self._surfaces = maker.surfaces
        self._language = maker.language
        self._name = name
        self._scope = scope
        self._block: Template | None = None
        self._dependent: dict[str, bool] = {}

    def sentences(self, name: str, templates: Iterable[Template]) -> None:
        """One rule for sentences with the same conditions."""
        graph = _Graph()
        for template in templates:
            self._block = template
            self._end(graph, self._walk(graph, template.sentence.expression, {Place(START_NODE)}))
        skipped = self._skipped()
        if skipped is not None:
            for node in graph.nodes:
                graph.arc(node, Call(skipped), node)
        self._rules[name] = Rule(tuple(graph.arcs))

    def _skipped(self) -> str | None:
        """The rule for words that mean nothing and may be said between any two parts of a sentence ("please")."""
        words = self._scope.grammar.intents.skip_words
        full = f"{self._name}.skip"
        if words and full not in self._rules:
            says = (Say("", (word, *self._surfaces.word(word).spoken)) for word in words)
            self._rules[full] = Rule(tuple(Arc(START_NODE, END_NODE, say) for say in says))
        return full if words else None

    def _end(self, graph: _Graph, places: set[Place]) -> None:
        for node in {self._whole(graph, place).node for place in places}:
            graph.arc(node, Nothing(), END_NODE)

    def _walk(self, graph: _Graph, expression: Expression, places: set[Place], joined: bool = False) -> set[Place]:
        """Lead from `places` through `expression`. `joined`: what comes after it may begin in the middle of a word."""
        if not places:
            return places
        if isinstance(expression, TextChunk):
            return self._join(graph, {self._text(graph, expression.original_text, place) for place in places})
        if isinstance(expression, InOrder):
            for number, item in enumerate(expression.items):
                places = self._walk(graph, item, places, self._may_join(expression.items[number + 1 :], joined))
            return places
        if isinstance(expression, Alternative):
            ends = (self._walk(graph, item, places, joined) for item in expression.items)
            return self._join(graph, {end for several in ends for end in several})
        if isinstance(expression, Permutation):
            return self._permutation(graph, expression.items, places, joined)
        # A rule or a list stands in the grammar once; where its first or last word is part of a longer one ("{day}s"),
        # it has to be written out.
        begun = places if joined else {place for place in places if place.begun}
        ends_here = self._written_out(graph, expression, begun, joined) if begun else set()
        return self._join(graph, ends_here | self._called(graph, expression, places - begun))

    def _written_out(self, graph: _Graph, expression: Expression, places: set[Place], joined: bool) -> set[Place]:
        if isinstance(expression, RuleReference):
            return self._walk(graph, self._scope.rules[expression.rule_name].expression, places, joined)
        assert isinstance(expression, ListReference)
        slot_list = self._scope.lists[expression.list_name]
        if isinstance(slot_list, TextSlotList):
            ends = (self._walk(graph, value.text_in, places, joined) for value in self._possible(slot_list))
            return {end for several in ends for end in several}
        return self._called(graph, expression, places)

    def _called(self, graph: _Graph, expression: Expression, places: set[Place]) -> set[Place]:
        if not places:
            return set()
        before = graph.meet(self._whole(graph, place).node for place in places)
        if isinstance(expression, RuleReference):
            return {Place(graph.arc(before, Call(self._rule(expression.rule_name))))}
        assert isinstance(expression, ListReference)
        slot_list = self._scope.lists[expression.list_name]
        if isinstance(slot_list, TextSlotList):
            return {Place(graph.arc(before, Call(self._values(expression.list_name, slot_list))))}
        if isinstance(slot_list, RangeSlotList):
            return {Place(graph.arc(before, Call(self._range(slot_list))))}
        return {Place(graph.arc(before, Free()))}

    def _may_join(self, following: Sequence[Expression], joined: bool) -> bool:
        """Whether the next thing said of `following`, or (`joined`) of what comes after, may go on in a word."""
        if not self._surfaces.spaced:
            return False
        for item in following:
            if isinstance(item, TextChunk):
                if item.original_text:
                    return item.original_text[0].isalnum()
            elif isinstance(item, Alternative):
                if any(self._may_join([part], joined=False) for part in item.items):
                    return True
                if not any(isinstance(part, TextChunk) and part.is_empty for part in item.items):
                    return False
            elif isinstance(item, InOrder):
                return self._may_join([*item.items, *following[following.index(item) + 1 :]], joined)
            else:
                return False
        return joined

    def _join(self, graph: _Graph, places: set[Place]) -> set[Place]:
        """Ways with as many letters begun go on together."""
        by_begun: dict[str, list[int]] = {}
        for node, begun in sorted(places):
            by_begun.setdefault(begun, []).append(node)
        return {Place(graph.meet(nodes), begun) for begun, nodes in by_begun.items()}

    def _permutation(self, graph: _Graph, items: list[Expression], places: set[Place], joined: bool) -> set[Place]:
        """All orders; which items are said counts for how it goes on, not in which order they were."""
        ways: dict[frozenset[int], set[Place]] = {frozenset(): places}
        for _ in items:
            longer: dict[frozenset[int], set[Place]] = {}
            for said, here in ways.items():
                for number, item in enumerate(items):
                    if number not in said:
                        longer.setdefault(said | {number}, set()).update(self._walk(graph, item, here, joined))
            ways = {said: self._join(graph, ends) for said, ends in longer.items()}
        return ways.get(frozenset(range(len(items))), places)

    def _whole(self, graph: _Graph, place: Place) -> Place:
        """The word that has begun is over."""
        if not place.begun:
            return place
        surface = self._surfaces.word(place.begun)
        return Place(graph.arc(place.node, Say(place.begun, surface.spoken, surface.glued)))

    def _text(self, graph: _Graph, text: str, place: Place) -> Place:
        words = _PUNCTUATION.sub(" ", text).split()
        if not words:
            return self._whole(graph, place) if text else place
        if not self._surfaces.spaced or text[0].isspace() or not _continues(place.begun, words[0]):
            place = self._whole(graph, place)
        first = place.begun + words[0]
        joins_on = self._surfaces.spaced and not text[-1].isspace()
        words = [first, *words[1:]]
        begun = words.pop() if joins_on else ""
        return Place(self._words(graph, place.node, words), begun)

    def _words(self, graph: _Graph, node: int, words: list[str]) -> int:
        nodes = [node]
        for word in words:
            surface = self._surfaces.word(word)
            nodes.append(graph.arc(nodes[-1], Say(word, surface.spoken, surface.glued)))
        for first in range(len(words)):
            for end in range(first + 2, min(first + LONGEST_SPAN, len(words)) + 1):
                run = " ".join(words[first:end])
                span = self._surfaces.span(run)
                if span is not None:
                    graph.arc(nodes[first], Say(run, span.spoken, span.glued), nodes[end])
        return nodes[-1]

    def _rule(self, name: str) -> str:
        full = f"{self._name}.<{name}>{self._conditions() if self._depends(RuleReference(rule_name=name)) else ''}"
        if full not in self._rules:
            self._rules[full] = Rule(())  # holds the place: rules may be asked for again while this one is made
            graph = _Graph()
            self._end(graph, self._walk(graph, self._scope.rules[name].expression, {Place(START_NODE)}))
            self._rules[full] = Rule(tuple(graph.arcs))
        return full

    def _possible(self, slot_list: TextSlotList) -> list[TextSlotValue]:
        """The values of a list that fit the contexts of the sentence that is being made."""
        assert self._block is not None
        requires, excludes = self._block.block.requires_context, self._block.block.excludes_context
        return [
            value
            for value in slot_list.values
            if not value.context
            or (
                check_required_context(requires, value.context, allow_missing_keys=True)
                and check_excluded_context(excludes, value.context)
            )
        ]

    def _conditions(self) -> str:
        """Part of the name of what is made for the sentences of these contexts alone."""
        assert self._block is not None
        return f".{_signature(self._block)!r}"

    def _depends(self, expression: Expression) -> bool:
        """Whether what can be said there depends on the contexts of the sentence."""
        if isinstance(expression, RuleReference):
            name = expression.rule_name
            if name not in self._dependent:
                self._dependent[name] = self._depends(self._scope.rules[name].expression)
            return self._dependent[name]
        if isinstance(expression, ListReference):
            slot_list = self._scope.lists.get(expression.list_name)
            return isinstance(slot_list, TextSlotList) and any(value.context for value in slot_list.values)
        return isinstance(expression, Group) and any(self._depends(item) for item in expression.items)

    def _values(self, name: str, slot_list: TextSlotList) -> str:
        possible = self._possible(slot_list)
        full = f"{self._name}.{{{name}}}{'' if len(possible) == len(slot_list.values) else self._conditions()}"
        if full not in self._rules:
            self._rules[full] = Rule(())
            graph = _Graph()
            for value in possible:
                self._end(graph, self._walk(graph, value.text_in, {Place(START_NODE)}))
            self._rules[full] = Rule(tuple(graph.arcs))
        return full

    def _range(self, numbers: RangeSlotList) -> str:
        full = f"{numbers.start}..{numbers.stop},{numbers.step},{numbers.fraction_type},{numbers.words_language}"
        full += "" if numbers.digits else ",words"
        if full not in self._rules:
            count = (numbers.stop - numbers.start) // numbers.step + 1
            arcs = [
                Arc(START_NODE, END_NODE, self._number(numbers, number, words=count <= _MOST_SPELLED))
                for number in islice(numbers.get_numbers(), _MOST_NUMBERS)
            ]
            self._rules[full] = Rule(tuple(arcs))
        return full

    def _number(self, numbers: RangeSlotList, number: float, *, words: bool) -> Say:
        digits = str(int(number)) if number == int(number) else f"{number:g}"
        said = []
        if words and number == int(number):
            said = spelled(numbers, abs(int(number)), self._language)
            if number < 0:
                said = [f"{sign} {word}" for word in said for sign in ("minus", "negative")]
        glued = minutes(self._language, int(number)) if number == int(number) else ()
        canonical = digits if numbers.digits or not said else said[0]
        return Say(canonical, tuple(dict.fromkeys((*said, digits))), glued)


def _continues(begun: str, word: str) -> bool:
    """Letters join letters and digits join digits to one word; "5" and "h" stay two."""
    return not begun or begun[-1].isdigit() == word[0].isdigit()
