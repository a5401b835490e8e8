"""OpenAI Realtime: our adapter against the test server, and the frames we send against the SDK's own types."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from agentbox.realtime.connection import Connection
from agentbox.realtime.events import (
    AnswerDone,
    AnswerSound,
    AnswerStarted,
    AnswerText,
    Event,
    Failed,
    Finished,
    Heard,
    Ready,
    ToolCalled,
    Used,
)
from agentbox.realtime.failures import CloudError, Kind
from agentbox.realtime.openai import OpenAIDialog, OpenAITranscription
from agentbox.realtime.session import Account, Setup
from tests.realtime.servers.base import KEY, Call, Say, Step, tone
from tests.realtime.servers.openai import OpenAIServer
from tests.realtime.talks import WEATHER, turn, until_ready, up_to

TURN = tone(500)


def dialog(server: OpenAIServer, key: str = KEY, **setup: Any) -> OpenAIDialog:
    account = Account(key=key, model="gpt-realtime-2.1", url=server.url)
    return OpenAIDialog(account, Setup(instructions="Be brief.", tools=(WEATHER,), **setup))


def of(events: Sequence[Event], kind: type[Any]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


async def test_a_turn_from_sound_to_answer() -> None:
    async with OpenAIServer() as server, Connection(dialog(server)) as connection:
        events = aiter(connection)
        assert await until_ready(events) == [Ready("sess_1")]
        seen = await turn(connection, events, TURN)
        assert of(seen, AnswerStarted) == [AnswerStarted("resp_1")]
        assert b"".join(event.pcm for event in of(seen, AnswerSound)) == tone(400)
        assert of(seen, AnswerText) == [AnswerText("resp_1", "All right.")]
        assert of(seen, Heard)[-1] == Heard("what is the weather?", final=True)
        assert of(seen, Used)[0].units["output_token_details.audio_tokens"] == 25
        assert seen[-1] == AnswerDone("resp_1", "completed")
    assert bytes(server.sound) == TURN
    assert server.requests[0].path == "/v1/realtime?model=gpt-realtime-2.1"
    assert server.closes == [1000]
    assert connection.traffic.bytes_out > len(TURN) * 4 / 3


async def test_commands_given_before_the_session_is_ready_wait_for_it() -> None:
    async with OpenAIServer() as server, Connection(dialog(server)) as connection:
        seen = await turn(connection, aiter(connection), TURN)
        assert isinstance(seen[-1], AnswerDone)
    assert server.kinds()[0] == "session.update"


def weather(number: int, results: Sequence[Any]) -> Sequence[Step]:
    if results:
        return [Say(f"It is {results[0]['text']}.")]
    return [Say("Let me see."), Call("get_weather", {"town": "Bonn"})]


async def test_the_model_calls_a_tool_and_goes_on_with_its_result() -> None:
    async with OpenAIServer(weather) as server, Connection(dialog(server)) as connection:
        events = aiter(connection)
        connection.session.append(TURN)
        connection.session.commit()
        connection.flush()
        first = await up_to(events, lambda event: isinstance(event, AnswerDone))
        assert of(first, ToolCalled) == [ToolCalled("resp_1", "call_1", "get_weather", {"town": "Bonn"})]
        assert first[-1] == AnswerDone("resp_1", "completed", calls=True)
        connection.session.tool_result("call_1", {"text": "sunny"})
        connection.session.tool_result("call_1", {"text": "told twice"})
        connection.session.tool_result("call_9", {"text": "never asked for"})
        connection.flush()
        second = await up_to(events, lambda event: isinstance(event, AnswerDone))
        assert of(second, AnswerText) == [AnswerText("resp_2", "It is sunny.")]
        assert second[-1] == AnswerDone("resp_2", "completed")
    outputs = [frame["item"] for frame in server.frames if frame["type"] == "conversation.item.create"]
    assert [json.loads(item["output"]) for item in outputs] == [{"text": "sunny"}]


async def test_a_result_that_comes_before_the_answer_ended_waits_for_its_end() -> None:
    async with OpenAIServer(weather, piece_s=0.01) as server, Connection(dialog(server)) as connection:
        events = aiter(connection)
        connection.session.append(TURN)
        connection.session.commit()
        connection.flush()
        await up_to(events, lambda event: isinstance(event, ToolCalled))
        connection.session.tool_result("call_1", {"text": "sunny"})
        connection.flush()
        seen = await up_to(events, lambda event: isinstance(event, AnswerDone) and not event.calls)
        assert not of(seen, Failed)
        assert of(seen, AnswerText) == [AnswerText("resp_2", "It is sunny.")]


async def test_an_interruption_tells_what_was_heard_and_the_rest_is_not_told() -> None:
    script = lambda number, results: [Say("A long story.", 5_000)] if not number else [Say("Yes?")]  # noqa: E731
    async with OpenAIServer(script, piece_s=0.005) as server, Connection(dialog(server)) as connection:
        events = aiter(connection)
        connection.session.append(TURN)
        connection.session.commit()
        connection.flush()
        await up_to(events, lambda event: isinstance(event, AnswerSound))
        connection.session.interrupt(60.0)
        # A new turn at once: the answer to it waits until the first one's end was told.
        connection.session.append(TURN)
        connection.session.commit()
        connection.flush()
        seen = await up_to(events, lambda event: isinstance(event, AnswerDone))
        assert {event.answer_id for event in of(seen, AnswerSound)} == {"resp_2"}
        assert seen[-1] == AnswerDone("resp_2", "completed")
    assert "response.cancel" in server.kinds()
    cuts = [frame for frame in server.frames if frame["type"] == "conversation.item.truncate"]
    assert [(cut["item_id"], cut["audio_end_ms"]) for cut in cuts] == [("item_resp_1_0", 60)]


async def test_an_interruption_before_the_answer_began_cancels_it_as_it_begins() -> None:
    async with OpenAIServer() as server, Connection(dialog(server)) as connection:
        events = aiter(connection)
        connection.session.write("Tell me a story.")
        connection.session.interrupt(0.0)
        connection.session.write("What time is it?")
        connection.flush()
        seen = await up_to(events, lambda event: isinstance(event, AnswerDone))
        assert seen[-1] == AnswerDone("resp_2", "completed")
        assert not of(seen, Failed)


async def test_a_refused_key_is_the_owners_to_mend() -> None:
    async with OpenAIServer() as server:
        with pytest.raises(CloudError) as caught:
            await Connection(dialog(server, key="sk-wrong")).__aenter__()
    assert caught.value.code == "cloud_key"
    assert caught.value.failure.kind is Kind.FATAL_CONFIG
    assert "sk-wrong" not in repr(caught.value) + str(caught.value)


async def test_settings_that_are_refused_are_the_owners_to_mend() -> None:
    async with OpenAIServer() as server:
        account = Account(key=KEY, model="m", url=server.url, options={"type": "nonsense"})
        async with Connection(OpenAIDialog(account, Setup())) as connection:
            seen = await until_ready(aiter(connection))
    assert isinstance(seen[-1], Failed)
    assert seen[-1].failure.code == "cloud_settings"


async def test_a_turn_without_sound_costs_the_turn_and_not_the_session() -> None:
    async with OpenAIServer() as server, Connection(dialog(server)) as connection:
        events = aiter(connection)
        connection.session.commit()
        connection.flush()
        seen = await up_to(events, lambda event: isinstance(event, Failed))
        assert not seen[-1].session  # type: ignore[union-attr]
        connection.session.write("What time is it?")
        connection.flush()
        assert isinstance((await up_to(events, lambda event: isinstance(event, AnswerDone)))[-1], AnswerDone)


async def test_transcription() -> None:
    async with OpenAIServer() as server:
        adapter = OpenAITranscription(Account(key=KEY, model="", url=server.url), Setup(language="en-GB"))
        async with Connection(adapter) as connection:
            events = aiter(connection)
            connection.session.append(TURN)
            connection.session.commit()
            connection.flush()
            seen = await up_to(events, lambda event: isinstance(event, Finished))
    assert of(seen, Heard) == [
        Heard("what is the ", False),
        Heard("what is the weather?", False),
        Heard("what is the weather?", True),
    ]
    assert server.requests[0].path == "/v1/realtime?intent=transcription"
