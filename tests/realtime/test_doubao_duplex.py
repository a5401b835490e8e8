"""Doubao's dialogue 3.0: our adapter against the test server."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agentbox.realtime.connection import Connection
from agentbox.realtime.doubao_duplex import DoubaoDuplexDialog
from agentbox.realtime.events import (
    AnswerDone,
    Event,
    Failed,
    Used,
)
from agentbox.realtime.session import Account, Setup
from tests.realtime.servers.base import KEY, tone
from tests.realtime.servers.doubao_duplex import DoubaoDuplexServer
from tests.realtime.talks import WEATHER, is_done, turn, until_ready, up_to

TURN = tone(500, 16_000)


def dialog(server: DoubaoDuplexServer, key: str = KEY, model: str = "", **setup: Any) -> DoubaoDuplexDialog:
    account = Account(key=key, model=model, url=server.url)
    return DoubaoDuplexDialog(account, Setup(instructions="Be brief.", tools=(WEATHER,), **setup))


def test_the_bill_of_one_answer_does_not_end_the_next() -> None:
    made = ready()
    told(made, "response.output_audio.started")
    told(made, "response.output_audio.done")
    made.append(TURN)
    made.commit()
    told(made, "response.output_audio.started")
    assert told(made, "response.done", usage={"total_tokens": 5}) == [Used({"total_tokens": 5.0})]
    assert told(made, "response.output_audio.done") == [AnswerDone("answer_2", "completed")]


@pytest.mark.parametrize("may_begin_again", [True, False])
async def test_what_was_not_meant_is_in_no_turn(may_begin_again: bool) -> None:
    async with DoubaoDuplexServer() as server, Connection(dialog(server)) as connection:
        server.may_begin_again = may_begin_again
        events = aiter(connection)
        await until_ready(events)
        connection.session.append(tone(300, 16_000))
        connection.session.discard()
        connection.session.append(TURN)
        connection.session.commit()
        connection.flush()
        last = (await up_to(events, is_done))[-1]
    if may_begin_again:
        assert last == AnswerDone("answer_1", "completed")
        assert server.frames[-2]["type"] == "input_audio_mute.commit"
        creations = [frame["session"] for frame in server.frames if frame["type"] == "session.create"]
        assert [session.get("id") for session in creations] == [None, "dlg_1"]
    else:
        assert isinstance(last, Failed)
        assert last.failure.code == "cloud_closed"


async def test_something_to_know_and_nothing_written() -> None:
    async with DoubaoDuplexServer() as server, Connection(dialog(server)) as connection:
        connection.session.note("A timer rang.")
        connection.session.write("This model takes no written turns.")
        assert not connection.session.capabilities.takes_text
        assert is_done((await turn(connection, aiter(connection), TURN))[-1])
    note = next(frame for frame in server.frames if frame["type"] == "conversation.item.create")
    assert note["items"][0]["content"] == [{"type": "input_text", "text": "A timer rang."}]


def ready() -> DoubaoDuplexDialog:
    made = DoubaoDuplexDialog(Account(key=KEY, model=""), Setup(tools=(WEATHER,)))
    made.opened()
    told(made, "session.created", session={"id": "dlg_1"})
    made.append(TURN)
    made.commit()
    return made


def told(made: DoubaoDuplexDialog, kind: str, **fields: Any) -> list[Event]:
    return made.receive(json.dumps({"type": kind, **fields}))


@pytest.mark.parametrize(
    ("code", "words", "ours", "ends"),
    [
        ("45000003", "Abnormal silence audio", "cloud_idle", True),
        ("45000010", "Invalid X-Api-Key", "cloud_key", True),
        ("52000033", "input timeout", "cloud_idle", True),
        ("55000000", "sami error: codes=42000999, desc=stream send timeout", "cloud_down", True),
        ("55000001", "ContextCanceled", "cloud_closed", True),
        (45000002, "Empty audio", "cloud_input", False),
    ],
)
def test_every_documented_error(code: str | int, words: str, ours: str, ends: bool) -> None:
    (failed,) = told(ready(), "error", error={"type": "server_error", "code": code, "message": words})
    assert isinstance(failed, Failed)
    assert (failed.failure.code, failed.failure.vendor_code, failed.session) == (ours, str(code), ends)


def test_an_answer_that_the_service_breaks_off_ends() -> None:
    made = ready()
    told(made, "response.output_audio.started")
    assert told(made, "response.done") == [AnswerDone("answer_1", "incomplete")]


def test_arguments_that_are_none_are_answered_by_the_box() -> None:
    made = ready()
    made.frames()
    items = [{"call_id": "c_1", "name": "get_weather", "arguments": "["}]
    assert told(made, "response.function_call_arguments.done", items=items)[1:] == [
        AnswerDone("answer_1", "completed", calls=True)
    ]
    (frame,) = made.frames()
    assert json.loads(frame)["items"][0]["role"] == "tool"


def test_sound_in_a_form_that_nobody_asked_for_is_a_matter_of_settings() -> None:
    failed = told(ready(), "response.output_audio.delta", delta="T2dnUwAA")[-1]
    assert isinstance(failed, Failed)
    assert failed.failure.code == "cloud_settings"


def test_no_word_is_heard_after_the_farewell() -> None:
    made = ready()
    made.frames()
    made.finish()
    made.finish()
    assert [json.loads(frame) for frame in made.frames()] == [{"type": "session.close"}]
    assert told(made, "error", error={"code": "55000000", "message": "no session active"}) == []
