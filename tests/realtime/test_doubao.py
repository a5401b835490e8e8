"""Doubao's spoken dialogue: our adapter against the test server."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from agentbox.realtime.connection import Connection
from agentbox.realtime.doubao import Code, DoubaoDialog
from agentbox.realtime.events import (
    AnswerDone,
    AnswerSound,
    AnswerStarted,
    AnswerText,
    Event,
    Failed,
    Heard,
    Ready,
    Resumable,
    Used,
)
from agentbox.realtime.failures import CloudError, Kind
from agentbox.realtime.session import Account, Setup
from tests.realtime.servers.base import KEY, Say, tone
from tests.realtime.servers.doubao import APP, SPEAKERS, USAGE, DoubaoServer
from tests.realtime.talks import LIMIT_S, turn, until_ready, up_to

TURN = tone(500, 16_000)


def dialog(server: DoubaoServer, key: str = KEY, model: str = "", app: str = APP, **setup: Any) -> DoubaoDialog:
    account = Account(key=key, model=model, url=server.url, app_id=app)
    return DoubaoDialog(account, Setup(instructions="Be brief.", **setup))


def of(events: Sequence[Event], kind: type[Any]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def is_done(event: Event) -> bool:
    return isinstance(event, AnswerDone)


@pytest.mark.parametrize("connect_id", ["", "d1dcd999-9a9e-4ed6-b227-8649e946f6c4"])
async def test_a_turn_from_sound_to_answer(connect_id: str) -> None:
    async with DoubaoServer() as server:
        server.connect_id = connect_id
        async with Connection(dialog(server)) as connection:
            events = aiter(connection)
            assert isinstance((await until_ready(events))[-1], Ready)
            seen = await turn(connection, events, TURN)
            bill = await up_to(events, lambda event: isinstance(event, Used))
        assert seen[0] == Resumable("dlg_1")
        assert of(seen, AnswerStarted) == [AnswerStarted("r_1")]
        assert b"".join(event.pcm for event in of(seen, AnswerSound)) == tone(400)
        assert of(seen, AnswerText) == [AnswerText("r_1", "All right.")]
        assert of(seen, Heard)[0] == Heard("what is the", final=False)
        assert of(seen, Heard)[-1] == Heard("what is the weather?", final=True)
        assert seen[-1] == AnswerDone("r_1", "completed")
        assert bill == [Used({name: float(count) for name, count in USAGE.items()})]
    assert bytes(server.sound) == TURN
    assert server.events() == [1, 100, 200, 400, 102, 2]
    assert server.closes == [1000]


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


def story(number: int, results: Sequence[Any]) -> Sequence[Say]:
    return [Say("A long story.", 5_000)] if not number else [Say("Yes?")]


async def test_an_interruption_tells_what_was_heard_and_late_sound_is_not_told() -> None:
    async with DoubaoServer(story, piece_s=0.005) as server, Connection(dialog(server)) as connection:
        events = aiter(connection)
        connection.session.append(TURN)
        connection.session.commit()
        connection.flush()
        await up_to(events, lambda event: isinstance(event, AnswerSound))
        connection.session.interrupt(60.0)
        connection.session.append(TURN)
        connection.session.commit()
        connection.flush()
        seen = await up_to(events, is_done)
        assert {event.answer_id for event in of(seen, AnswerSound)} == {"r_2"}
        assert b"".join(event.pcm for event in of(seen, AnswerSound)) == tone(400)
        assert seen[-1] == AnswerDone("r_2", "completed")
    assert server.events() == [1, 100, 200, 400, 515, 513, 200, 400, 102, 2]
    cut = next(frame for frame in server.frames if frame["type"] == Code.CONVERSATION_TRUNCATE)
    assert (cut["item_id"], cut["audio_end_ms"]) == ("r_1", 60)


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


async def test_an_interruption_before_the_answer_began_drops_it() -> None:
    async with DoubaoServer(story) as server, Connection(dialog(server)) as connection:
        connection.session.write("Tell me a story.")
        connection.session.interrupt(0.0)
        connection.session.write("What time is it?")
        connection.flush()
        seen = await up_to(aiter(connection), is_done)
        assert of(seen, AnswerText) == [AnswerText("r_2", "Yes?")]
        assert seen[-1] == AnswerDone("r_2", "completed")


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


async def test_what_was_not_meant_before_the_session_stood_never_leaves_the_box() -> None:
    async with DoubaoServer() as server, Connection(dialog(server)) as connection:
        connection.session.append(tone(300, 16_000))
        connection.session.discard()
        seen = await turn(connection, aiter(connection), TURN)
        assert seen[-1] == AnswerDone("r_1", "completed")
    assert bytes(server.sound) == TURN
    assert server.events() == [1, 100, 200, 400, 102, 2]


async def test_a_turn_without_words_costs_the_turn_and_not_the_session() -> None:
    async with DoubaoServer() as server, Connection(dialog(server)) as connection:
        events = aiter(connection)
        server.transcript = ""
        connection.session.append(TURN)
        connection.session.commit()
        connection.flush()
        failed = (await up_to(events, lambda event: isinstance(event, Failed)))[-1]
        assert isinstance(failed, Failed)
        assert (failed.failure.code, failed.session) == ("cloud_input", False)
        server.transcript = "what is the weather?"
        assert is_done((await turn(connection, events, TURN))[-1])


async def test_a_refused_key_is_the_owners_to_mend() -> None:
    async with DoubaoServer() as server:
        with pytest.raises(CloudError) as caught:
            await Connection(dialog(server, key="sk-wrong")).__aenter__()
    assert caught.value.failure.kind is Kind.FATAL_CONFIG
    assert caught.value.code == "cloud_key"
    assert "sk-wrong" not in repr(caught.value) + str(caught.value)


async def test_settings_that_are_refused_are_the_owners_to_mend() -> None:
    async with DoubaoServer() as server, Connection(dialog(server, voice="nobody")) as connection:
        seen = await until_ready(aiter(connection))
    assert isinstance(seen[-1], Failed)
    assert (seen[-1].failure.code, seen[-1].failure.vendor_code) == ("cloud_settings", "55000001")


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
