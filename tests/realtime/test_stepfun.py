"""StepFun's realtime models: our adapters against the test server."""

from __future__ import annotations

import json
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import pytest

from agentbox.realtime.connection import Connection
from agentbox.realtime.events import (
    AnswerDone,
    AnswerSound,
    AnswerText,
    Failed,
    Finished,
    Heard,
    Ready,
    ToolCalled,
    Used,
)
from agentbox.realtime.failures import CloudError, Kind
from agentbox.realtime.session import Account, Setup
from agentbox.realtime.stepfun import StepFunASR, StepFunDialog
from tests.realtime.servers.base import KEY, Say, Step, tone
from tests.realtime.servers.stepfun import StepFunServer
from tests.realtime.talks import WEATHER, turn, until_ready, up_to
from tests.realtime.test_openai import of, weather

TURN = tone(500)


def dialog(server: StepFunServer, model: str = "", key: str = KEY, voice: str = "", **options: Any) -> StepFunDialog:
    account = Account(key=key, model=model, url=server.url, options=options)
    return StepFunDialog(account, Setup(instructions="Be brief.", voice=voice, tools=(WEATHER,)))


def recognition(server: StepFunServer) -> StepFunASR:
    account = Account(key=KEY, model="", url=f"{server.url}/asr/stream")
    return StepFunASR(account, Setup(language="zh-CN", hotwords=("agentbox", "pizza")))


def session_of(adapter: Any) -> dict[str, Any]:
    adapter.opened()
    session: dict[str, Any] = json.loads(adapter.frames()[0])["session"]
    return session


def ready(adapter: Any) -> Any:
    adapter.opened()
    assert adapter.receive(json.dumps({"type": "session.updated", "session": {"id": "s"}})) == [Ready("s")]
    adapter.frames()
    return adapter


async def test_a_turn_from_sound_to_answer() -> None:
    async with StepFunServer() as server, Connection(dialog(server)) as connection:
        events = aiter(connection)
        assert await until_ready(events) == [Ready("sess_1")]
        seen = await turn(connection, events, TURN)
        assert b"".join(event.pcm for event in of(seen, AnswerSound)) == tone(400)
        # What the model thinks is not what it says.
        assert of(seen, AnswerText) == [AnswerText("resp_1", "All right.")]
        assert of(seen, Heard) == [Heard("what is the weather?", final=True)]
        assert of(seen, Used)[0].units["output_tokens"] == 30
        assert seen[-1] == AnswerDone("resp_1", "completed")
    assert bytes(server.sound) == TURN
    assert server.requests[0].path == "/v1/realtime?model=stepaudio-2.5-realtime"
    session = server.frames[0]["session"]
    assert session["turn_detection"] is None
    assert session["tools"][0]["function"]["name"] == "get_weather"
    assert server.closes == [1000]


async def test_the_session_counts_when_the_example_of_the_page_comes() -> None:
    async with StepFunServer() as server:
        server.acknowledges_by = "session.created"
        adapter = dialog(server)
        async with Connection(adapter) as connection:
            assert await until_ready(aiter(connection)) == [Ready("")]


def test_a_greeting_is_no_acknowledgement_unless_it_repeats_the_settings() -> None:
    greeting = json.dumps({"type": "session.created", "session": {"id": "s", "instructions": "You are helpful."}})
    adapter = StepFunDialog(Account(KEY, ""), Setup("Be brief."))
    adapter.opened()
    assert adapter.receive(greeting) == []
    assert adapter.receive(greeting) == [Ready("s")]
    adapter = StepFunDialog(Account(KEY, ""), Setup("You are helpful."))
    adapter.opened()
    assert adapter.receive(greeting) == [Ready("s")]


def test_who_it_is_to_be() -> None:
    persona = Setup("You are a pirate.", voice="linjiajiejie")
    session = session_of(StepFunDialog(Account(KEY, ""), persona))
    assert (session["instructions"], session["voice"]) == ("You are a pirate.", "linjiajiejie")
    assert "voice" not in session_of(StepFunDialog(Account(KEY, ""), Setup()))
    mini = session_of(StepFunDialog(Account(KEY, "step-audio-2-mini"), Setup("Hi.", voice="wenrounansheng")))
    assert mini["instructions"] == "Hi.\n请使用默认男声与用户交流"


def test_the_rate_may_be_set_and_is_not_sent() -> None:
    adapter = StepFunDialog(Account(KEY, "", options={"sample_rate": 16_000, "temperature": 0.5}), Setup())
    assert (adapter.capabilities.input_rate_hz, adapter.capabilities.output_rate_hz) == (16_000, 16_000)
    session = session_of(adapter)
    assert session["temperature"] == 0.5
    assert "sample_rate" not in session


