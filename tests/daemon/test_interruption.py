"""Who speaks while the box speaks stops it; whoever did not mean the box lets it go on."""

from __future__ import annotations

import asyncio

import pytest

from agentbox.daemon.interruption import Interruption
from agentbox.messages import Activation, Stage, StageEvent


class Voice:
    """What is interrupted, and what was done to it."""

    def __init__(self) -> None:
        self.audible = True
        self.held = False
        self.done: list[str] = []

    def hold(self) -> bool:
        self.done.append("hold")
        self.audible, self.held = False, True
        return True

    def go_on(self) -> None:
        if self.held:
            self.done.append("go on")
            self.audible, self.held = True, False

    def outdate(self) -> None:
        self.done.append("outdate")
        self.audible = self.held = False


def event(stage: Stage, state: str, utterance: str = "a") -> StageEvent:
    return StageEvent(stage=stage, state=state, at=0.0, monotonic_s=0.0, utterance_id=utterance)


async def test_the_owners_command_ends_it() -> None:
    voice = Voice()
    told = Interruption(voice)
    for what in (("speech", "started"), ("utterance", "ended"), ("activation", "opened"), ("transcript", "final")):
        told(event(*what))
    assert voice.done == ["hold", "outdate"]


@pytest.mark.parametrize("state", ["not_activated", "suppressed", "own_voice"])
async def test_what_was_not_meant_lets_it_go_on(state: str) -> None:
    voice = Voice()
    told = Interruption(voice)
    told(event("speech", "started"))
    told(event("transcript", "suppressed", "another"))
    assert voice.done == ["hold"]
    told(event("transcript", state))
    assert voice.done == ["hold", "go on"]
    # It may be interrupted again.
    told(event("speech", "started", "b"))
    assert voice.done == ["hold", "go on", "hold"]


async def test_whoever_talks_on_to_others_does_not_silence_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentbox.daemon.interruption.RESUME_S", 0.01)
    voice = Voice()
    told = Interruption(voice)
    told(event("speech", "started"))
    await asyncio.sleep(0.05)
    assert voice.done == ["hold", "go on"]
    # What comes of that utterance later changes nothing any more.
    told(event("transcript", "not_activated"))
    assert voice.done == ["hold", "go on"]


async def test_whoever_calls_it_is_listened_to_for_as_long_as_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentbox.daemon.interruption.RESUME_S", 0.01)
    voice = Voice()
    told = Interruption(voice)
    told(event("speech", "started"))
    told(event("activation", "noticed"))
    await asyncio.sleep(0.05)
    assert voice.done == ["hold"]
    told(event("activation", "opened"))
    assert voice.done == ["hold", "outdate"]


async def test_a_silent_box_is_not_interrupted() -> None:
    voice = Voice()
    voice.audible = False
    told = Interruption(voice)
    told(event("speech", "started"))
    assert voice.done == []
    told(event("activation", "noticed"))
    told(event("transcript", "not_activated"))
    assert voice.done == []


async def test_it_falls_silent_on_the_chance_and_goes_on_after_a_click() -> None:
    voice = Voice()
    told = Interruption(voice)
    told(event("speech", "stirred", ""))
    assert voice.done == ["hold"]
    told(event("speech", "too_short", ""))
    assert voice.done == ["hold", "go on"]
    told(event("speech", "stirred", ""))
    told(event("speech", "started"))
    told(event("speech", "too_short", ""))
    told(event("activation", "opened"))
    assert voice.done == ["hold", "go on", "hold", "outdate"]


async def test_two_who_speak_one_after_the_other_are_both_listened_to() -> None:
    voice = Voice()
    told = Interruption(voice)
    for what in (("started", "a"), ("stirred", ""), ("started", "b")):
        told(event("speech", *what))
    told(event("transcript", "not_activated", "a"))
    assert voice.done == ["hold"]
    told(event("activation", "opened", "b"))
    assert voice.done == ["hold", "outdate"]


async def test_it_does_not_begin_to_speak_into_somebodys_speech() -> None:
    voice = Voice()
    voice.audible = False
    told = Interruption(voice)
    told(event("speech", "started"))
    voice.audible = True
    told(event("speaking", "started", "another"))
    assert voice.done == ["hold"]
    told(event("utterance", "ended"))
    told(event("transcript", "not_activated"))
    assert voice.done == ["hold", "go on"]
    told(event("speaking", "started", "a third"))
    assert voice.done == ["hold", "go on"]


async def test_what_could_not_be_decoded_does_not_hold_it_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentbox.daemon.interruption.CALLED_S", 0.01)
    voice = Voice()
    told = Interruption(voice)
    told(event("speech", "started"))
    told(event("activation", "noticed"))
    told(event("utterance", "failed"))
    assert voice.done == ["hold", "go on"]
    told(event("speech", "started", "b"))
    told(event("activation", "noticed", "b"))
    await asyncio.sleep(0.05)
    assert voice.done == ["hold", "go on", "hold", "go on"]


async def test_whoever_types_does_not_interrupt_it() -> None:
    voice = Voice()
    told = Interruption(voice)
    typed = Activation(utterance_id="t", by="control")
    told(StageEvent(stage="activation", state="opened", at=0.0, monotonic_s=0.0, utterance_id="t", message=typed))
    assert voice.done == []
