"""StepFun's model that keeps nothing between two answers: our adapter against the test server."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentbox.realtime.connection import Connection
from agentbox.realtime.events import AnswerDone, AnswerSound, Failed, Heard, Ready, ToolCalled
from agentbox.realtime.session import Account, Setup
from agentbox.realtime.stepfun_stateless import StepFunStatelessDialog
from tests.realtime.servers.base import KEY, Call, Say, Step, tone
from tests.realtime.servers.stepfun import StepFunServer
from tests.realtime.talks import WEATHER, of, turn, two_stories, until_ready, up_to

TURN = tone(500)


def dialog(server: StepFunServer, **options: Any) -> StepFunStatelessDialog:
    account = Account(key=KEY, model="", url=f"{server.url}/stateless", options=options)
    return StepFunStatelessDialog(account, Setup(instructions="Be brief.", voice="linjiajiejie", tools=(WEATHER,)))


def requests(server: StepFunServer) -> list[dict[str, Any]]:
    """Those for answers."""
    found = [frame["response"] for frame in server.frames if frame["type"] == "response.create"]
    return [response for response in found if "interrupt_current_response" not in response]


def said(response: dict[str, Any]) -> list[tuple[str, str]]:
    """The history in a request: who said what."""
    return [(item["role"], item["content"][0]["text"]) for item in response["history"] if item["type"] == "message"]


async def test_turn_after_turn_each_with_what_was_said_before() -> None:
    async with StepFunServer() as server, Connection(dialog(server, speed_ratio=1.2)) as connection:
        events = aiter(connection)
        assert await until_ready(events) == [Ready("")]
        for _ in range(3):
            seen = await turn(connection, events, TURN)
            assert b"".join(event.pcm for event in of(seen, AnswerSound)) == tone(400)
            assert of(seen, Heard) == [Heard("what is the weather?", True)]
            assert not of(seen, Failed)
    first, _, third = requests(server)
    assert first["history"] == []
    assert said(third) == [("user", "what is the weather?"), ("assistant", "All right.")] * 2
    assert first["speed_ratio"] == 1.2
    assert (first["instructions"], first["voice"]) == ("Be brief.", "linjiajiejie")
    assert first["tools"][0]["function"]["name"] == "get_weather"
    assert server.requests[0].path == "/v1/realtime/stateless?model=step-overture-preview"
    assert bytes(server.sound) == TURN * 3
    assert "session.update" not in server.kinds()


async def test_the_next_turn_waits_until_the_session_is_restored() -> None:
    """The owner speaks on while the answer comes: sound is refused then."""
    async with StepFunServer(piece_s=0.01) as server, Connection(dialog(server)) as connection:
        events = aiter(connection)
        connection.session.append(TURN)
        connection.session.commit()
        connection.session.append(TURN)
        connection.flush()
        await up_to(events, lambda event: isinstance(event, AnswerSound))
        connection.session.append(TURN)
        connection.flush()
        first = await up_to(events, lambda event: isinstance(event, AnswerDone))
        connection.session.commit()
        connection.flush()
        second = await up_to(events, lambda event: isinstance(event, AnswerDone))
        assert not of([*first, *second], Failed)
    assert bytes(server.sound) == TURN * 3
    assert server.restored == 2


def weather(number: int, results: Sequence[Any]) -> Sequence[Step]:
    return [Say("It is sunny.")] if results else [Say("Let me see."), Call("get_weather", {"town": "Bonn"})]


async def test_a_result_is_told_until_it_was_answered() -> None:
    async with StepFunServer(weather) as server, Connection(dialog(server)) as connection:
        events = aiter(connection)
        connection.session.append(TURN)
        connection.session.commit()
        connection.flush()
        await up_to(events, lambda event: isinstance(event, ToolCalled))
        connection.session.tool_result("call_1", {"text": "sunny"})
        connection.flush()
        await up_to(events, lambda event: isinstance(event, AnswerDone) and not event.calls)
        await turn(connection, events, TURN)
    _, second, third = requests(server)
    assert [item["type"] for item in second["history"]] == [
        "message",
        "message",
        "function_call",
        "function_call_output",
    ]
    assert json.loads(second["history"][3]["output"]) == {"text": "sunny"}
    # Once it was answered it is not told again: the model would repeat it.
    assert "function_call_output" not in [item["type"] for item in third["history"]]


async def test_what_was_not_heard_is_not_told_with_the_next_turn() -> None:
    async with StepFunServer(two_stories) as server, Connection(dialog(server)) as connection:
        events = aiter(connection)
        await turn(connection, events, TURN)
        connection.session.interrupt(2_500.0)
        seen = await turn(connection, events, TURN)
        assert {event.answer_id for event in of(seen, AnswerSound)} == {"resp_2"}
        assert seen[-1] == AnswerDone("resp_2", "completed")
        assert not of(seen, Failed)
    assert server.interrupted == 0
    assert server.restored >= 1
    assert [text for role, text in said(requests(server)[1]) if role == "assistant"] == ["A long…"]
    assert "response.cancel" not in server.kinds()


async def test_an_interruption_before_the_answer_began() -> None:
    async with StepFunServer(two_stories, piece_s=0.005) as server, Connection(dialog(server)) as connection:
        events = aiter(connection)
        connection.session.write("Tell me a story.")
        connection.session.interrupt(0.0)
        connection.session.write("What time is it?")
        connection.flush()
        seen = await up_to(events, lambda event: isinstance(event, AnswerDone))
        assert seen[-1] == AnswerDone("resp_2", "completed")
        assert not of(seen, Failed)
    assert server.interrupted == 1
    assert said(requests(server)[1]) == [("user", "Tell me a story.")]


async def test_a_note_goes_into_the_instructions() -> None:
    async with StepFunServer() as server, Connection(dialog(server)) as connection:
        events = aiter(connection)
        connection.session.note("A timer rang.")
        await turn(connection, events, TURN)
    assert requests(server)[0]["instructions"] == "Be brief.\nA timer rang."


async def test_a_request_that_is_refused_costs_the_turn() -> None:
    async with StepFunServer() as server, Connection(dialog(server, history=None, modalities=["text"])) as connection:
        events = aiter(connection)
        await until_ready(events)
        connection.session.commit()  # nothing was said
        connection.flush()
        seen = await up_to(events, lambda event: isinstance(event, Failed))
        assert [event.session for event in of(seen, Failed)] == [False]


@pytest.mark.parametrize("is_named", [True, False])
def test_after_a_refusal_the_session_goes_on(is_named: bool) -> None:
    adapter: Any = StepFunStatelessDialog(Account(KEY, ""), Setup())
    adapter.opened()
    adapter.commit()
    frames = [json.loads(frame) for frame in adapter.frames()]
    named = {"event_id": frames[-1]["event_id"]} if is_named else {}
    error = {"type": "invalid_request_error", "code": "invalid_param", "message": "no", **named}
    [failed] = adapter.receive(json.dumps({"type": "error", "error": error}))
    assert not failed.session
    adapter.append(bytes(320))
    adapter.commit()
    kinds = [json.loads(frame)["type"] for frame in adapter.frames()]
    assert kinds == ["input_audio_buffer.append", "input_audio_buffer.commit", "response.create"]


def test_a_conversation_does_not_grow_for_ever() -> None:
    adapter = StepFunStatelessDialog(Account(KEY, ""), Setup())
    adapter.opened()
    for number in range(200):
        adapter.write(f"turn {number}")
        adapter.receive(json.dumps({"type": "response.created", "response": {"id": f"resp_{number}"}}))
        part = {"response_id": f"resp_{number}", "item_id": f"item_{number}", "delta": f"answer {number}"}
        adapter.receive(json.dumps({"type": "response.audio_transcript.delta", **part}))
        adapter.receive(json.dumps({"type": "response.done", "response": {"id": f"resp_{number}"}}))
        adapter.receive(json.dumps({"type": "session.restored"}))
        frames = [json.loads(frame) for frame in adapter.frames()]
    history: Sequence[Any] = next(f for f in frames if f["type"] == "response.create")["response"]["history"]
    assert len(history) <= 48
    assert history[-1]["content"][0]["text"] == "answer 198"


class Rules:
    """The service's side, as its rules are told: it notes whoever breaks them."""

    def __init__(self, adapter: Any) -> None:
        self.adapter = adapter
        self.answers = 0
        self.state = "idle"
        self.due: list[dict[str, Any]] = []
        """What it is going to tell, in order."""

    def take(self) -> None:
        for frame in map(json.loads, self.adapter.frames()):
            kind = frame["type"]
            if kind == "session.restore":
                assert self.state == "answered", "restored once, and after an answer"
                self.state = "restoring"
                self.due.append({"type": "session.restored"})
            elif kind == "response.create" and frame["response"].get("interrupt_current_response"):
                if self.state == "answering":
                    self.due = [
                        self.response("done"),
                        self.response("created", "_stop"),
                        self.response("done", "_stop"),
                    ]
            else:
                assert self.state == "idle", f"{kind} while {self.state}"
                if kind == "response.create":
                    self.state = "answering"
                    self.answers += 1
                    part = {"response_id": f"resp_{self.answers}", "item_id": f"item_{self.answers}"}
                    call = {"call_id": f"call_{self.answers}", "name": "f", "arguments": "{}", **part}
                    self.due += [
                        self.response("created"),
                        {"type": "response.audio_transcript.delta", "delta": "It is sunny.", **part},
                        {"type": "response.audio.delta", "delta": "AAAAAAAA", **part},
                        *([{"type": "response.function_call_arguments.done", **call}] if self.answers % 3 == 0 else []),
                        self.response("done"),
                    ]

    def response(self, what: str, suffix: str = "") -> dict[str, Any]:
        return {"type": f"response.{what}", "response": {"id": f"resp_{self.answers}{suffix}"}}

    def tell(self) -> None:
        if not self.due:
            return
        message = self.due.pop(0)
        if message["type"] == "response.done" and self.state == "answering":
            self.state = "answered"
        if message["type"] == "session.restored":
            self.state = "idle"
        self.adapter.receive(json.dumps(message))


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from(["append", "commit", "write", "interrupt", "result", "tell", "tell", "tell"]), max_size=80)
)
def test_the_rules_are_kept_whatever_happens_when(steps: list[str]) -> None:
    adapter = StepFunStatelessDialog(Account(KEY, ""), Setup())
    adapter.opened()
    rules = Rules(adapter)
    for step in steps:
        match step:
            case "append":
                adapter.append(bytes(320))
            case "commit":
                adapter.commit()
            case "write":
                adapter.write("What time is it?")
            case "interrupt":
                adapter.interrupt(0.1)
            case "result":
                adapter.tool_result(f"call_{rules.answers}", "sunny")
            case "tell":
                rules.tell()
        rules.take()
    # However it stood, the next turn is answered.
    adapter.interrupt(0.0)
    rules.take()
    while rules.due:
        rules.tell()
        rules.take()
    before = rules.answers
    adapter.write("Are you there?")
    rules.take()
    assert rules.answers == before + 1


