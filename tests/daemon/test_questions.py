"""What the box asks back, and what the answer means; by text, on the real sentences and tools."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from agentbox.asr.engine import Recognition
from agentbox.config import Config, Persona, Speech
from agentbox.daemon.core import Core, open_core
from agentbox.daemon.events import Events
from agentbox.daemon.questions import ANSWER, Questions
from agentbox.messages import Intent, Reply, StageEvent
from agentbox.settings import Loaded
from tests.daemon.test_turn import heard

SET = Intent(
    utterance_id="1", name="HassStartTimer", slots={"name": "pizza"}, text="", source="agentbox", match="exact"
)
TEN = msgspec.structs.replace(SET, name=ANSWER, slots={"minutes": 10})


def test_an_answer_completes_what_was_asked_about_once() -> None:
    questions = Questions(20.0)
    assert questions.answered(TEN, 0.0) is None
    questions.ask(SET, "timer_no_duration", 0.0)
    assert questions.asked(19.9) == "timer_no_duration"
    whole = questions.answered(TEN, 19.9)
    assert whole is not None
    assert (whole.name, whole.slots) == ("HassStartTimer", {"name": "pizza", "minutes": 10})
    assert questions.asked(19.9) is None
    assert questions.answered(TEN, 19.9) is None


def test_it_expires() -> None:
    questions = Questions(20.0)
    questions.ask(SET, "timer_no_duration", 0.0)
    assert questions.asked(20.0) is None
    assert questions.answered(TEN, 20.0) is None


def test_the_same_command_said_anew_counts_more_and_another_one_closes_the_question() -> None:
    questions = Questions(20.0)
    questions.ask(SET, "timer_no_duration", 0.0)
    anew = msgspec.structs.replace(SET, slots={"name": "tea", "minutes": 5})
    assert questions.answered(anew, 1.0) == anew
    questions.ask(SET, "timer_no_duration", 0.0)
    other = msgspec.structs.replace(SET, name="HassGetCurrentTime", slots={})
    assert questions.answered(other, 1.0) == other
    assert questions.answered(TEN, 1.0) is None


@asynccontextmanager
async def a_core(folder: Path, monkeypatch: pytest.MonkeyPatch, config: Config | None = None) -> AsyncIterator[Core]:
    monkeypatch.setenv("AGENTBOX_STATE", str(folder))
    async with open_core(Loaded(config or Config(), None, None, {}), Events(), services=False) as core:
        yield core


@pytest.mark.parametrize(
    "talk",
    [
        [("set a pizza timer", "For how long?"), ("ten minutes", "Pizza timer set for 10 minutes.")],
        [
            ("set a timer", "For how long?"),
            ("what time is it", None),
            ("ten minutes", "Sorry, I did not understand that."),
        ],
        [
            ("set a timer for ten minutes", "Timer set for 10 minutes."),
            ("make it twelve", "Timer set for 12 minutes."),
            ("no, make it an hour", "Timer set for 1 hour."),
            ("make it two", "Timer set for 2 hours."),
            ("cancel that one", None),
        ],
        [
            ("set a tea timer for three minutes", "Tea timer set for 3 minutes."),
            ("set a pizza timer for ten minutes", "Pizza timer set for 10 minutes."),
            ("cancel my timer", "There are several: tea timer and pizza timer. Which one?"),
            ("the pizza one", "Pizza timer cancelled."),
        ],
        [
            ("set a tea timer for three minutes", "Tea timer set for 3 minutes."),
            ("set a pizza timer for ten minutes", "Pizza timer set for 10 minutes."),
            ("pause my timer", "There are several: tea timer and pizza timer. Which one?"),
            ("tea", "Tea timer paused with ..."),  # 3 minutes, less what this took
        ],
        [
            ("set an alarm", "For what time?"),
            ("tomorrow at seven in the morning", "Your alarm will ring tomorrow at 7 AM."),
        ],
        [("remind me to call mum", "For what time?"), ("in an hour", None), ("cancel that", None)],
        [
            ("add something to my shopping list", "What should I put on it?"),
            ("milk", "Added milk to your shopping list."),
            ("and also eggs", "Added eggs to your shopping list."),
            ("cancel that", "Removed eggs from your shopping list."),
        ],
        [("what's your name", "I am agentbox.")],
    ],
    ids=lambda talk: talk[0][0],
)
async def test_a_talk(talk: list[tuple[str, str | None]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with a_core(tmp_path, monkeypatch) as core:
        for said, answer in talk:
            reply = await core.ask(said)
            assert reply is not None
            if answer is not None:
                start, unknown, _ = answer.partition("...")
                assert reply.text.startswith(start) if unknown else reply.text == answer
            asks = reply.text.endswith("?")
            assert (reply.outcome == "question") is asks
            # A question is listened for without the wake phrase.
            assert not asks or core.activation.opens(time.monotonic()) == "attention"


async def test_the_owners_wording_and_name_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "replies.yaml"
    own.write_text("timer_no_duration: How long shall it be?\nmy_name: '{name}, at your service.'\n")
    config = Config(persona=Persona(name="Otto", manner="warm"), speech=Speech(replies=str(own)))
    async with a_core(tmp_path, monkeypatch, config) as core:
        for said, answer in (
            ("set a timer", "How long shall it be?"),
            ("ten minutes", "Sure, 10 minutes from now."),
            ("who are you", "Otto, at your service."),
        ):
            reply = await core.ask(said)
            assert reply is not None
            assert reply.text == answer


async def test_what_is_typed_is_not_answered_aloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with a_core(tmp_path, monkeypatch) as core:
        seen: list[StageEvent] = []
        core.events.subscribe(seen.append)
        await core.ask("what time is it")
        assert [event.message.speak for event in seen if isinstance(event.message, Reply)] == ["never"]


async def test_a_question_stands_where_the_answer_was_not_understood_and_the_gate_closes_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_core(tmp_path, monkeypatch) as core:
        for said, by, waits in (
            ("hey computer set a timer", None, True),
            ("roses and daffodils", "attention", True),
            ("ten minutes", "attention", False),
        ):
            reply = await core.turns.heard(heard(Recognition(said), by))  # type: ignore[arg-type]
            assert reply is not None
            assert (core.activation.opens(time.monotonic()) == "attention") is waits, said
        assert reply is not None
        assert reply.text == "Timer set for 10 minutes."


async def test_after_its_replies_it_listens_on_where_the_owner_likes_that_and_only_to_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with a_core(tmp_path, monkeypatch) as core:
        core.activation.follow(time.monotonic())
        assert core.activation.opens(time.monotonic()) == "follow_up"
        seen: list[StageEvent] = []
        core.events.subscribe(seen.append)
        assert await core.turns.heard(heard(Recognition("roses and daffodils"), "follow_up")) is None
        # It was said to others: no word of it is told.
        assert [(event.stage, event.state, event.message) for event in seen] == [("transcript", "not_activated", None)]
        reply = await core.turns.heard(heard(Recognition("what time is it"), "follow_up"))
        assert reply is not None
        assert reply.outcome == "done"
