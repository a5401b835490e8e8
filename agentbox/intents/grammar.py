"""The sentences of one origin, parsed: the community's, ours, or one file of the owner's."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from enum import IntEnum
from functools import cached_property
from itertools import chain, islice
from typing import NamedTuple

import msgspec
from hassil import (
    Alternative,
    Expression,
    Group,
    IntentData,
    Intents,
    ListReference,
    RangeSlotList,
    RuleReference,
    Sentence,
    SlotList,
    TextChunk,
    TextSlotList,
    check_excluded_context,
    check_required_context,
)
from hassil import Sequence as InOrder
from hassil.intents import Intent
from hassil.sample import sample_expression
from hassil.util import CJK_WHITESPACE

from agentbox.caches import digest
from agentbox.intents.numbers import first_words
from agentbox.intents.spaces import loosen
from agentbox.intents.words import pieces_of
from agentbox.messages import JSON

OURS = "agentbox"
BUILTIN = "builtin"

_WAYS = 4
"""Of a list's value that is a template ("[the] TV"), so many ways to say it are given out."""

_NAME_CONTEXT = {"domain": "todo"}
"""In the community's sentences `{name}` is any device, told apart by its domain; ours are lists to write on."""


class Tail(IntEnum):
    """What a part of a template can add to a sentence, the more telling the higher."""

    NOTHING = 0
    WORDS = 1
    SLOT = 2


_ONLY = {tail: frozenset((tail,)) for tail in Tail}


class Template(NamedTuple):
    """One sentence template: the intent it belongs to, its block (slots, contexts) and the parsed sentence."""

    intent: str
    block: IntentData
    sentence: Sentence


