"""Gemini Live: our adapter against the test server, and what it makes of frames in any order."""

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
    AnswerStarted,
    AnswerText,
    Event,
    Expiring,
    Failed,
    Heard,
    Ready,
    Resumable,
    ToolCalled,
    Used,
)
from agentbox.realtime.failures import CloudError, Kind
from agentbox.realtime.gemini import MODEL, GeminiDialog
from agentbox.realtime.session import Account, Setup
from tests.realtime.servers.base import KEY, Call, Say, Step, tone
from tests.realtime.servers.gemini import GeminiServer
from tests.realtime.talks import WEATHER, turn, until_ready, up_to

TURN = tone(500, 16_000)


def dialog(server: GeminiServer, key: str = KEY, model: str = "", options: Any = None, **setup: Any) -> GeminiDialog:
    account = Account(key=key, model=model, url=server.url, options=options or {})
    return GeminiDialog(account, Setup(instructions="Be brief.", tools=(WEATHER,), **setup))


def of(events: Sequence[Event], kind: type[Any]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def is_done(event: Event) -> bool:
    return isinstance(event, AnswerDone)


def say(connection: Connection[GeminiDialog]) -> None:
    connection.session.append(TURN)
    connection.session.commit()
    connection.flush()


@pytest.mark.parametrize(("binary", "snake"), [(True, False), (False, True)])
async def test_a_turn_from_sound_to_answer(binary: bool, snake: bool) -> None:
    async with GeminiServer() as server:
        server.binary, server.snake = binary, snake
        async with Connection(dialog(server)) as connection:
            events = aiter(connection)
            assert await until_ready(events) == [Ready("session_1")]
            seen = await turn(connection, events, TURN)
            resumable = await up_to(events, lambda event: isinstance(event, Resumable))
    assert of(seen, AnswerStarted) == [AnswerStarted("answer_1")]
    assert b"".join(event.pcm for event in of(seen, AnswerSound)) == tone(400)
    assert of(seen, AnswerText) == [AnswerText("answer_1", "All right.")]
    assert of(seen, Heard) == [
        Heard("what is the", False),
        Heard("what is the weather?", False),
        Heard("what is the weather?", True),
    ]
    names = ("response_tokens_details", "total_token_count") if snake else ("responseTokensDetails", "totalTokenCount")
    assert of(seen, Used)[0].units[f"{names[0]}.AUDIO"] == 30
    assert of(seen, Used)[0].units[names[1]] == 50
    assert seen[-1] == AnswerDone("answer_1", "completed")
    assert resumable == [Resumable("handle_1")]
    assert bytes(server.sound) == TURN
    assert server.kinds() == ["setup", "activityStart", "audio", "activityEnd"]
    assert server.requests[0].path == server.path
    assert server.closes == [1000]


async def test_commands_given_before_the_session_is_ready_wait_for_it() -> None:
    async with GeminiServer() as server, Connection(dialog(server)) as connection:
        seen = await turn(connection, aiter(connection), TURN)
        assert isinstance(seen[-1], AnswerDone)
    assert server.kinds()[0] == "setup"


async def test_a_session_holds_turn_after_turn() -> None:
    async with GeminiServer() as server, Connection(dialog(server)) as connection:
        events = aiter(connection)
        for number in range(1, 4):
            seen = await turn(connection, events, TURN)
            assert seen[-1] == AnswerDone(f"answer_{number}", "completed")
    assert server.kinds().count("activityEnd") == 3


def weather(number: int, results: Sequence[Any]) -> Sequence[Step]:
    if results:
        return [Say(f"It is {results[0]['text']}.")]
    return [Say("Let me see."), Call("get_weather", {"town": "Bonn"}), Call("get_weather", {"town": "Köln"}, "call_2")]


@pytest.mark.parametrize("ends_calls", [False, True])
async def test_the_model_calls_tools_and_goes_on_with_their_results(ends_calls: bool) -> None:
    async with GeminiServer(weather) as server, Connection(dialog(server)) as connection:
        server.ends_calls = ends_calls
        events = aiter(connection)
        say(connection)
        first = await up_to(events, is_done)
        assert of(first, ToolCalled) == [
            ToolCalled("answer_1", "call_1", "get_weather", {"town": "Bonn"}),
            ToolCalled("answer_1", "call_2", "get_weather", {"town": "Köln"}),
        ]
        assert first[-1] == AnswerDone("answer_1", "completed", calls=True)
        connection.session.tool_result("call_1", {"text": "sunny"})
        connection.session.tool_result("call_1", {"text": "told twice"})
        connection.session.tool_result("call_9", {"text": "never asked for"})
        assert connection.session.frames() == []
        connection.session.tool_result("call_2", {"error": "no such town"})
        connection.flush()
        second = await up_to(events, is_done)
    assert of(second, AnswerText) == [AnswerText("answer_2", "It is sunny.")]
    assert second[-1] == AnswerDone("answer_2", "completed")
    # All results go at once.
    (sent,) = [frame["toolResponse"] for frame in server.frames if "toolResponse" in frame]
    assert [response["response"] for response in sent["functionResponses"]] == [
        {"output": {"text": "sunny"}},
        {"error": "no such town"},
    ]


async def test_an_interruption_is_the_next_turns_beginning_and_late_sound_is_dropped() -> None:
    script = lambda number, results: [Say("A long story.", 5_000)] if not number else [Say("Yes?")]  # noqa: E731
    async with GeminiServer(script, piece_s=0.005) as server, Connection(dialog(server)) as connection:
        events = aiter(connection)
        say(connection)
        await up_to(events, lambda event: isinstance(event, AnswerSound))
        connection.session.interrupt(60.0)
        say(connection)
        seen = await up_to(events, is_done)
        assert {event.answer_id for event in of(seen, AnswerSound)} == {"answer_2"}
        assert b"".join(event.pcm for event in of(seen, AnswerSound)) == tone(400)
        assert seen[-1] == AnswerDone("answer_2", "completed")
        assert of(await turn(connection, events, TURN), AnswerText) == [AnswerText("answer_3", "Yes?")]
    assert server.kinds() == ["setup", *["activityStart", "audio", "activityEnd"] * 3]


async def test_an_interruption_before_the_answer_began() -> None:
    script = lambda number, results: [Say(f"Answer {number}.")]  # noqa: E731
    async with GeminiServer(script, piece_s=0.005) as server, Connection(dialog(server)) as connection:
        events = aiter(connection)
        connection.session.write("Tell me a story.")
        connection.session.interrupt(0.0)
        connection.session.write("What time is it?")
        connection.flush()
        seen = await up_to(events, is_done)
        assert len(of(seen, AnswerStarted)) == 1
        assert seen[-1] == AnswerDone("answer_1", "completed")
        assert not of(seen, Failed)


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
        async with Connection(dialog(server, resume="forgotten")) as connection:
            seen = await until_ready(aiter(connection))
    assert isinstance(seen[-1], Failed)
    assert seen[-1].failure.code == "cloud_expired"
    assert seen[-1].failure.kind is Kind.RETRY_NOW


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


async def test_a_refused_key_is_the_owners_to_mend() -> None:
    async with GeminiServer() as server:
        async with Connection(dialog(server, key="sk-wrong")) as connection:
            (seen,) = await until_ready(aiter(connection))
        server.refuses = HTTPStatus.FORBIDDEN
        with pytest.raises(CloudError) as caught:
            await Connection(dialog(server)).__aenter__()
    assert isinstance(seen, Failed)
    assert (seen.failure.code, seen.failure.kind) == ("cloud_key", Kind.FATAL_CONFIG)
    assert caught.value.code == "cloud_denied"
    assert "sk-wrong" not in repr(seen)


async def test_settings_and_models_that_are_refused_are_the_owners_to_mend() -> None:
    async with GeminiServer() as server:
        async with Connection(dialog(server, options={"nonsense": {}})) as connection:
            (settings,) = await until_ready(aiter(connection))
        async with Connection(dialog(server, model="gemini-0")) as connection:
            (model,) = await until_ready(aiter(connection))
    assert isinstance(settings, Failed)
    assert isinstance(model, Failed)
    assert (settings.failure.code, model.failure.code) == ("cloud_settings", "cloud_model")
    assert (settings.failure.vendor_code, model.failure.vendor_code) == ("1007", "1008")


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
