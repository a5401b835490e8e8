"""Our own sentences mean what they should, in both languages."""

from __future__ import annotations

from typing import Any

import pytest

from agentbox.intents import sources
from agentbox.intents.understand import Understander
from agentbox.messages import Intent
from tests.intents.conftest import INTENTS, sentences


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
            assert not isinstance(alone, Intent) or alone.slots.get("replace") is None, text
    assert not isinstance(english.understand("yes"), Intent)
    assert not isinstance(english.understand("make it ten minutes"), Intent)
