"""Qwen's realtime models: our adapters against the test server, in all three dialects."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agentbox.realtime.connection import Connection
from agentbox.realtime.events import (
    AnswerDone,
    Failed,
    Ready,
)
from agentbox.realtime.qwen import Dialect, QwenDialog, capabilities_of, dialect_of
from agentbox.realtime.session import Account, Setup
from tests.realtime.servers.base import KEY, tone
from tests.realtime.servers.qwen import QwenServer
from tests.realtime.talks import WEATHER, failure_of, of, turn, two_stories, up_to

AUDIO = "qwen-audio-3.0-realtime-plus"
OMNI_3_8 = "qwen3.8-omni-flash-realtime"
OMNI = "qwen3.5-omni-flash-realtime"

TURN = tone(500, 16_000)


def dialog(server: QwenServer, model: str = AUDIO, key: str = KEY, **options: Any) -> QwenDialog:
    account = Account(key=key, model=model, url=server.url, options=options)
    return QwenDialog(account, Setup(instructions="Be brief.", tools=(WEATHER,)))


def refusal(kind: str, code: str = "", words: str = "", **fields: Any) -> str:
    return json.dumps({"type": "error", "error": {"type": kind, "code": code, "message": words, **fields}})


def ready(adapter: Any) -> Any:
    adapter.opened()
    adapter.receive(json.dumps({"type": "session.created", "session": {"id": "s"}}))
    assert adapter.receive(json.dumps({"type": "session.updated", "session": {"id": "s"}})) == [Ready("s")]
    adapter.frames()
    return adapter


def done(status: str = "completed", **fields: Any) -> str:
    return json.dumps({"type": "response.done", "response": {"id": "resp_1", "status": status, **fields}})


def account(model: str = AUDIO, **fields: Any) -> Account:
    return Account(key=KEY, model=model, **fields)


@pytest.mark.parametrize(
    ("model", "dialect"),
    [
        (AUDIO, Dialect.AUDIO),
        ("pre-fun-realtime-audiochat-beta-3", Dialect.AUDIO),
        (OMNI_3_8, Dialect.OMNI_3_8),
        (OMNI, Dialect.OMNI),
        ("qwen3-omni-flash-realtime", Dialect.OMNI),
    ],
)
def test_the_dialect_goes_by_the_model(model: str, dialect: Dialect) -> None:
    assert dialect_of(model) is dialect
    assert capabilities_of(model).takes_text is (dialect is not Dialect.OMNI)
    assert capabilities_of(model).truncates is (dialect is Dialect.AUDIO)


def test_what_a_session_lasts_belongs_to_the_model() -> None:
    assert capabilities_of(OMNI).session_s == 7200
    assert capabilities_of("qwen3-omni-flash-realtime").session_s == 1800
    assert capabilities_of(AUDIO).idle_s == 180


def test_the_address_names_model_and_workspace_and_no_key() -> None:
    endpoint = QwenDialog(account(workspace="ws-1"), Setup()).endpoint
    assert endpoint.url == f"wss://dashscope.aliyuncs.com/api-ws/v1/realtime?model={AUDIO}"
    assert endpoint.headers == {"Authorization": f"Bearer {KEY}", "X-DashScope-WorkSpace": "ws-1"}
    assert KEY not in repr(endpoint)


async def test_what_was_not_heard_is_taken_back() -> None:
    """The answer is there, and the box is still saying it: the usual case, since sound comes faster than it plays."""
    async with QwenServer(two_stories) as server, Connection(dialog(server)) as connection:
        events = aiter(connection)
        await turn(connection, events, TURN)
        connection.session.interrupt(2_500.0)
        seen = await turn(connection, events, TURN)
        assert not of(seen, Failed)
    deleted = [frame["item_id"] for frame in server.frames if frame["type"] == "conversation.item.delete"]
    assert deleted == ["item_resp_1_0"]
    items = [frame["item"] for frame in server.frames if frame["type"] == "conversation.item.create"]
    assert items == [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "A long…"}]}]
    assert "response.cancel" not in server.kinds()


@pytest.mark.parametrize("names_errors", [True, False])
async def test_a_cancellation_that_comes_too_late_is_no_failure(names_errors: bool) -> None:
    adapter = ready(QwenDialog(account(), Setup()))
    adapter.commit()
    adapter.receive(json.dumps({"type": "response.created", "response": {"id": "resp_1"}}))
    adapter.interrupt(0.0)
    cancel = json.loads(adapter.frames()[-1])
    named = {"event_id": cancel["event_id"]} if names_errors else {}
    words = "Conversation has no active response."
    assert adapter.receive(refusal("invalid_request_error", "invalid_value", words, **named)) == []


def test_a_refused_request_without_its_id_is_the_one_that_waits() -> None:
    adapter = ready(QwenDialog(account(), Setup()))
    adapter.commit()
    words = "Cannot create response while user is speaking."
    [failed] = adapter.receive(refusal("invalid_request_error", "invalid_value", words, param="response.create"))
    assert failed.failure.code == "cloud_refused"
    assert not failed.session
    adapter.frames()
    adapter.commit()
    assert "response.create" in [json.loads(frame)["type"] for frame in adapter.frames()]


async def test_a_written_turn_and_a_note() -> None:
    async with QwenServer() as server, Connection(dialog(server)) as connection:
        events = aiter(connection)
        connection.session.note("A timer rang.")
        connection.session.write("What time is it?")
        connection.flush()
        assert (await up_to(events, lambda event: isinstance(event, AnswerDone)))[-1] == AnswerDone(
            "resp_1", "completed"
        )
    roles = [frame["item"]["role"] for frame in server.frames if frame["type"] == "conversation.item.create"]
    assert roles == ["system", "user"]


async def test_what_cannot_be_written_goes_into_the_instructions() -> None:
    async with QwenServer() as server, Connection(dialog(server, OMNI)) as connection:
        events = aiter(connection)
        connection.session.note("A timer rang.")
        connection.session.write("What time is it?")
        connection.flush()
        seen = await up_to(events, lambda event: isinstance(event, AnswerDone))
        assert not of(seen, Failed)
    updates = [frame["session"] for frame in server.frames if frame["type"] == "session.update"]
    assert [update["instructions"] for update in updates] == ["Be brief.", "Be brief.\nA timer rang."]
    assert server.frames[-2]["response"] == {"instructions": "What time is it?"}
    assert server.kinds()[-1] == "session.finish"


async def test_a_model_that_does_not_exist_is_told_by_silence() -> None:
    async with QwenServer() as server:
        assert (await failure_of(dialog(server, "qwen-audio-9"))).code == "cloud_silent"


def test_a_close_means_silence_only_while_nothing_ever_came() -> None:
    adapter = ready(QwenDialog(account(), Setup()))
    assert adapter.closed(1000, "")[0].failure.code == "cloud_closed"
    adapter.commit()
    assert adapter.closed(1000, "")[0].failure.code == "cloud_silent"
    adapter.receive(json.dumps({"type": "response.created", "response": {"id": "resp_1"}}))
    assert adapter.closed(1000, "")[0].failure.code == "cloud_closed"
    idle = "Your session was closed because no response was generated for 180 seconds"
    assert adapter.closed(1000, idle)[0].failure.code == "cloud_idle"


@pytest.mark.parametrize(
    ("kind", "code", "words", "ours", "ends"),
    [
        ("invalid_request_error", "invalid_value", "Invalid value: 'x'", "cloud_refused", False),
        ("server_error", "internal_error", "LLM connection failed", "cloud_down", True),
        ("server_error", "", "storage failure", "cloud_down", True),
        ("invalid_request_error", "Arrearage", "overdue", "cloud_credit", True),
        ("invalid_request_error", "AllocationQuota.FreeTierOnly", "used up", "cloud_credit", True),
        ("invalid_request_error", "AccessDenied.Unpurchased", "", "cloud_credit", True),
        ("invalid_request_error", "ModelAccessDenied", "", "cloud_denied", True),
        ("invalid_request_error", "Model.NotExist", "Model not exist.", "cloud_model", True),
        ("invalid_request_error", "ModelNotFound", "Model not found (x)!", "cloud_model", True),
        ("invalid_request_error", "InvalidApiKey", "Invalid API-key provided.", "cloud_key", True),
        ("invalid_request_error", "DataInspectionFailed", "inappropriate", "cloud_input", False),
        ("server_error", "DataInspectionFailed", "inappropriate", "cloud_input", True),
        ("invalid_request_error", "Throttling.RateQuota", "slow down", "cloud_busy", True),
        ("server_error", "ServiceUnavailable", "", "cloud_down", True),
        (
            "server_error",
            "",
            "session was closed because no response was generated for 300 seconds",
            "cloud_idle",
            True,
        ),
    ],
)
def test_documented_errors(kind: str, code: str, words: str, ours: str, ends: bool) -> None:
    [failed] = ready(QwenDialog(account(), Setup())).receive(refusal(kind, code, words))
    assert failed.failure.code == ours
    assert failed.session is ends


def test_an_answer_that_failed_says_why() -> None:
    adapter = ready(QwenDialog(account(), Setup()))
    adapter.commit()
    adapter.receive(json.dumps({"type": "response.created", "response": {"id": "resp_1"}}))
    details = {"type": "failed", "error": {"type": "server_error", "code": "Throttling", "message": "busy"}}
    [event] = adapter.receive(done("failed", status_details=details))
    assert event.failure.code == "cloud_busy"
