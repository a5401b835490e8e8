"""Sentences that are shown to whoever wants to know what to say mean what they should."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentbox.intents import sources, understand
from agentbox.intents.understand import Understander
from tests.intents.conftest import INTENTS

CONTEXT = {
    "AgentboxChangeTimer": "HassStartTimer",
    "AgentboxChangeAlarm": "AgentboxSetAlarm",
    "AgentboxChangeReminder": "AgentboxSetReminder",
    "HassIncreaseTimer": "HassStartTimer",
    "HassDecreaseTimer": "HassStartTimer",
    "AgentboxUndo": "HassStartTimer",
}
"""Those that come after something else."""


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_a_written_example_means_its_intent(language: str, english: Understander, chinese: Understander) -> None:
    understander = english if language == "en" else chinese
    examples = sources.our_examples(sources.our_values(language))
    assert len(examples) > 10
    for intent, text in examples.items():
        found = understander.read(text, {"last_intent": CONTEXT[intent]} if intent in CONTEXT else {})
        assert found is not None, text
        assert found.name == intent


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_every_intent_that_needs_nothing_before_has_one(
    language: str, english: Understander, chinese: Understander
) -> None:
    understander = english if language == "en" else chinese
    known = sources.our_examples(sources.our_values(language))
    for intent in sorted(INTENTS - {"AgentboxYes", "AgentboxNo", "AgentboxAnswer"}):
        text = understander.example([intent])
        assert text, intent
        if intent not in known:
            found = understander.read(text)
            assert found is not None
            assert found.name == intent


def test_the_owners_own_get_one_too(tmp_path: Path) -> None:
    file = tmp_path / "my.yaml"
    file.write_text(
        "intents: {Orders: {data: [{sentences: ['[now] (count|list) [the] {1..5:cups} {size} orders for {who}']}]}}\n"
        "lists: {size: {values: [{in: '(large|big)', out: l}]}, who: {wildcard: true}}\n"
    )
    understander = Understander("en", intents={"Orders"}, owner_files=[file])
    assert understander.example(["Orders"]) == "count the 5 large orders for pizza"
    assert understander.example(["Nothing"]) is None


def test_our_file_is_read_once_and_an_example_is_looked_for_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    def counted(where: object, name: str) -> None:
        does = getattr(where, name)

        def counting(*given: object) -> object:
            done.append(name)
            return does(*given)

        monkeypatch.setattr(where, name, counting)

    counted(sources, "our_values")
    counted(understand, "example")
    file = tmp_path / "my.yaml"
    file.write_text("intents: {Orders: {data: [{sentences: ['count orders']}]}}\n")
    understander = Understander("en", builtin=False, intents={"Orders", "HassNevermind"}, owner_files=[file])
    for _ in range(2):
        assert understander.example(["Orders"]) == "count orders"
        assert understander.example(["Nothing"]) is None
    assert done == ["our_values", "example", "example"]