class Grammar:
    """The templates of one origin, with their rules and lists, ready to be matched.

    `values` is the hassil format as plain data, already checked. `slot_values` are names for lists that the sentences
    name and do not define; a list nobody fills is empty. `per_sentence`: keep each template as its own block, so that
    hassil can be given a few of them.
    """

    def __init__(
        self,
        source: str,
        values: Mapping[str, JSON],
        slot_values: Mapping[str, Sequence[str]],
        *,
        per_sentence: bool = False,
    ) -> None:
        self.source = source
        self.per_sentence = per_sentence
        self.language: str = values["language"]
        self.digest = digest(msgspec.json.encode((values, slot_values, per_sentence), enc_hook=str))
        """The same for the same sentences."""
        self.intents = Intents.from_dict(_split(values) if per_sentence else dict(values))
        self._fill_lists(slot_values)
        if self.intents.settings.ignore_whitespace:
            self._loosen()
        for slot_list in self._all_lists():
            if isinstance(slot_list, RangeSlotList) and slot_list.multiplier is not None:
                # hassil (3.12) remembers number words by range alone: "down by ten" became +10 once "up by ten" had
                # been heard. Such numbers are read as digits, which `NumberWords.to_digits` makes of words.
                slot_list.digits, slot_list.words = True, False
        self.context_keys = frozenset(key for slot_list in self._all_lists() for key in _context_keys(slot_list))
        self.scopes: list[Scope] = []
        shared = Scope(self, self.intents.expansion_rules, self.intents.slot_lists)
        for intent in self.intents.intents.values():
            for block in intent.data:
                scope = shared
                if block.expansion_rules or block.slot_lists:
                    rules = {**self.intents.expansion_rules, **block.expansion_rules}
                    scope = Scope(self, rules, {**self.intents.slot_lists, **block.slot_lists})
                    self.scopes.append(scope)
                for sentence in block.sentences:
                    scope.add(Template(intent.name, block, sentence))
        self.scopes.append(shared)

    def subset(self, templates: Iterable[Template]) -> Intents:
        """These templates alone (blocks hold one sentence each: `per_sentence`)."""
        chosen: dict[str, Intent] = {}
        for intent, block, _ in templates:
            chosen.setdefault(intent, Intent(intent)).data.append(block)
        whole = self.intents
        return Intents(
            whole.language, chosen, whole.slot_lists, whole.expansion_rules, whole.skip_words, whole.settings
        )

    def values_said(self, but: Collection[str]) -> Iterator[str]:
        """How the values of text lists are said, those with choices in them in a few ways; not of the lists `but`, nor
        where anything may be said for a part of a value."""
        whole = self.intents
        scopes = [(whole.slot_lists, whole.slot_lists, whole.expansion_rules)]
        for block in chain.from_iterable(intent.data for intent in whole.intents.values()):
            rules = {**whole.expansion_rules, **block.expansion_rules}
            scopes.append((block.slot_lists, {**whole.slot_lists, **block.slot_lists}, rules))
        for own, lists, rules in scopes:
            for name, slot_list in own.items():
                if name not in but and isinstance(slot_list, TextSlotList):
                    for value in slot_list.values:
                        ways = islice(sample_expression(value.text_in, lists, rules), _WAYS)
                        yield from (said for said in ways if "{" not in said)

    def possible(self, block: IntentData, context: Mapping[str, JSON]) -> bool:
        """Whether a block's contexts can hold: each key it requires is there, or a list's value may bring it."""
        known = dict(context)
        return (
            all(key in known or key in self.context_keys for key in block.requires_context)
            and check_required_context(block.requires_context, known, allow_missing_keys=True)
            and check_excluded_context(block.excludes_context, known)
        )

    def begins_number(self, word: str) -> bool:
        """Whether a number of some list can begin with `word`."""
        return word.isdecimal() or word in self._number_words

    @cached_property
    def _number_words(self) -> frozenset[str]:
        ranges = [slot_list for slot_list in self._all_lists() if isinstance(slot_list, RangeSlotList)]
        return frozenset().union(*(first_words(numbers, self.language) for numbers in ranges))

    def _all_lists(self) -> Iterator[SlotList]:
        yield from self.intents.slot_lists.values()
        for intent in self.intents.intents.values():
            for block in intent.data:
                yield from block.slot_lists.values()

    def _fill_lists(self, slot_values: Mapping[str, Sequence[str]]) -> None:
        """Give hassil every list that a sentence names; it raises for one that is missing."""
        lists = self.intents.slot_lists
        named = {
            reference.list_name: reference for expression in self._expressions() for reference in _lists(expression)
        }
        for name, reference in named.items():
            if name in lists:
                continue
            bounds = reference.get_inline_range()
            if bounds is not None:
                lists[name] = RangeSlotList(name, *bounds)
            else:
                context = _NAME_CONTEXT if name == "name" else {}
                texts = [(text, text, context) for text in slot_values.get(name, ())]
                lists[name] = TextSlotList.from_tuples(texts, allow_template=False, name=name)

    def _loosen(self) -> None:
        """See `spaces`."""
        whole = self.intents
        shared = [sentence.expression for sentence in whole.expansion_rules.values()]
        shared += _values(whole.slot_lists.values())
        loosen(shared, whole.expansion_rules, whole.slot_lists)
        for intent in whole.intents.values():
            for block in intent.data:
                own = [sentence.expression for sentence in (*block.sentences, *block.expansion_rules.values())]
                own += _values(block.slot_lists.values())
                rules = {**whole.expansion_rules, **block.expansion_rules}
                loosen(own, rules, {**whole.slot_lists, **block.slot_lists})

    def _expressions(self) -> Iterator[Expression]:
        rules = list(self.intents.expansion_rules.values())
        for intent in self.intents.intents.values():
            for block in intent.data:
                rules += block.sentences
                rules += block.expansion_rules.values()
        yield from (rule.expression for rule in rules)
        yield from _values(self._all_lists())