def test_an_answer_that_was_interrupted_is_not_asked_for_after_all() -> None:
    adapter = StepFunStatelessDialog(Account(KEY, ""), Setup())
    adapter.opened()
    adapter.write("What is the weather?")
    part = {"response_id": "resp_1", "item_id": "item_1"}
    call = {"call_id": "call_1", "name": "get_weather", "arguments": "{}", **part}
    for message in (
        {"type": "response.created", "response": {"id": "resp_1"}},
        {"type": "response.function_call_arguments.done", **call},
        {"type": "response.done", "response": {"id": "resp_1"}},
    ):
        adapter.receive(json.dumps(message))
    adapter.tool_result("call_1", "sunny")
    adapter.interrupt(0.0)
    adapter.frames()
    adapter.receive(json.dumps({"type": "session.restored"}))
    assert "response.create" not in [json.loads(frame)["type"] for frame in adapter.frames()]


def test_nothing_but_its_restoring_opens_the_session_again() -> None:
    adapter = StepFunStatelessDialog(Account(KEY, ""), Setup())
    adapter.opened()
    adapter.write("What time is it?")
    adapter.frames()
    adapter.append(bytes(320))
    assert adapter.receive(json.dumps({"type": "session.updated", "session": {}})) == []
    assert adapter.frames() == []
