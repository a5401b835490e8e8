"""Doubao's dialogue 3.0: our adapter against the test server."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from agentbox.realtime.connection import Connection
from agentbox.realtime.doubao_duplex import DoubaoDuplexDialog
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
    ToolCalled,
    Used,
)
from agentbox.realtime.failures import CloudError
from agentbox.realtime.session import Account, Setup
from tests.realtime.servers.base import KEY, Call, Say, Step, tone
from tests.realtime.servers.doubao_duplex import DoubaoDuplexServer
from tests.realtime.talks import WEATHER, turn, until_ready, up_to

TURN = tone(500, 16_000)


def dialog(server: DoubaoDuplexServer, key: str = KEY, model: str = "", **setup: Any) -> DoubaoDuplexDialog:
    account = Account(key=key, model=model, url=server.url)
    return DoubaoDuplexDialog(account, Setup(instructions="Be brief.", tools=(WEATHER,), **setup))


def of(events: Sequence[Event], kind: type[Any]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def is_done(event: Event) -> bool:
    return isinstance(event, AnswerDone)


async def test_a_turn_from_sound_to_answer() -> None:
    async with DoubaoDuplexServer() as server, Connection(dialog(server)) as connection:
        events = aiter(connection)
        assert await until_ready(events) == [Ready("dlg_1")]
        seen = await turn(connection, events, TURN)
        assert seen[0] == Resumable("dlg_1")
        assert of(seen, AnswerStarted) == [AnswerStarted("answer_1")]
        assert b"".join(event.pcm for event in of(seen, AnswerSound)) == tone(400)
        assert of(seen, AnswerText) == [AnswerText("answer_1", "All right.")]
        assert of(seen, Heard) == [
            Heard("what is", False),
            Heard("what is the", False),
            Heard("what is the weather?", True),
        ]
        assert seen[-1] == AnswerDone("answer_1", "completed")
        bill = await up_to(events, lambda event: isinstance(event, Used))
        assert bill == [Used({"total_tokens": 50.0, "output_token_details.audio_tokens": 25.0})]
    assert bytes(server.sound) == TURN
    assert server.kinds() == [
        "session.create",
        "input_audio_mute.commit",
        "input_audio_unmute.commit",
        "input_audio_buffer.append",
        "input_audio_buffer.commit",
        "input_audio_mute.commit",
        "session.close",
    ]
    assert server.requests[0].headers["X-Api-Key"] == KEY
    assert server.frames[0]["extension"]["dialog"]["extra"] == {"input_mod": "push_to_talk"}


def test_the_bill_of_one_answer_does_not_end_the_next() -> None:
    made = ready()
    told(made, "response.output_audio.started")
    told(made, "response.output_audio.done")
    made.append(TURN)
    made.commit()
    told(made, "response.output_audio.started")
    assert told(made, "response.done", usage={"total_tokens": 5}) == [Used({"total_tokens": 5.0})]
    assert told(made, "response.output_audio.done") == [AnswerDone("answer_2", "completed")]


def weather(number: int, results: Sequence[Any]) -> Sequence[Step]:
    if results:
        return [Say(f"It is {results[0]['text']} and {results[1]['text']}.")]
    return [Call("get_weather", {"town": "Bonn"}), Call("get_weather", {"town": "Jena"}, "call_2")]


async def test_the_model_calls_tools_and_goes_on_when_all_of_them_answered() -> None:
    async with DoubaoDuplexServer(weather) as server, Connection(dialog(server)) as connection:
        events = aiter(connection)
        connection.session.append(TURN)
        connection.session.commit()
        connection.flush()
        first = await up_to(events, is_done)
        assert of(first, ToolCalled) == [
            ToolCalled("answer_1", "call_1", "get_weather", {"town": "Bonn"}),
            ToolCalled("answer_1", "call_2", "get_weather", {"town": "Jena"}),
        ]
        assert first[-1] == AnswerDone("answer_1", "completed", calls=True)
        connection.session.tool_result("call_2", {"text": "dull"})
        connection.session.tool_result("call_2", {"text": "told twice"})
        connection.session.tool_result("call_9", {"text": "never asked for"})
        connection.session.tool_result("call_1", {"text": "sunny"})
        connection.flush()
        second = await up_to(events, is_done)
        assert of(second, AnswerText) == [AnswerText("answer_2", "It is sunny and dull.")]
        assert second[-1] == AnswerDone("answer_2", "completed")
    items = [frame["items"] for frame in server.frames if frame["type"] == "conversation.item.create"]
    assert [[item["call_id"] for item in some] for some in items] == [["call_1", "call_2"]]


async def test_the_model_may_speak_before_it_calls() -> None:
    def script(number: int, results: Sequence[Any]) -> Sequence[Step]:
        return [Say("It is sunny.")] if results else [Say("Let me see."), Call("get_weather", {"town": "Bonn"})]

    async with DoubaoDuplexServer(script) as server, Connection(dialog(server)) as connection:
        events = aiter(connection)
        connection.session.append(TURN)
        connection.session.commit()
        connection.flush()
        first = await up_to(events, lambda event: isinstance(event, AnswerDone) and event.calls)
        assert of(first, AnswerText) == [AnswerText("answer_1", "Let me see.")]
        connection.session.tool_result("call_1", {"text": "sunny"})
        connection.flush()
        second = await up_to(events, is_done)
        assert of(second, AnswerText)[-1].more == "It is sunny."


def story(number: int, results: Sequence[Any]) -> Sequence[Step]:
    return [Say("A long story.", 5_000)] if not number else [Say("Yes?")]


async def test_what_comes_of_an_answer_that_was_cut_off_is_not_told() -> None:
    async with DoubaoDuplexServer(story, piece_s=0.005) as server, Connection(dialog(server)) as connection:
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
        assert b"".join(event.pcm for event in of(seen, AnswerSound)) == tone(400)
        assert of(seen, AnswerText) == [AnswerText("answer_2", "Yes?")]
        assert seen[-1] == AnswerDone("answer_2", "completed")
    assert server.kinds().count("response.cancel") == 1


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


async def test_what_was_not_meant_before_the_session_stood_never_leaves_the_box() -> None:
    async with DoubaoDuplexServer() as server, Connection(dialog(server)) as connection:
        connection.session.append(tone(300, 16_000))
        connection.session.discard()
        assert (await turn(connection, aiter(connection), TURN))[-1] == AnswerDone("answer_1", "completed")
    assert bytes(server.sound) == TURN


async def test_a_turn_without_words_costs_the_turn_and_not_the_session() -> None:
    async with DoubaoDuplexServer() as server, Connection(dialog(server)) as connection:
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


async def test_something_to_know_and_nothing_written() -> None:
    async with DoubaoDuplexServer() as server, Connection(dialog(server)) as connection:
        connection.session.note("A timer rang.")
        connection.session.write("This model takes no written turns.")
        assert not connection.session.capabilities.takes_text
        assert is_done((await turn(connection, aiter(connection), TURN))[-1])
    note = next(frame for frame in server.frames if frame["type"] == "conversation.item.create")
    assert note["items"][0]["content"] == [{"type": "input_text", "text": "A timer rang."}]


async def test_a_refused_key_is_the_owners_to_mend() -> None:
    async with DoubaoDuplexServer() as server:
        with pytest.raises(CloudError) as caught:
            await Connection(dialog(server, key="sk-wrong")).__aenter__()
    assert caught.value.code == "cloud_key"


async def test_settings_that_are_refused_are_the_owners_to_mend() -> None:
    async with DoubaoDuplexServer() as server, Connection(dialog(server, model="9.9")) as connection:
        seen = await until_ready(aiter(connection))
    assert isinstance(seen[-1], Failed)
    assert (seen[-1].failure.code, seen[-1].failure.vendor_code) == ("cloud_settings", "45000001")


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
