"""Qwen's realtime recognition and synthesis: our adapters against the test server."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from agentbox.realtime.connection import Connection
from agentbox.realtime.events import AnswerSound, Failed, Finished, Heard, Used
from agentbox.realtime.qwen import QwenASR, QwenTTS, QwenVoice
from agentbox.realtime.session import Account, Setup
from tests.realtime.servers.base import KEY, tone
from tests.realtime.servers.qwen import QwenServer
from tests.realtime.talks import of, until_ready, up_to
from tests.realtime.test_qwen import account, ready

TURN = tone(500, 16_000)


def recognition(server: QwenServer, **options: Any) -> QwenASR:
    account = Account(key=KEY, model="", url=server.url, options=options)
    return QwenASR(account, Setup(language="en-GB", hotwords=("agentbox", "pizza")))


def speech(server: QwenServer, voice: str = "") -> QwenTTS:
    return QwenTTS(Account(key=KEY, model="", url=server.url), Setup(voice=voice))


async def test_recognition_that_is_ended_early_tells_what_there_is() -> None:
    async with QwenServer() as server, Connection(recognition(server)) as connection:
        events = aiter(connection)
        await until_ready(events)
        connection.session.append(TURN)
        connection.session.finish()
        connection.flush()
        seen = await up_to(events, lambda event: isinstance(event, Heard) and event.final)
        assert seen[-1] == Heard("what is the weather?", True)


def test_recognition_at_another_rate() -> None:
    adapter = QwenASR(account("", options={"sample_rate": 8000}), Setup())
    assert adapter.capabilities.input_rate_hz == 8000
    adapter.opened()
    assert json.loads(adapter.frames()[0])["session"]["sample_rate"] == 8000


def test_recognition_that_failed_costs_the_turn() -> None:
    adapter = ready(QwenASR(account(""), Setup()))
    adapter.commit()
    error = {"type": "transcription_error", "code": "transcription_failed", "message": "ASR transcription failed"}
    kind = "conversation.item.input_audio_transcription.failed"
    [failed] = adapter.receive(json.dumps({"type": kind, "item_id": "i", "error": error}))
    assert not failed.session


async def test_a_text_in_pieces_is_spoken_to_its_end() -> None:
    async with QwenServer() as server, Connection(speech(server)) as connection:
        events = aiter(connection)
        for piece in ("It is ", "noon. ", "Lunch?"):
            connection.session.say(piece)
        connection.session.commit()
        connection.session.say("Too late.")
        connection.flush()
        seen = await up_to(events, lambda event: isinstance(event, Finished))
        sound = b"".join(event.pcm for event in of(seen, AnswerSound))
        assert len(sound) == 2 * 24 * 50 * len("It is noon. Lunch?")
        assert sum(event.units["characters"] for event in of(seen, Used)) == len("It is noon. Lunch?")
        assert [event async for event in events] == []  # the close that follows is no failure
    assert server.frames[0]["session"]["voice"] == "Cherry"


async def test_a_text_that_is_interrupted_is_silent_at_once() -> None:
    async with QwenServer(piece_s=0.01) as server, Connection(speech(server)) as connection:
        events = aiter(connection)
        connection.session.say("A very long story of a fox and a hen.")
        connection.flush()
        await until_ready(events)
        connection.session.say(" The end.")
        connection.flush()
        await up_to(events, lambda event: isinstance(event, AnswerSound))
        connection.session.interrupt(100.0)
        connection.flush()
        seen = await up_to(events, lambda event: isinstance(event, Finished))
        assert not of(seen, AnswerSound)
        assert not of(seen, Failed)
    assert server.kinds()[-3:] == ["input_text_buffer.clear", "response.cancel", "session.finish"]


async def test_a_voice_that_is_not_ready_yet_is_a_failure() -> None:
    async with QwenServer() as server, Connection(speech(server, "deploying")) as connection:
        connection.session.say("It is noon.")
        connection.session.commit()
        connection.flush()
        seen = await up_to(aiter(connection), lambda event: isinstance(event, Finished))
        assert of(seen, Failed)[0].failure.code == "cloud_silent"


async def test_a_voice_that_does_not_exist_is_the_owners_to_mend() -> None:
    async with QwenServer() as server, Connection(speech(server, "nobody")) as connection:
        seen = await until_ready(aiter(connection))
        assert of(seen, Failed)[0].failure.code == "cloud_settings"


def test_nothing_is_told_or_taken_after_an_interruption() -> None:
    adapter = ready(QwenTTS(account(""), Setup()))
    adapter.say("It is noon.")
    sound = json.dumps({"type": "response.audio.delta", "response_id": "resp_1", "delta": "AAAA"})
    assert adapter.receive(sound) == [AnswerSound("resp_1", bytes(2))]
    adapter.interrupt(0.0)
    adapter.frames()
    assert adapter.receive(sound) == []
    adapter.say("Lunch?")
    adapter.interrupt(0.0)
    adapter.finish()
    assert "input_text_buffer.append" not in "".join(adapter.frames())
    assert adapter.receive(json.dumps({"type": "session.finished"})) == [Finished()]


def test_an_answer_of_synthesis_that_failed_says_why() -> None:
    adapter = ready(QwenTTS(account(""), Setup()))
    details = {"error": {"type": "server_error", "code": "Throttling.RateQuota", "message": "slow down"}}
    message = {"type": "response.done", "response": {"id": "resp_1", "status": "failed", "status_details": details}}
    [failed] = adapter.receive(json.dumps(message))
    assert failed.failure.code == "cloud_busy"
    assert not failed.session


async def test_text_after_text_in_one_session() -> None:
    account = Account(key=KEY, model="")
    async with QwenServer() as server:
        adapter = QwenVoice(replace(account, url=server.url), Setup())
        async with Connection(adapter) as connection:
            events = aiter(connection)
            adapter.say("It is ")
            for text in ("noon. Is it?", "Lunch.", "..."):  # the second is given while the first is spoken
                adapter.say(text)
                adapter.commit()
            connection.flush()
            for text in ("It is noon. Is it?", "Lunch.", "..."):
                seen = await up_to(events, lambda event: isinstance(event, Finished))
                assert len(b"".join(event.pcm for event in of(seen, AnswerSound))) == 2 * 24 * 50 * len(text)
                assert [event.units for event in of(seen, Used)] == [{"characters": len(text)}]
    assert server.frames[0]["session"]["mode"] == "commit"
    assert server.kinds()[-1] == "session.finish"
    assert server.closes == [1000]


def test_a_text_of_which_no_sound_came_is_a_failure_of_that_text() -> None:
    adapter = ready(QwenVoice(account(""), Setup()))
    for text in ("It is noon.", "..."):
        adapter.say(text)
        adapter.commit()
    done = json.dumps({"type": "response.done", "response": {"id": "resp_1", "status": "completed"}})
    [failed] = adapter.receive(done)
    assert isinstance(failed, Failed)
    assert (failed.failure.code, failed.session) == ("cloud_silent", False)
    assert adapter.receive(done) == [Finished()]
    adapter.say("It is one.")
    adapter.interrupt(0.0)
    assert adapter.receive(done) == []
    assert not adapter.capabilities.survives_interrupt
