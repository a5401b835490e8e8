"""The owner's responses in place of the tools' sentences: where they are said, and where never."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from agentbox.config import Config, Intents, Tools
from agentbox.messages import Notice, StageEvent
from tests.daemon.conftest import SAMPLE, Home, Running
from tests.daemon.test_box import ALWAYS, messages
from tests.daemon.test_questions import a_core

OWN = """\
intents:
  HassStartTimer:
    data:
      - sentences: ["tea time"]
        slots: {minutes: 4, name: tea}
        response: tea
      - sentences: ["egg time {name}"]
        slots: {minutes: 6}
lists: {name: {wildcard: true}}
responses:
  intents:
    HassStartTimer:
      default: "Off it goes{% if slots.name %}, {{ slots.name }}{% endif %}: {{ slots.minutes }}."
      tea: "The kettle is on."
    HassListAddItem: {default: "{{ slots.item | upper }}, noted."}
    HassShoppingListAddItem: {default: "{{ slots.item | upper }}, noted."}
    HassCancelTimer: {default: "Gone."}
    AgentboxClearList: {default: "Wiped."}
    AgentboxUndo: {default: "As if it never was."}
    AgentboxName: {default: ""}
    HassCancelAllTimers: {default: "{{ slots.canceled + 1 }} gone."}
    HassGetCurrentTime: {default: "{{ answer }} So late?"}
"""


def mine(folder: Path, tools: Tools | None = None) -> Config:
    (folder / "own.yaml").write_text(OWN)
    return Config(intents=Intents(sentences=[str(folder / "own.yaml")]), tools=tools or Tools())


@pytest.mark.parametrize(
    "talk",
    [
        [("set a pizza timer for ten minutes", "Off it goes, pizza: 10.")],
        [("tea time", "The kettle is on."), ("cancel that", "As if it never was.")],
        [("set a pizza timer", "For how long?"), ("ten minutes", "Off it goes, pizza: 10.")],
        [("clear my shopping list", "Your shopping list is empty.")],
        [
            ("add milk to my shopping list", "MILK, noted."),
            ("add milk to my shopping list", "Milk is already on your shopping list."),
            ("cancel my timer", "There is no timer."),
        ],
        [("who are you", "")],
    ],
    ids=lambda talk: talk[0][0],
)
async def test_a_talk(talk: list[tuple[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with a_core(tmp_path, monkeypatch, mine(tmp_path)) as core:
        for said, answer in talk:
            reply = await core.ask(said)
            assert reply is not None
            assert reply.text == answer


async def test_the_tool_s_answer_can_be_part_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with a_core(tmp_path, monkeypatch, mine(tmp_path)) as core:
        reply = await core.ask("what time is it")
    assert reply is not None
    assert reply.text.startswith("It is ")
    assert reply.text.endswith(". So late?")


async def test_a_confirmation_is_asked_as_ever_and_the_response_comes_after_the_yes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = mine(tmp_path, Tools(policy={"start_timer": {"cli": "confirm"}}))
    async with a_core(tmp_path, monkeypatch, config) as core:
        question = await core.ask("set a timer for ten minutes")
        assert question is not None
        assert question.outcome == "question"
        assert question.text.startswith("Shall I do this: start timer")
        done = await core.ask("yes")
        assert done is not None
        assert (done.outcome, done.text) == ("done", "Off it goes: 10.")
        await core.ask("set a timer for ten minutes")
        refused = await core.ask("no")
        assert refused is not None
        assert refused.text == "All right, I will not."


async def test_what_fails_is_told_and_the_tool_speaks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with a_core(tmp_path, monkeypatch, mine(tmp_path)) as core:
        seen: list[StageEvent] = []
        core.events.subscribe(seen.append)
        await core.ask("set a timer for ten minutes")
        reply = await core.ask("cancel all timers")
    assert reply is not None
    assert (reply.outcome, reply.text) == ("done", "All timers cancelled.")
    [notice] = [event.message for event in seen if isinstance(event.message, Notice)]
    assert notice.code == "response_failed"
    assert "HassCancelAllTimers" in notice.what


def test_a_tool_that_is_called_by_name_says_its_own(home: Home, tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(OWN)
    home.configure({"intents": {"sentences": [str(tmp_path / "own.yaml")]}})
    [result] = home.json("tools", "call", "start_timer", '{"minutes": 5}')
    assert result["text"] == "Timer set for 5 minutes."


def test_spoken_to_the_daemon(home: Home, tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(OWN)
    home.configure(ALWAYS | {"intents": {"sentences": [str(tmp_path / "own.yaml")]}})
    events = home.hear(SAMPLE)
    replies = [reply["text"] for reply in messages(events, "Reply")]
    assert "Off it goes, pizza: 10." in replies
    [added] = [reply for reply in replies if reply.endswith(", noted.")]
    assert added.isascii()
    assert added.removesuffix(", noted.").isupper()


def test_typed_to_the_daemon_in_chinese(home: Home, start: Callable[..., Running], tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(
        "language: zh-CN\nresponses: {intents: {HassStartTimer: {default: '好，{{ slots.minutes }}分钟。'},"
        " HassGetCurrentTime: {default: '{{ slots.time.hour }}点'}}}\n",
        encoding="utf-8",
    )
    # A folder of one's own is believed to hold a model of the language.
    asr = {"model": str(home.models_dir / "moonshine-tiny-en"), "models_dir": str(home.models_dir), "language": "zh-CN"}
    home.configure({"asr": asr, "intents": {"sentences": [str(tmp_path / "own.yaml")]}})
    start("--source", "-")
    [turn] = home.json("ask", "设置一个五分钟的计时器")
    assert turn["reply"] == "好，5分钟。"
    [turn] = home.json("ask", "现在几点")
    assert turn["reply"].startswith("现在")
