"""Our own sentences mean what they should, in both languages."""

from __future__ import annotations

from typing import Any

import pytest
from hassil import Expression, ListReference, RuleReference

from agentbox.intents import sources
from agentbox.intents.grammar import Scope
from agentbox.intents.templates import parts_of
from agentbox.intents.understand import Understander
from agentbox.messages import Intent
from tests.intents.conftest import INTENTS, SLOTS, sentences


@pytest.mark.parametrize(("intent", "text", "slots", "context"), sentences("en"))
def test_english(english: Understander, intent: str, text: str, slots: dict[str, Any], context: dict[str, Any]) -> None:
    check(english, intent, text, slots, context)


@pytest.mark.parametrize(("intent", "text", "slots", "context"), sentences("zh-CN"))
def test_chinese(chinese: Understander, intent: str, text: str, slots: dict[str, Any], context: dict[str, Any]) -> None:
    check(chinese, intent, text, slots, context)


def check(u: Understander, intent: str, text: str, slots: dict[str, Any], context: dict[str, Any]) -> None:
    found = u.understand(text, context=context)
    assert isinstance(found, Intent)
    assert (found.name, found.slots, found.match) == (intent, slots, "exact")
    assert {type(value) for value in found.slots.values()} <= {int, str, bool}
    assert u.completeness(text, context) != "no"


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_every_intent_has_sentences_and_every_sentence_an_intent_we_carry_out(language: str) -> None:
    values = sources.our_values(language)
    assert values is not None
    assert set(values["intents"]) == {intent for intent, *_ in sentences(language)}
    assert set(values["intents"]) <= INTENTS


def test_follow_ups_need_their_context(english: Understander) -> None:
    for _intent, text, _slots, context in sentences("en"):
        if "last_intent" in context and "confirmation" not in context:
            alone = english.understand(text)
            assert not isinstance(alone, Intent) or not alone.name.startswith("AgentboxChange"), text
    assert not isinstance(english.understand("yes"), Intent)
    assert not isinstance(english.understand("make it ten minutes"), Intent)


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_no_sentence_gives_a_slot_that_its_tool_does_not_take(language: str) -> None:
    for grammar in (sources.ours(sources.our_values(language), INTENTS, {}), sources.builtin(language, INTENTS, {})):
        assert grammar is not None
        for scope in grammar.scopes:
            for intent, block, sentence in scope.templates:
                context = [value for value in block.requires_context.values() if isinstance(value, dict)]
                slots = set(block.slots) | {value["slot"] for value in context if isinstance(value.get("slot"), str)}
                slots |= slots_of(sentence.expression, scope)
                unknown = slots - SLOTS.get(intent, set())
                assert not unknown, (grammar.source, intent, sentence.text, unknown)


def slots_of(expression: Expression, scope: Scope) -> set[str]:
    """The slots that an expression can fill."""
    slots = set()
    for part in parts_of(expression):
        if isinstance(part, RuleReference):
            slots |= slots_of(scope.rules[part.rule_name].expression, scope)
        elif isinstance(part, ListReference) and not part.is_capture:
            slots.add(part.slot_name)
    return slots
