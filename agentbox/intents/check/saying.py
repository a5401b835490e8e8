"""Says the sentences of a template: all of them where they are few, else some at random."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator

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
)

from agentbox.intents.grammar import Scope

MOST_SAID = 200
"""Sentences up to so many are all said."""
_SAMPLED = 60
_ENDLESS = 1_000_000


def any_word(language: str) -> str:
    """What is said where any words fit."""
    return "饭" if language.lower().startswith("zh") else "pizza"


def some_words(language: str) -> tuple[str, ...]:
    """Several such, of one word and more."""
    if language.lower().startswith("zh"):
        return "饭", "苹果", "给妈妈打电话"
    return "pizza", "the green bottle", "bread and butter", "call Anna"


def texts(expression: Expression, scope: Scope) -> tuple[list[str], bool]:
    """Sentences of `expression`, and whether these are all. The same ones every time."""
    if count(expression, scope) <= MOST_SAID:
        return _distinct(_all(expression, scope)), True
    chance = random.Random(0)  # noqa: S311 - a sample, no secret
    return _distinct(_say(expression, scope, chance) for _ in range(_SAMPLED)), False


def count(expression: Expression, scope: Scope) -> int:
    """How many sentences `expression` has, doubles counted; at most a million, which numbers and free text count as."""
    if isinstance(expression, TextChunk):
        return 1
    if isinstance(expression, RuleReference):
        return count(scope.rules[expression.rule_name].expression, scope)
    if isinstance(expression, ListReference):
        slot_list = scope.lists[expression.list_name]
        if not isinstance(slot_list, TextSlotList):
            return _ENDLESS
        return min(_ENDLESS, sum(count(value.text_in, scope) for value in slot_list.values))
    assert isinstance(expression, Group)
    counts = [count(item, scope) for item in expression.items]
    if isinstance(expression, Alternative):
        return min(_ENDLESS, sum(counts))
    orders = math.factorial(len(counts)) if isinstance(expression, Permutation) else 1
    return min(_ENDLESS, math.prod(counts) * orders)


def _distinct(said: Iterator[str]) -> list[str]:
    return list(dict.fromkeys(" ".join(text.split()) for text in said))


def _all(expression: Expression, scope: Scope) -> Iterator[str]:
    if isinstance(expression, TextChunk):
        yield expression.original_text
    elif isinstance(expression, RuleReference):
        yield from _all(scope.rules[expression.rule_name].expression, scope)
    elif isinstance(expression, ListReference):
        slot_list = scope.lists[expression.list_name]
        assert isinstance(slot_list, TextSlotList)
        for value in slot_list.values:
            yield from _all(value.text_in, scope)
    elif isinstance(expression, Alternative):
        for item in expression.items:
            yield from _all(item, scope)
    else:
        assert isinstance(expression, Group)
        yield from _in_order(list(expression.items), scope, any_order=isinstance(expression, Permutation))


def _in_order(items: list[Expression], scope: Scope, *, any_order: bool) -> Iterator[str]:
    if not items:
        yield ""
        return
    for number in range(len(items)) if any_order else (0,):
        rest = items[:number] + items[number + 1 :]
        for first in _all(items[number], scope):
            for more in _in_order(rest, scope, any_order=any_order):
                yield first + more


def _say(expression: Expression, scope: Scope, chance: random.Random) -> str:
    """One sentence of `expression`. A list that is empty is said as nothing."""
    if isinstance(expression, TextChunk):
        return expression.original_text
    if isinstance(expression, RuleReference):
        return _say(scope.rules[expression.rule_name].expression, scope, chance)
    if isinstance(expression, ListReference):
        slot_list = scope.lists[expression.list_name]
        if isinstance(slot_list, TextSlotList):
            return _say(chance.choice(slot_list.values).text_in, scope, chance) if slot_list.values else ""
        if isinstance(slot_list, RangeSlotList):
            return str(chance.randrange(slot_list.start, slot_list.stop + 1, slot_list.step))
        return chance.choice(some_words(scope.grammar.language))
    assert isinstance(expression, Group)
    if isinstance(expression, Alternative):
        return _say(chance.choice(expression.items), scope, chance)
    items = list(expression.items)
    if isinstance(expression, Permutation):
        chance.shuffle(items)
    return "".join(_say(item, scope, chance) for item in items)