class Scope:
    """Templates that share rules and lists, and by which words they may begin."""

    def __init__(self, grammar: Grammar, rules: dict[str, Sentence], lists: dict[str, SlotList]) -> None:
        self.grammar = grammar
        self.rules = rules
        self.lists = lists
        self.templates: list[Template] = []
        self._firsts: dict[int, tuple[frozenset[str], bool]] = {}
        self._ways: dict[frozenset[str], frozenset[str]] = {}
        self._known: dict[tuple[frozenset[str], bool], tuple[frozenset[str], bool]] = {}
        self._tails: dict[int, frozenset[Tail]] = {}
        self._many_tails: dict[frozenset[Tail], frozenset[Tail]] = {}
        self._by_first: defaultdict[str, list[Template]] = defaultdict(list)

    def add(self, template: Template) -> None:
        self.templates.append(template)
        for first in self.firsts(template.sentence.expression)[0]:
            self._by_first[first].append(template)

    def starting_with(self, beginnings: Iterable[str]) -> Iterator[Template]:
        """Templates that may begin with one of these (see `firsts`)."""
        seen: set[int] = set()
        for beginning in beginnings:
            for template in self._by_first.get(beginning, ()):
                if id(template) not in seen:
                    seen.add(id(template))
                    yield template

    def may_hold(self, template: Template, text: str) -> bool:
        """Whether the words that the template cannot do without are in `text` (hassil's own sound filter)."""
        folded = text.casefold()
        if self.grammar.intents.settings.ignore_whitespace:
            folded += "\n" + CJK_WHITESPACE.sub("", folded)
        clauses = template.sentence.get_required_clauses(self.rules)
        return all(any(piece in folded for piece in clause) for clause in clauses)

    def firsts(self, expression: Expression) -> tuple[frozenset[str], bool]:
        """What the first word of `expression` can be or begin with, and whether it can be empty.

        `NUMBER` stands for any number, `ANYTHING` for any word.
        """
        if isinstance(expression, TextChunk):
            pieces = pieces_of(expression.text)
            return pieces.first, not pieces.words
        known = self._firsts.get(id(expression))
        if known is None:
            firsts, empty = self._firsts_of(expression)
            # Thousands of expressions begin in a few hundred ways: one object for each way saves megabytes.
            firsts = self._ways.setdefault(firsts, firsts)
            self._firsts[id(expression)] = known = self._known.setdefault((firsts, empty), (firsts, empty))
        return known

    def tails(self, expression: Expression) -> frozenset[Tail]:
        """What `expression` can add to a sentence. Nothing at all: it cannot be said (a list without values)."""
        if isinstance(expression, TextChunk):
            return _ONLY[Tail.WORDS if pieces_of(expression.text).words else Tail.NOTHING]
        known = self._tails.get(id(expression))
        if known is None:
            known = frozenset(self._tails_of(expression))
            self._tails[id(expression)] = known = self._many_tails.setdefault(known, known)
        return known

    def _tails_of(self, expression: Expression) -> Collection[Tail]:
        if isinstance(expression, RuleReference):
            return self.tails(self.rules[expression.rule_name].expression)
        if isinstance(expression, ListReference):
            slot_list = self.lists[expression.list_name]
            empty = isinstance(slot_list, TextSlotList) and not slot_list.values
            return () if empty else {Tail.SLOT}
        assert isinstance(expression, Group)
        if isinstance(expression, Alternative):
            return frozenset().union(*(self.tails(item) for item in expression.items))
        tails: Collection[Tail] = {Tail.NOTHING}
        for item in expression.items:
            tails = {max(before, after) for before in tails for after in self.tails(item)}
        return tails

    def _firsts_of(self, expression: Expression) -> tuple[frozenset[str], bool]:
        if isinstance(expression, RuleReference):
            return self.firsts(self.rules[expression.rule_name].expression)
        if isinstance(expression, ListReference):
            slot_list = self.lists[expression.list_name]
            if isinstance(slot_list, RangeSlotList):
                return frozenset((NUMBER,)), False
            if not isinstance(slot_list, TextSlotList):
                return frozenset((ANYTHING,)), False
            values = [self.firsts(value.text_in)[0] for value in slot_list.values]
            return frozenset().union(*values), False
        assert isinstance(expression, Group)
        parts = [self.firsts(item) for item in expression.items]
        if not isinstance(expression, InOrder):
            return frozenset().union(*(firsts for firsts, _ in parts)), any(empty for _, empty in parts)
        firsts: frozenset[str] = frozenset()
        for more, empty in parts:
            firsts |= more
            if not empty:
                return firsts, False
        return firsts, True


NUMBER = "#"
ANYTHING = "*"


def _split(values: Mapping[str, JSON]) -> dict[str, JSON]:
    """The same data with every sentence in a block of its own."""
    intents = {
        name: {"data": [{**block, "sentences": [text]} for block in intent["data"] for text in block["sentences"]]}
        for name, intent in values["intents"].items()
    }
    return {**values, "intents": intents}


def _values(lists: Iterable[SlotList]) -> Iterator[Expression]:
    """What is said for the values of lists."""
    for slot_list in lists:
        if isinstance(slot_list, TextSlotList):
            yield from (value.text_in for value in slot_list.values)


def _lists(expression: Expression) -> Iterator[ListReference]:
    if isinstance(expression, ListReference):
        yield expression
    elif isinstance(expression, Group):
        for item in expression.items:
            yield from _lists(item)


def _context_keys(slot_list: SlotList) -> Iterator[str]:
    if isinstance(slot_list, TextSlotList):
        for value in slot_list.values:
            yield from value.context or ()
