"""Doubao's spoken dialogue: our adapter against the test server."""

from __future__ import annotations

import asyncio
from typing import Any

from agentbox.realtime.connection import Connection
from agentbox.realtime.doubao import Code, DoubaoDialog
from agentbox.realtime.events import (
    AnswerDone,
    AnswerText,
    Failed,
    Resumable,
)
from agentbox.realtime.session import Account, Setup
from tests.realtime.servers.base import KEY, tone
from tests.realtime.servers.doubao import APP, SPEAKERS, DoubaoServer
from tests.realtime.talks import LIMIT_S, is_done, of, turn, until_ready, up_to

TURN = tone(500, 16_000)


def dialog(server: DoubaoServer, key: str = KEY, model: str = "", app: str = APP, **setup: Any) -> DoubaoDialog:
    account = Account(key=key, model=model, url=server.url, app_id=app)
    return DoubaoDialog(account, Setup(instructions="Be brief.", **setup))


async def test_the_session_is_push_to_talk_and_says_how_it_wants_to_be_spoken_to() -> None:
    async with DoubaoServer() as server:
        made = dialog(server, voice=SPEAKERS[1], hotwords=("agentbox",), resume="dlg_7")
        async with Connection(made) as connection:
            events = aiter(connection)
            await until_ready(events)
            assert await up_to(events, lambda event: isinstance(event, Resumable)) == [Resumable("dlg_7")]
    start = server.frames[1]
    assert start["dialog"] == {
        "system_role": "Be brief.",
        "dialog_id": "dlg_7",
        "extra": {"model": "1.2.1.1", "input_mod": "push_to_talk", "enable_conversation_truncate": True},
    }
    assert start["tts"]["speaker"] == SPEAKERS[1]
    assert start["asr"]["extra"]["context"] == {"hotwords": [{"word": "agentbox"}]}
    sent = server.requests[0].headers
    assert sent["X-Api-App-ID"] == APP
    assert len(sent["X-Api-Connect-Id"]) == 36
    assert KEY not in server.requests[0].path


def test_the_family_of_the_model_decides_where_the_persona_goes() -> None:
    made = DoubaoDialog(Account(key="", model="2.2.0.0"), Setup("Be brief."))
    assert made.session()["dialog"]["character_manifest"] == "Be brief."
    assert made.capabilities.truncates
    assert not DoubaoDialog(Account(key="", model="O"), Setup()).capabilities.truncates


async def test_a_key_without_an_app_is_the_newer_kind_of_key() -> None:
    async with DoubaoServer() as server, Connection(dialog(server, app="")) as connection:
        assert is_done((await turn(connection, aiter(connection), TURN))[-1])
    assert "X-Api-Access-Key" not in server.requests[0].headers


async def test_a_written_turn_and_something_to_know() -> None:
    async with DoubaoServer() as server, Connection(dialog(server, language="zh-CN")) as connection:
        connection.session.note("A timer rang.")
        connection.session.write("What time is it?")
        connection.flush()
        seen = await up_to(aiter(connection), is_done)
        assert of(seen, AnswerText) == [AnswerText("r_1", "All right.")]
    assert server.events() == [1, 100, 510, 501, 102, 2]
    assert server.frames[2]["items"][0] == {"role": "user", "text": "A timer rang."}
    assert server.frames[3]["content"] == "What time is it?"


async def test_an_answer_that_was_sent_whole_can_still_be_cut_to_what_was_heard() -> None:
    async with DoubaoServer() as server, Connection(dialog(server)) as connection:
        events = aiter(connection)
        await turn(connection, events, TURN)
        # The owner speaks while the box still plays; the gate opened before anybody said so.
        connection.session.append(TURN)
        connection.session.interrupt(150.0)
        connection.session.commit()
        connection.flush()
        assert (await up_to(events, is_done))[-1] == AnswerDone("r_2", "completed")
    assert server.events() == [1, 100, 200, 400, 200, 513, 400, 102, 2]


async def test_what_was_not_meant_is_in_no_turn_and_the_conversation_goes_on() -> None:
    async with DoubaoServer() as server, Connection(dialog(server)) as connection:
        events = aiter(connection)
        await until_ready(events)
        connection.session.append(tone(300, 16_000))
        connection.session.discard()
        connection.session.discard()
        connection.session.append(TURN)
        connection.session.commit()
        connection.flush()
        assert (await up_to(events, is_done))[-1] == AnswerDone("r_2", "completed")
    assert server.events() == [1, 100, 200, 102, 100, 200, 400, 102, 2]
    first, second = (frame for frame in server.frames if frame["type"] == Code.START_SESSION)
    assert first["session"] != second["session"]
    assert second["dialog"]["dialog_id"] == "dlg_1"


async def test_a_connection_that_ends_is_told() -> None:
    async with DoubaoServer() as server, Connection(dialog(server)) as connection:
        events = aiter(connection)
        await until_ready(events)
        connection.session._send(Code.FINISH_SESSION)
        connection.flush()
        async with asyncio.timeout(LIMIT_S):
            seen = await up_to(events, lambda event: False)
    assert isinstance(seen[-1], Failed)
    assert seen[-1].failure.code == "cloud_closed"