def test_the_connection_is_kept_alive_and_renewed_in_time() -> None:
    adapter = StepFunDialog(Account(KEY, "step-audio-2", url="wss://api.stepfun.ai/v1/realtime"), Setup())
    assert adapter.endpoint.ping_s == 20.0
    assert adapter.endpoint.url == "wss://api.stepfun.ai/v1/realtime?model=step-audio-2"
    assert adapter.capabilities.session_s == 20 * 60


@pytest.mark.parametrize("names_answers", [True, False])
async def test_the_model_calls_a_tool_and_goes_on_with_its_result(names_answers: bool) -> None:
    async with StepFunServer(weather, piece_s=0.002) as server, Connection(dialog(server)) as connection:
        server.names_answers = names_answers
        events = aiter(connection)
        connection.session.append(TURN)
        connection.session.commit()
        connection.flush()
        first = await up_to(events, lambda event: isinstance(event, ToolCalled))
        assert first[-1] == ToolCalled("resp_1", "call_1", "get_weather", {"town": "Bonn"})
        connection.session.tool_result("call_1", {"text": "sunny"})
        connection.flush()
        seen = await up_to(events, lambda event: isinstance(event, AnswerDone) and not event.calls)
        assert not of(seen, Failed)
        assert of(seen, AnswerText) == [AnswerText("resp_2", "It is sunny.")]


def two_stories(number: int, results: Sequence[Any]) -> Sequence[Step]:
    return [Say("A long story of a fox.", 5_000)] if not number else [Say("Yes?")]


@pytest.mark.parametrize("names_answers", [True, False])
@pytest.mark.parametrize("cancels_by", ["response.done", "response.cancelled"])
async def test_an_interruption_drops_the_rest(cancels_by: str, names_answers: bool) -> None:
    async with StepFunServer(two_stories, piece_s=0.005) as server, Connection(dialog(server)) as connection:
        server.cancels_by = cancels_by
        server.names_answers = names_answers
        events = aiter(connection)
        connection.session.append(TURN)
        connection.session.commit()
        connection.flush()
        await up_to(events, lambda event: isinstance(event, AnswerSound))
        connection.session.interrupt(60.0)
        connection.session.append(TURN)
        connection.session.commit()
        connection.flush()
        seen = await up_to(events, lambda event: isinstance(event, AnswerDone))
        assert {event.answer_id for event in of(seen, AnswerSound)} == {"resp_2"}
        assert seen[-1] == AnswerDone("resp_2", "completed")
    assert [frame.keys() for frame in server.frames if frame["type"] == "response.cancel"] == [{"type", "event_id"}]


async def test_what_was_not_heard_is_taken_back() -> None:
    async with StepFunServer(two_stories) as server, Connection(dialog(server)) as connection:
        events = aiter(connection)
        await turn(connection, events, TURN)
        connection.session.interrupt(2_500.0)
        assert not of(await turn(connection, events, TURN), Failed)
    deleted = [frame["item_id"] for frame in server.frames if frame["type"] == "conversation.item.delete"]
    assert deleted == ["item_resp_1_0"]
    [item] = [frame["item"] for frame in server.frames if frame["type"] == "conversation.item.create"]
    assert item["content"] == [{"type": "text", "text": "A long…"}]


async def test_a_written_turn_and_a_note() -> None:
    async with StepFunServer() as server, Connection(dialog(server)) as connection:
        events = aiter(connection)
        connection.session.note("A timer rang.")
        connection.session.write("What time is it?")
        connection.flush()
        seen = await up_to(events, lambda event: isinstance(event, AnswerDone))
        assert seen[-1] == AnswerDone("resp_1", "completed")
    roles = [frame["item"]["role"] for frame in server.frames if frame["type"] == "conversation.item.create"]
    assert roles == ["system", "user"]


def test_an_answer_that_the_service_cancels_by_itself_is_told_once() -> None:
    adapter = ready(StepFunDialog(Account(KEY, ""), Setup()))
    adapter.write("Tell me a story.")
    adapter.receive(json.dumps({"type": "response.created", "response": {"id": "resp_1"}}))
    # Of one that nobody knows it means nothing.
    assert adapter.receive(json.dumps({"type": "response.cancelled", "response_id": "resp_0"})) == []
    assert adapter.receive(json.dumps({"type": "response.cancelled"})) == [AnswerDone("resp_1", "cancelled")]
    end = {"type": "response.done", "response": {"id": "resp_1", "status": "cancelled"}}
    assert adapter.receive(json.dumps(end)) == []


