"""Gemini Live: our adapter against the test server, and what it makes of frames in any order."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agentbox.realtime.connection import Connection
from agentbox.realtime.events import (
    AnswerDone,
    AnswerSound,
    AnswerText,
    Expiring,
    Failed,
    Heard,
)
from agentbox.realtime.failures import Kind
from agentbox.realtime.gemini import MODEL, GeminiDialog
from agentbox.realtime.session import Account, Setup
from tests.realtime.servers.base import KEY, tone
from tests.realtime.servers.gemini import GeminiServer
from tests.realtime.talks import WEATHER, failure_of, is_done, of, turn, up_to

TURN = tone(500, 16_000)


def dialog(server: GeminiServer, key: str = KEY, model: str = "", options: Any = None, **setup: Any) -> GeminiDialog:
    account = Account(key=key, model=model, url=server.url, options=options or {})
    return GeminiDialog(account, Setup(instructions="Be brief.", tools=(WEATHER,), **setup))


def say(connection: Connection[GeminiDialog]) -> None:
    connection.session.append(TURN)
    connection.session.commit()
    connection.flush()


async def test_what_was_not_meant_is_neither_answered_nor_told() -> None:
    async with GeminiServer(piece_s=0.005) as server, Connection(dialog(server)) as connection:
        events = aiter(connection)
        connection.session.discard()
        connection.session.append(TURN)
        connection.session.discard()
        connection.session.write("What time is it?")
        connection.flush()
        seen = await up_to(events, is_done)
    assert of(seen, Heard) == []
    assert of(seen, AnswerText) == [AnswerText("answer_1", "All right.")]
    assert seen[-1] == AnswerDone("answer_1", "completed")
    assert server.kinds() == ["setup", "activityStart", "audio", "activityEnd", "clientContent"]


async def test_a_note_waits_until_it_ends_no_answer() -> None:
    async with GeminiServer(piece_s=0.01) as server, Connection(dialog(server)) as connection:
        events = aiter(connection)
        connection.session.note("A timer rang.")
        say(connection)
        await up_to(events, lambda event: isinstance(event, AnswerSound))
        connection.session.note("It was stopped.")
        connection.flush()
        seen = await up_to(events, is_done)
        assert seen[-1] == AnswerDone("answer_1", "completed")
        assert of(await turn(connection, events, TURN), AnswerDone) == [AnswerDone("answer_2", "completed")]
    notes = [frame["clientContent"] for frame in server.frames if "clientContent" in frame]
    assert [(note["turns"][0]["parts"][0]["text"], note["turnComplete"]) for note in notes] == [
        ("A timer rang.", False),
        ("It was stopped.", False),
    ]
    assert server.kinds()[:3] == ["setup", "clientContent", "activityStart"]
    assert server.kinds()[4:6] == ["activityEnd", "clientContent"]


async def test_a_conversation_goes_on_over_a_new_connection() -> None:
    async with GeminiServer() as server:
        server.first = {"goAway": {"timeLeft": "57.5s"}}
        async with Connection(dialog(server, resume="handle_4")) as connection:
            seen = await up_to(aiter(connection), lambda event: isinstance(event, Expiring))
        assert seen[-1] == Expiring(57.5)
        assert server.frames[0]["setup"]["sessionResumption"] == {"handle": "handle_4"}
        failed = await failure_of(dialog(server, resume="forgotten"))
    assert (failed.code, failed.kind) == ("cloud_expired", Kind.RETRY_NOW)


def test_what_is_set_up() -> None:
    account = Account(key=KEY, model="", options={"inputAudioTranscription": {"languageCodes": ["de-DE"]}})
    adapter = GeminiDialog(account, Setup("Be brief.", voice="Puck", tools=(WEATHER,)))
    adapter.opened()
    setup = json.loads(adapter.frames()[0])["setup"]
    assert setup["model"] == f"models/{MODEL}"
    assert setup["generationConfig"]["speechConfig"]["voiceConfig"]["prebuiltVoiceConfig"] == {"voiceName": "Puck"}
    assert setup["inputAudioTranscription"] == {"languageCodes": ["de-DE"]}
    assert setup["sessionResumption"] == {}
    (declared,) = setup["tools"][0]["functionDeclarations"]
    assert declared["parameters"]["properties"] == {"town": {"type": "STRING"}}
    assert declared["behavior"] == "BLOCKING"
    assert KEY not in adapter.endpoint.url + json.dumps(setup)
    assert adapter.endpoint.headers == {"x-goog-api-key": KEY}
    assert adapter.endpoint.ping_s == 20.0
    bare = GeminiDialog(Account(key=KEY, model="models/gemini-3.1-flash-live-preview"), Setup())
    bare.opened()
    setup = json.loads(bare.frames()[0])["setup"]
    assert setup["model"] == "models/gemini-3.1-flash-live-preview"
    assert not {"tools", "systemInstruction"} & set(setup)


async def test_a_model_that_does_not_exist_is_the_owners_to_mend() -> None:
    async with GeminiServer() as server:
        failed = await failure_of(dialog(server, model="gemini-0"))
    assert (failed.code, failed.vendor_code) == ("cloud_model", "1008")


async def test_a_session_that_breaks_in_the_middle_of_a_turn() -> None:
    async with GeminiServer() as server, Connection(dialog(server)) as connection:
        server.breaks = (1011, "Internal error encountered.")
        events = aiter(connection)
        say(connection)
        seen = await up_to(events, is_done)
    assert isinstance(seen[-1], Failed)
    assert (seen[-1].failure.code, seen[-1].failure.kind) == ("cloud_down", Kind.BACKOFF)


@pytest.mark.parametrize(
    ("reason", "status", "code"),
    [
        ("PROHIBITED_INPUT_CONTENT", "failed", "cloud_input"),
        ("GENERATED_AUDIO_SAFETY", "failed", "cloud_input"),
        ("MALFORMED_FUNCTION_CALL", "failed", "cloud_refused"),
        ("NEED_MORE_INPUT", "incomplete", None),
        ("TURN_COMPLETE_REASON_UNSPECIFIED", "completed", None),
    ],
)
async def test_an_answer_that_is_refused_costs_the_turn_and_not_the_session(
    reason: str, status: str, code: str | None
) -> None:
    async with GeminiServer() as server, Connection(dialog(server)) as connection:
        server.reason = reason
        events = aiter(connection)
        seen = await turn(connection, events, TURN)
        done = seen[-1]
        assert isinstance(done, AnswerDone)
        assert (done.status, done.failure.code if done.failure else None) == (status, code)
        server.reason = ""
        assert (await turn(connection, events, TURN))[-1] == AnswerDone("answer_2", "completed")
