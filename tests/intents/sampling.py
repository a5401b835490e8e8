"""Says sentences of templates at random, by hassil's parsed expressions."""

from __future__ import annotations

import random
from itertools import groupby

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
from hassil.numbers import get_rbnf_engine

from agentbox.intents.grammar import Scope
from agentbox.intents.words import is_single

FREE = ["pizza", "the green bottle", "call Anna", "bread and butter", "laundry"]
FREE_CHINESE = ["披萨", "苹果", "洗衣服", "给妈妈打电话"]


def say(expression: Expression, scope: Scope, chance: random.Random) -> str:
    """One sentence of `expression`. Lists that are empty are said as nothing."""
    if isinstance(expression, TextChunk):
        return expression.original_text
    if isinstance(expression, RuleReference):
        return say(scope.rules[expression.rule_name].expression, scope, chance)
    if isinstance(expression, ListReference):
        return _value(expression, scope, chance)
    assert isinstance(expression, Group)
    if isinstance(expression, Alternative):
        return say(chance.choice(expression.items), scope, chance)
    items = list(expression.items)
    if isinstance(expression, Permutation):
        chance.shuffle(items)
    return "".join(say(item, scope, chance) for item in items)


def _value(reference: ListReference, scope: Scope, chance: random.Random) -> str:
    language = scope.grammar.language
    slot_list = scope.lists[reference.list_name]
    if isinstance(slot_list, TextSlotList):
        return say(chance.choice(slot_list.values).text_in, scope, chance) if slot_list.values else ""
    if isinstance(slot_list, RangeSlotList):
        number = chance.randrange(slot_list.start, slot_list.stop + 1, slot_list.step)
        if not slot_list.words or chance.random() < 0.5:
            return str(number)
        return get_rbnf_engine(language).format_number(number).text_by_ruleset["spellout-cardinal"]
    return chance.choice(FREE_CHINESE if language.startswith("zh") else FREE)


def words(text: str) -> list[str]:
    """The words of a sentence, each Chinese character one."""
    parts: list[str] = []
    for part in text.split():
        for single, run in groupby(part, is_single):
            letters = "".join(run)
            parts += list(letters) if single else [letters]
    return parts


def joined(parts: list[str]) -> str:
    """The inverse of `words`, but for spaces that nobody hears."""
    text = ""
    for part in parts:
        text += part if not text or (is_single(part) and is_single(text[-1])) else f" {part}"
    return text
