"""From candidates to deeds: what is sure is done, what is not is asked about, and the rest is left alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agentbox.asr.engine import Recognition
from agentbox.asr.listener import Sentences
from agentbox.config import Config
from agentbox.daemon.core import open_core
from agentbox.daemon.events import Events
from agentbox.messages import Confirmation, Intent, Reply, StageEvent, ToolResult
from agentbox.settings import Loaded
from agentbox.speech_grammar import Candidate, FreeReading
from tests.daemon.test_turn import heard


def candidate(text: str, score: float) -> Candidate:
    return Candidate(readings=(text,), text=text, score=score, logprob=-1.0, tokens=5)


def recognition(score: float, free_score: float) -> Recognition:
    """A sound that may be a timer, or rather an alarm; the words alone are no sentence."""
    text = "set a timber for five minutes"
    return Recognition(
        text,
        tokens=(1, 2, 3, 4, 5),
        candidates=(candidate("set a timer for five minutes", score), candidate("set an alarm for five", score - 1.0)),
        free=FreeReading(text, free_score, -1.0, 5),
        constrain_ms=12.0,
    )


@pytest.fixture
def seen() -> list[StageEvent]:
    return []


def of(seen: list[StageEvent], kind: type) -> list[object]:
    return [event.message for event in seen if isinstance(event.message, kind)]


@pytest.fixture
def events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seen: list[StageEvent]) -> Events:
    monkeypatch.setenv("AGENTBOX_STATE", str(tmp_path))
    events = Events()
    events.subscribe(seen.append)
    return events


LOADED = Loaded(Config(), None, None, {})


async def test_a_sure_command_is_done(events: Events, seen: list[StageEvent]) -> None:
    async with open_core(LOADED, events, services=False) as box:
        await box.turns.heard(heard(recognition(score=10.0, free_score=10.0)))
    [intent] = of(seen, Intent)
    assert isinstance(intent, Intent)
    assert (intent.name, intent.slots, intent.match) == ("HassStartTimer", {"minutes": 5}, "spoken")
    assert intent.alternatives[0]["name"] == "AgentboxSetAlarm"
    [result] = of(seen, ToolResult)
    assert isinstance(result, ToolResult)
    assert result.ok


async def test_a_doubtful_one_is_asked_about_and_done_after_a_yes(events: Events, seen: list[StageEvent]) -> None:
    async with open_core(LOADED, events, services=False) as box:
        reply = await box.turns.heard(heard(recognition(score=0.0, free_score=5.0), "attention"))
        assert reply is not None
        assert (reply.outcome, reply.text) == ("question", "Did you mean: set a timer for five minutes?")
        assert not of(seen, ToolResult)
        assert len(of(seen, Confirmation)) == 1
        assert "unsure" in [event.state for event in seen if event.stage == "intent"]
        await box.turns.asked("yes", "speech")
    [result] = of(seen, ToolResult)
    assert isinstance(result, ToolResult)
    assert result.ok
    assert isinstance(of(seen, Reply)[-1], Reply)


async def test_who_leaves_the_gate_open_is_not_asked_what_he_meant(events: Events, seen: list[StageEvent]) -> None:
    async with open_core(LOADED, events, services=False) as box:
        assert await box.turns.heard(heard(recognition(score=0.0, free_score=5.0), "always")) is None
        await box.turns.asked("yes", "speech")
    assert not of(seen, Confirmation)
    assert not of(seen, ToolResult)


async def test_saying_what_was_meant_does_not_confirm_what_is_risky(
    events: Events, seen: list[StageEvent], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_core(LOADED, events, services=False) as box:
        registry = box.attention.talk.mind.runner.registry
        risky = replace(registry.tools["start_timer"], risk="risky")
        monkeypatch.setitem(registry.tools, "start_timer", risky)
        await box.turns.heard(heard(recognition(score=0.0, free_score=5.0), "attention"))
        reply = await box.turns.asked("yes", "speech")
        assert reply is not None
        assert reply.outcome == "question"
        assert not any(result.ok for result in of(seen, ToolResult) if isinstance(result, ToolResult))
        await box.turns.asked("yes", "speech")
    last = of(seen, ToolResult)[-1]
    assert isinstance(last, ToolResult)
    assert last.ok


async def test_what_does_not_fit_is_no_command(events: Events, seen: list[StageEvent]) -> None:
    async with open_core(LOADED, events, services=False) as box:
        assert await box.turns.heard(heard(recognition(score=-20.0, free_score=20.0))) is None
    assert not of(seen, Intent)
    assert [event.state for event in seen if event.stage == "intent"] == ["none"]


async def test_only_what_is_meant_for_the_box_is_decoded_again(events: Events) -> None:
    async with open_core(LOADED, events, services=False) as box:
        ask = box.attention.asking(None)
        assert ask(Recognition("set a timber for five minutes")) is None  # no wake phrase
        assert ask(Recognition("hey computer")) is None  # nothing after it
        assert ask(Recognition("hey computer, set a timer for five minutes")) is None  # a sentence as it stands
        asked = ask(Recognition("Hey computer, set a timber for five minutes"))
        assert isinstance(asked, Sentences)
        assert asked.after == len("Hey computer, ")
        assert set(asked.roots) == set(box.attention.talk.mind.understander.spoken.active({}))
        # The sound does not begin with the phrase, and the words are only like it.
        assert ask(Recognition("hay computer, set a timber for five minutes", wake="")) is None
        box.activation.alert(1e9)
        assert box.attention.asking(None)(Recognition("stop please")) is not None
