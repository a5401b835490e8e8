"""Gemini Live: what the adapter makes of frames in any order, and of the end of a connection."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbox.realtime.events import (
    AnswerDone,
    AnswerSound,
    AnswerText,
    Event,
    Expiring,
    Failed,
    Heard,
    ToolCalled,
    ToolsCancelled,
)
from agentbox.realtime.gemini import GeminiDialog
from agentbox.realtime.session import Account, Setup
from tests.realtime.servers.base import KEY
from tests.realtime.talks import WEATHER


def of(events: Sequence[Event], kind: type[Any]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def ready(adapter: GeminiDialog) -> GeminiDialog:
    adapter.opened()
    adapter.receive('{"setupComplete": {}}')
    return adapter


def made() -> GeminiDialog:
    return ready(GeminiDialog(Account(key=KEY, model=""), Setup(tools=(WEATHER,))))


def content(adapter: GeminiDialog, **fields: Any) -> list[Event]:
    return adapter.receive(json.dumps({"serverContent": fields}))


def sound(adapter: GeminiDialog, pcm: bytes = b"\1\0") -> list[Event]:
    data = {"mimeType": "audio/pcm;rate=24000", "data": base64.b64encode(pcm).decode()}
    return content(adapter, modelTurn={"parts": [{"inlineData": data}]})


def spoken(adapter: GeminiDialog) -> None:
    adapter.append(b"\1\0")
    adapter.commit()


def test_what_of_the_old_answer_is_on_its_way_is_not_told_as_the_new_one() -> None:
    adapter = made()
    spoken(adapter)
    assert of(sound(adapter), AnswerSound)
    adapter.interrupt(10.0)
    spoken(adapter)
    assert sound(adapter) == []
    assert content(adapter, outputTranscription={"text": "and then"}) == []
    assert content(adapter, interrupted=True) == []
    assert content(adapter, turnComplete=True) == []
    assert of(sound(adapter), AnswerSound) == [AnswerSound("answer_2", b"\1\0")]
    assert content(adapter, turnComplete=True) == [AnswerDone("answer_2", "completed")]


def test_an_old_answer_that_had_ended_has_no_second_end() -> None:
    adapter = made()
    spoken(adapter)
    sound(adapter)
    assert content(adapter, turnComplete=True) == [AnswerDone("answer_1", "completed")]
    adapter.interrupt(10.0)
    spoken(adapter)
    assert content(adapter, interrupted=True) == []
    assert of(sound(adapter), AnswerSound) == [AnswerSound("answer_2", b"\1\0")]
    assert content(adapter, turnComplete=True) == [AnswerDone("answer_2", "completed")]


def test_a_turn_that_was_taken_together_with_the_next_one_holds_up_nothing() -> None:
    adapter = made()
    spoken(adapter)
    adapter.interrupt(0.0)
    spoken(adapter)
    assert of(sound(adapter), AnswerSound) == [AnswerSound("answer_1", b"\1\0")]
    assert content(adapter, turnComplete=True) == [AnswerDone("answer_1", "completed")]


def test_two_interruptions_in_a_row() -> None:
    adapter = made()
    spoken(adapter)
    sound(adapter)
    adapter.interrupt(10.0)
    adapter.write("Stop.")
    adapter.interrupt(0.0)
    adapter.write("What time is it?")
    for _ in range(2):
        assert sound(adapter) == []
        assert content(adapter, interrupted=True) + content(adapter, turnComplete=True) == []
    assert of(sound(adapter), AnswerSound) == [AnswerSound("answer_2", b"\1\0")]


def test_the_answer_to_what_was_not_meant_is_dropped_to_its_end() -> None:
    adapter = made()
    adapter.append(b"\1\0")
    adapter.discard()
    assert content(adapter, inputTranscription={"text": " noise"}) == []
    assert sound(adapter) == []
    calls = [{"id": "call_1", "name": "get_weather"}]
    assert adapter.receive(json.dumps({"toolCall": {"functionCalls": calls}})) == []
    spoken(adapter)
    assert sound(adapter) == []
    assert content(adapter, turnComplete=True) == []
    assert of(sound(adapter), AnswerSound) == [AnswerSound("answer_1", b"\1\0")]


def test_sound_that_nobody_asked_for_is_dropped() -> None:
    adapter = made()
    assert sound(adapter) == []
    spoken(adapter)
    sound(adapter)
    content(adapter, turnComplete=True)
    assert sound(adapter) == []


def test_a_model_that_thinks_beside_talking_answers_once() -> None:
    adapter = made()
    spoken(adapter)
    sound(adapter)
    assert content(adapter, turnComplete=True, interactionStatus="IN_PROGRESS") == []
    assert sound(adapter) == [AnswerSound("answer_1", b"\1\0")]
    assert content(adapter, turnComplete=True, interactionStatus="IDLE") == [AnswerDone("answer_1", "completed")]


def test_thoughts_are_not_told_but_a_written_answer_is() -> None:
    adapter = made()
    spoken(adapter)
    assert content(adapter, modelTurn={"parts": [{"text": "**Thinking**"}]}) == []
    account = Account(key=KEY, model="", options={"generationConfig": {"responseModalities": ["TEXT"]}})
    adapter = ready(GeminiDialog(account, Setup()))
    spoken(adapter)
    parts = [{"text": "hm", "thought": True}, {"text": "Noon."}]
    assert of(content(adapter, modelTurn={"parts": parts}), AnswerText) == [AnswerText("answer_1", "Noon.")]


def test_an_interruption_takes_the_tools_with_it() -> None:
    adapter = made()
    spoken(adapter)
    calls = [{"id": "call_1", "name": "get_weather", "args": {}}]
    events = adapter.receive(json.dumps({"toolCall": {"functionCalls": calls}}))
    assert events[1:] == [
        ToolCalled("answer_1", "call_1", "get_weather", {}),
        AnswerDone("answer_1", "completed", calls=True),
    ]
    adapter.interrupt(0.0)
    adapter.frames()
    adapter.tool_result("call_1", "sunny")
    assert adapter.frames() == []
    spoken(adapter)
    assert adapter.receive(json.dumps({"toolCallCancellation": {"ids": ["call_1"]}})) == []
    assert content(adapter, interrupted=True) + content(adapter, turnComplete=True) == []
    assert of(sound(adapter), AnswerSound) == [AnswerSound("answer_2", b"\1\0")]


def test_calls_that_are_taken_back_are_not_waited_for() -> None:
    adapter = made()
    spoken(adapter)
    calls = [{"id": "call_1", "name": "get_weather"}, {"id": "call_2", "name": "get_weather"}]
    adapter.receive(json.dumps({"toolCall": {"functionCalls": calls}}))
    adapter.frames()
    adapter.tool_result("call_1", "sunny")
    assert adapter.frames() == []
    assert adapter.receive(json.dumps({"toolCallCancellation": {"ids": ["call_2", "call_7"]}})) == [
        ToolsCancelled(("call_2",))
    ]
    (sent,) = adapter.frames()
    assert json.loads(sent)["toolResponse"]["functionResponses"] == [
        {"id": "call_1", "name": "get_weather", "response": {"output": "sunny"}}
    ]


def test_a_tools_turn_that_ends_late_does_not_end_the_answer() -> None:
    """The result was sent before the end of the turn that asked for it had come."""
    adapter = made()
    spoken(adapter)
    adapter.receive(json.dumps({"toolCall": {"functionCalls": [{"id": "call_1", "name": "get_weather"}]}}))
    adapter.tool_result("call_1", "sunny")
    assert content(adapter, turnComplete=True) == []
    assert of(sound(adapter), AnswerSound) == [AnswerSound("answer_2", b"\1\0")]
    assert content(adapter, turnComplete=True) == [AnswerDone("answer_2", "completed")]


def test_a_connection_that_will_end_says_when_if_it_knows() -> None:
    adapter = made()
    assert adapter.receive('{"goAway": {"timeLeft": "50s"}}') == [Expiring(50.0)]
    assert adapter.receive('{"goAway": {}}') == [Expiring(None)]
    assert adapter.receive('{"sessionResumptionUpdate": {"newHandle": "h", "resumable": false}}') == []
    failed = adapter.receive(
        '{"error": {"code": 429, "message": "Resource exhausted", "status": "RESOURCE_EXHAUSTED"}}'
    )
    assert [event.failure.code for event in of(failed, Failed)] == ["cloud_busy"]


def test_what_was_understood_late_is_final_at_once() -> None:
    adapter = made()
    spoken(adapter)
    sound(adapter)
    content(adapter, turnComplete=True)
    assert content(adapter, inputTranscription={"text": " hello"}) == [Heard("hello", final=True)]
    spoken(adapter)
    assert content(adapter, inputTranscription={"text": "good", "finished": True}) == [Heard("good", final=True)]


@pytest.mark.parametrize(
    ("code", "reason", "before", "after"),
    [
        (1007, "Request contains an invalid argument.", "cloud_settings", "cloud_refused"),
        (1007, "API Key not found. Please pass a valid API key.", "cloud_key", "cloud_key"),
        (1007, "API key expired. Please renew the API key.", "cloud_key", "cloud_key"),
        (1008, "Requested entity was not found.", "cloud_model", "cloud_down"),
        (1008, "Operation is not implemented, or supported, or enabled.", "cloud_denied", "cloud_down"),
        (1008, "User location is not supported for the API use.", "cloud_denied", "cloud_denied"),
        (1008, "Your project has been denied access: permission denied", "cloud_denied", "cloud_denied"),
        (1011, "Internal error encountered.", "cloud_down", "cloud_down"),
        (1011, "The service is currently unavailable.", "cloud_down", "cloud_down"),
        (1011, "Deadline expired before operation could complete.", "cloud_expired", "cloud_expired"),
        (1011, "You exceeded your current quota, please check your plan and billing", "cloud_busy", "cloud_busy"),
        (1011, "Your prepayment credits are depleted: billing", "cloud_credit", "cloud_credit"),
        (1011, "RESOURCE_EXHAUSTED", "cloud_busy", "cloud_busy"),
        (1009, "", "cloud_closed", "cloud_input"),
        (1013, "", "cloud_busy", "cloud_busy"),
        (1000, "", "cloud_closed", "cloud_closed"),
        (None, "", "cloud_closed", "cloud_closed"),
    ],
)
def test_why_the_connection_was_closed(code: int | None, reason: str, before: str, after: str) -> None:
    adapter = GeminiDialog(Account(key=KEY, model=""), Setup())
    assert [failed.failure.code for failed in of(adapter.closed(code, reason), Failed)] == [before]
    ready(adapter)
    (failed,) = adapter.closed(code, reason)
    assert isinstance(failed, Failed)
    assert (failed.failure.code, failed.session) == (after, True)


class Talk:
    """A server that keeps the vendor's order, and a wire on which its frames wait.

    Two things are taken as given: whoever speaks does so for longer than a frame is under way, and an answer that a
    written turn ends says so, whether it had begun or not.
    """

    def __init__(self, draw: random.Random) -> None:
        self.draw = draw
        self.adapter = made()
        self.turns = 0
        self.answering = 0
        """The turn that the server answers."""
        self.is_begun = False
        self.wanted = 0
        """The turn that the owner wants the answer of."""
        self.wire: list[dict[str, Any]] = []
        self.done: list[int] = []

    def speak(self) -> None:
        self.adapter.append(b"\1\0")
        self.wanted = 0
        if self.answering and (self.is_begun or self.draw.random() < 0.5):
            self.cut()
        elif not self.answering and self.draw.random() < 0.3:
            self.wire.append({"interrupted": True})  # of an answer that was made and not yet played
        self.answering = 0
        self.deliver(len(self.wire))
        self.adapter.commit()
        self.asked()

    def write(self) -> None:
        self.adapter.write("What time is it?")
        if self.answering:
            self.cut()
        self.asked()

    def discard(self) -> None:
        self.speak()
        # As if the turn had been given up at its end instead.
        self.interrupt()

    def interrupt(self) -> None:
        self.adapter.interrupt(0.0)
        self.wanted = 0

    def produce(self) -> None:
        if self.answering:
            self.is_begun = True
            data = base64.b64encode(self.answering.to_bytes(2, "little")).decode()
            self.wire.append({"modelTurn": {"parts": [{"inlineData": {"mimeType": "audio/pcm", "data": data}}]}})

    def end(self) -> None:
        if self.answering and self.is_begun:
            self.wire.append({"turnComplete": True})
            self.answering = 0

    def some(self) -> None:
        self.deliver(self.draw.randint(0, 3))

    def cut(self) -> None:
        self.wire += [{"interrupted": True}, {"turnComplete": True}]

    def asked(self) -> None:
        self.turns += 1
        self.answering = self.wanted = self.turns
        self.is_begun = False

    def deliver(self, count: int) -> None:
        frames, self.wire = self.wire[:count], self.wire[count:]
        for frame in frames:
            for event in content(self.adapter, **frame):
                if isinstance(event, AnswerSound):
                    assert int.from_bytes(event.pcm, "little") == self.wanted
                if isinstance(event, AnswerDone):
                    self.done.append(self.wanted)


@given(
    st.lists(st.sampled_from(["speak", "write", "discard", "interrupt", "produce", "end", "some"]), max_size=40),
    st.integers(0, 2**32),
)
def test_no_sound_is_taken_for_another_answers_and_every_wanted_answer_ends_once(steps: list[str], seed: int) -> None:
    talk = Talk(random.Random(seed))
    for step in steps:
        getattr(talk, step)()
    talk.produce()
    talk.end()
    talk.deliver(len(talk.wire))
    assert len(set(talk.done)) == len(talk.done)
    assert talk.wanted == 0 or talk.wanted in talk.done