@pytest.mark.parametrize(
    ("status", "ours", "kind"),
    [
        (HTTPStatus.UNAUTHORIZED, "cloud_key", Kind.FATAL_CONFIG),
        (HTTPStatus.PAYMENT_REQUIRED, "cloud_credit", Kind.FATAL_CONFIG),
        (HTTPStatus.NOT_FOUND, "cloud_address", Kind.FATAL_CONFIG),
        (HTTPStatus.TOO_MANY_REQUESTS, "cloud_busy", Kind.BACKOFF),
        (HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS, "cloud_input", Kind.FATAL_INPUT),
        (HTTPStatus.INTERNAL_SERVER_ERROR, "cloud_down", Kind.BACKOFF),
        (HTTPStatus.SERVICE_UNAVAILABLE, "cloud_down", Kind.BACKOFF),
    ],
)
async def test_documented_refusals(status: HTTPStatus, ours: str, kind: Kind) -> None:
    async with StepFunServer() as server:
        server.refuses = status
        with pytest.raises(CloudError) as caught:
            await Connection(dialog(server)).__aenter__()
    assert (caught.value.code, caught.value.failure.kind) == (ours, kind)


async def test_a_refused_key_and_a_model_that_does_not_exist() -> None:
    async with StepFunServer() as server:
        with pytest.raises(CloudError) as caught:
            await Connection(dialog(server, key="sk-wrong")).__aenter__()
        assert caught.value.code == "cloud_key"
        assert "sk-wrong" not in repr(caught.value) + str(caught.value)
        with pytest.raises(CloudError) as caught:
            await Connection(dialog(server, model="step-2.5-realtime")).__aenter__()
        assert caught.value.code == "cloud_model"


async def test_settings_that_are_refused_are_the_owners_to_mend() -> None:
    async with StepFunServer() as server, Connection(dialog(server, voice="nobody")) as connection:
        seen = await until_ready(aiter(connection))
    assert isinstance(seen[-1], Failed)
    assert (seen[-1].failure.code, seen[-1].failure.vendor_code) == ("cloud_settings", "invalid_param")


@pytest.mark.parametrize(
    ("kind", "code", "ours", "ends"),
    [
        ("invalid_request_error", "invalid_param", "cloud_refused", False),
        ("invalid_request_error", "missing_param", "cloud_refused", False),
        ("server_error", "", "cloud_down", True),
        ("internal_error", "internal_error", "cloud_down", True),
        ("invalid_request_error", "max_idle_timeout", "cloud_idle", True),
        ("invalid_request_error", "pong_timeout", "cloud_closed", True),
        ("risk", "risk_blocked", "cloud_input", False),
        ("risk", "", "cloud_input", False),
    ],
)
@pytest.mark.parametrize("is_bare", [False, True])
def test_documented_errors(kind: str, code: str, ours: str, ends: bool, is_bare: bool) -> None:
    error = {"type": kind, "code": code, "message": "音频内容不完整"}
    message = error if is_bare else {"type": "error", "error": error}
    [failed] = ready(StepFunDialog(Account(KEY, ""), Setup())).receive(json.dumps(message))
    assert failed.failure.code == ours
    assert failed.session is ends


async def test_a_turn_without_sound_costs_the_turn_and_not_the_session() -> None:
    async with StepFunServer() as server, Connection(dialog(server)) as connection:
        events = aiter(connection)
        connection.session.commit()
        connection.flush()
        seen = await up_to(events, lambda event: isinstance(event, Failed))
        assert not seen[-1].session  # type: ignore[union-attr]
        connection.session.write("What time is it?")
        connection.flush()
        assert isinstance((await up_to(events, lambda event: isinstance(event, AnswerDone)))[-1], AnswerDone)


@pytest.mark.parametrize("repeats_words", [False, True])
async def test_recognition_of_turn_after_turn(repeats_words: bool) -> None:
    async with StepFunServer() as server, Connection(recognition(server)) as connection:
        server.repeats_words = repeats_words
        events = aiter(connection)
        assert await until_ready(events) == [Ready("trace_1")]
        for _ in range(2):
            connection.session.append(tone(500, 16_000))
            connection.session.commit()
            connection.flush()
            seen = await up_to(events, lambda event: isinstance(event, Finished))
            assert of(seen, Heard) == [
                Heard("what is", False),
                Heard("what is the", False),
                Heard("what is the weather", False),
                Heard("what is the weather?", True),
            ]
    assert server.requests[0].path == "/v1/realtime/asr/stream"
    transcription = server.frames[0]["session"]["audio"]["input"]["transcription"]
    assert transcription == {"model": "step-asr-1.1-stream", "language": "zh", "prompt": "agentbox pizza"}


async def test_recognition_of_a_turn_without_sound_costs_the_turn() -> None:
    async with StepFunServer() as server, Connection(recognition(server)) as connection:
        connection.session.commit()
        connection.flush()
        seen = await up_to(aiter(connection), lambda event: isinstance(event, Failed))
    assert [event.session for event in of(seen, Failed)] == [False]
