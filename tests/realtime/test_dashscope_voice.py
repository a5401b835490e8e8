"""DashScope's voice: our adapter against the test server."""

from __future__ import annotations

import pytest

from agentbox.realtime.connection import Connection
from agentbox.realtime.events import AnswerSound, Failed, Finished, Used
from tests.realtime.dashscope_talks import ended, json_of, of, parameters, started, told, voice
from tests.realtime.servers.dashscope import DashScopeServer, sound_of
from tests.realtime.talks import up_to


async def test_text_piece_by_piece_becomes_sound() -> None:
    async with DashScopeServer() as server, Connection(voice(server)) as connection:
        events = aiter(connection)
        for text in ("It is ", "noon. And", " sunny"):
            connection.session.say(text)
        connection.session.commit()
        connection.flush()
        seen = await up_to(events, ended)
        sound = b"".join(event.pcm for event in of(seen, AnswerSound))
        assert sound == sound_of("It is noon.") + sound_of(" And sunny")
        assert sum(event.units["characters"] for event in of(seen, Used)) == len("It is noon. And sunny")
    assert server.order == ["run-task", "continue-task", "finish-task"]
    assert [frame["payload"]["input"] for frame in server.sent("continue-task")] == [
        {"text": "It is "},
        {"text": "noon. And"},
        {"text": " sunny"},
    ]
    assert server.closes == [1000]


async def test_one_text_after_the_other_on_the_same_connection() -> None:
    async with DashScopeServer() as server, Connection(voice(server)) as connection:
        events = aiter(connection)
        for _ in range(2):
            connection.session.say("It is noon.")
            connection.session.commit()
            connection.flush()
            seen = await up_to(events, ended)
            assert len({event.answer_id for event in of(seen, AnswerSound)}) == 1
    assert server.order == ["run-task", "continue-task", "finish-task"] * 2
    assert len(server.requests) == 1


@pytest.mark.parametrize("committed", [False, True])
async def test_an_interruption_cancels_the_text_and_the_next_one_is_told_alone(committed: bool) -> None:
    async with DashScopeServer(piece_s=0.005) as server, Connection(voice(server)) as connection:
        events = aiter(connection)
        connection.session.say("A long story. " * 40)
        if committed:
            connection.session.commit()
        connection.flush()
        first = await up_to(events, lambda event: isinstance(event, AnswerSound))
        connection.session.interrupt(60.0)
        connection.session.interrupt(60.0)
        connection.session.say("Yes?")
        connection.session.commit()
        connection.flush()
        seen = await up_to(events, ended)
        assert b"".join(event.pcm for event in of(seen, AnswerSound)) == sound_of("Yes?")
        assert not {event.answer_id for event in of(seen, AnswerSound)} & {first[-1].answer_id}  # type: ignore[union-attr]
        assert of(seen, Finished) == [Finished()]
    cancels = [frame for frame in server.sent("finish-task") if frame["payload"]["input"]]
    assert [frame["payload"] for frame in cancels] == [{"input": {"directive": "cancel"}}]


def test_a_text_that_is_interrupted_before_its_task_began_is_never_sent() -> None:
    adapter = voice()
    adapter.opened()
    (run,) = json_of(adapter.frames())
    adapter.say("A long story.")
    adapter.commit()
    adapter.interrupt(0.0)
    adapter.say("Yes?")
    adapter.receive(told("task-started"))
    (more,) = json_of(adapter.frames())
    assert more["payload"] == {"input": {"text": "Yes?"}}
    assert more["header"]["task_id"] == run["header"]["task_id"]


def test_nothing_is_cancelled_where_nothing_was_said() -> None:
    adapter = voice()
    adapter.interrupt(0.0)
    started(adapter).interrupt(0.0)
    assert adapter.frames() == []


async def test_leaving_in_the_middle_of_a_text_cancels_it() -> None:
    async with DashScopeServer(piece_s=0.005) as server, Connection(voice(server)) as connection:
        connection.session.say("A long story. " * 40)
        connection.flush()
        await up_to(aiter(connection), lambda event: isinstance(event, AnswerSound))
    assert server.sent("finish-task")[-1]["payload"]["input"] == {"directive": "cancel"}


def test_a_sample_may_be_shared_by_two_frames_and_late_sound_is_dropped() -> None:
    adapter = voice()
    assert adapter.receive(b"\1\0") == []
    adapter.opened()
    assert adapter.receive(b"\1\0") == []
    started(adapter).say("Noon.")
    told_sound = [*adapter.receive(b"\1\0\2"), *adapter.receive(b"\0")]
    assert [event.pcm for event in of(told_sound, AnswerSound)] == [b"\1\0", b"\2\0"]
    adapter.commit()
    assert adapter.receive(b"\3") == []
    assert adapter.receive(told("task-finished")) == [Finished()]
    assert adapter.receive(b"\1\0") == []
    adapter.say("Night.")
    adapter.receive(told("task-started"))
    assert [event.pcm for event in adapter.receive(b"\4\0") if isinstance(event, AnswerSound)] == [b"\4\0"]
    adapter.interrupt(0.0)
    assert adapter.receive(b"\5\0") == []
    assert adapter.receive(told("task-finished")) == []


def test_a_text_longer_than_a_task_takes_is_told_as_one() -> None:
    adapter = started(voice())
    adapter.say("a" * 150_000)
    adapter.commit()
    sent = json_of(adapter.frames())
    assert [frame["header"]["action"] for frame in sent] == [*["continue-task"] * 10, "finish-task"]
    adapter.receive(b"\1\0")
    assert adapter.receive(told("task-finished")) == []
    adapter.receive(told("task-started"))
    sent += json_of(adapter.frames())
    assert sum(len(frame["payload"]["input"].get("text", "")) for frame in sent if "text" in str(frame)) == 150_000
    adapter.receive(b"\1\0")
    assert adapter.receive(told("task-finished")) == [Finished()]


async def test_a_voice_without_sound_is_a_failure_and_not_a_silence() -> None:
    async with DashScopeServer(is_mute=True) as server, Connection(voice(server)) as connection:
        events = aiter(connection)
        for text, expected in (("It is noon.", "cloud_silent"), ("...", "")):
            connection.session.say(text)
            connection.session.commit()
            connection.flush()
            last = (await up_to(events, ended))[-1]
            assert (last.failure.code if isinstance(last, Failed) else "") == expected
            assert not (isinstance(last, Failed) and last.session)


def test_a_voice_belongs_to_a_model() -> None:
    assert parameters(voice())["voice"] == "longanyang"
    assert parameters(voice(model="qwen-audio-3.1-tts-flash"))["voice"] == "longanhuan_v3.1"
    assert parameters(voice(model="cosyvoice-v9", name="mine"))["voice"] == "mine"
    assert "voice" not in parameters(voice(model="cosyvoice-v9"))
