"""Letting a phone in by voice: who may ask for it, and what is told."""

from __future__ import annotations

import re

import pytest

from agentbox import config
from agentbox.messages import Caller
from agentbox.pairing.codes import Codes
from agentbox.tools.pairing import spelled, spelled_place
from agentbox.tools.phrases import Phrases

from .box import a_box


@pytest.mark.parametrize(("tool", "role"), [("pair_phone", "owner"), ("pair_guest_phone", "guest")])
async def test_the_code_is_told_in_confidence(tool: str, role: str) -> None:
    async with a_box() as box:
        result = await box.call(tool, confirmed=True)
        assert result.ok
        assert box.talk.invited == role
        assert "kitchen dot local, colon, 8 4 4 3" in result.aloud
        assert result.aloud.count("K, 7, P, Q. 2, M, 4, X.") == 2
        kept = repr((result.text, result.data, result.undo))
        assert not re.search("K.{0,2}7.{0,2}P", kept)


async def test_it_is_spelled_in_chinese_too() -> None:
    async with a_box(language="zh-CN") as box:
        result = await box.call("pair_phone", confirmed=True)
        assert "kitchen，点，local，冒号，8 4 4 3" in result.aloud
        assert result.aloud.count("K, 7, P, Q. 2, M, 4, X.") == 2
        asked = await box.call("pair_phone")
        assert asked.text == "要执行吗：配对新手机，它可以查看和更改一切？"


async def test_speech_is_asked_first_and_a_command_is_answered_in_writing() -> None:
    async with a_box() as box:
        asked = await box.call("pair_phone")
        assert (asked.error_code, asked.aloud) == ("confirmation_needed", "")
        assert asked.text == "Shall I do this: pair a new phone, which may then see and change everything?"
        typed = await box.call("pair_phone", "cli")
        assert "https://kitchen.local:8443/pair" in typed.aloud
        assert "K7PQ-2M4X" in typed.aloud


@pytest.mark.parametrize("caller", ["cloud", "brain", "page", "plugin"])
@pytest.mark.parametrize("tool", ["pair_phone", "pair_guest_phone"])
async def test_nobody_else_lets_a_phone_in_whatever_the_policy_says(caller: Caller, tool: str) -> None:
    every: dict[str, dict[Caller, config.Policy]] = {tool: {caller: "allow"}, "*": {caller: "allow"}}
    async with a_box(config.Tools(policy=every)) as box:
        result = await box.call(tool, caller, confirmed=True)
        assert (result.error_code, result.aloud) == ("tool_denied", "")
        assert box.talk.invited is None


def test_every_letter_of_a_code_is_spelled() -> None:
    for _ in range(100):
        code = Codes().offer("owner", 0.0).short
        assert re.findall(r"\w", spelled(code)) == re.findall(r"\w", code)


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("https://agentbox.local:8443", "agentbox dot local, colon, 8 4 4 3"),
        ("https://192.168.1.20:8443", "1 9 2 dot 1 6 8 dot 1 dot 2 0, colon, 8 4 4 3"),
        ("https://localhost", "localhost"),
    ],
)
def test_an_address_is_said_as_it_is_typed(place: str, said: str) -> None:
    assert spelled_place(place, Phrases("en")) == said
