"""StepFun's realtime models: our adapters against the test server."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

import pytest

from agentbox.realtime.connection import Connection
from agentbox.realtime.events import (
    AnswerDone,
    Failed,
    Ready,
)
from agentbox.realtime.failures import Kind
from agentbox.realtime.session import Account, Setup
from agentbox.realtime.stepfun import StepFunASR, StepFunDialog
from tests.realtime.servers.base import KEY, tone
from tests.realtime.servers.stepfun import StepFunServer
from tests.realtime.talks import WEATHER, failure_of, of, turn, two_stories, until_ready, up_to

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
        failed = await failure_of(dialog(server))
    assert (failed.code, failed.kind) == (ours, kind)


async def test_a_model_that_does_not_exist() -> None:
    async with StepFunServer() as server:
        assert (await failure_of(dialog(server, model="step-2.5-realtime"))).code == "cloud_model"


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


async def test_recognition_of_a_turn_without_sound_costs_the_turn() -> None:
    async with StepFunServer() as server, Connection(recognition(server)) as connection:
        connection.session.commit()
        connection.flush()
        seen = await up_to(aiter(connection), lambda event: isinstance(event, Failed))
    assert [event.session for event in of(seen, Failed)] == [False]
