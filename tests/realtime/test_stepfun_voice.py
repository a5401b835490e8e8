"""StepFun's streaming voice: our adapter against the test server."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from agentbox.realtime.connection import Connection
from agentbox.realtime.events import AnswerSound, Event, Failed, Finished, Ready
from agentbox.realtime.failures import CloudError
from agentbox.realtime.session import Account, Setup
from agentbox.realtime.stepfun_voice import StepFunVoice
from tests.realtime.servers.base import KEY
from tests.realtime.servers.stepfun_voice import MS_A_LETTER, StepFunVoiceServer
from tests.realtime.talks import up_to


def voice(server: StepFunVoiceServer | None = None, model: str = "", **options: Any) -> StepFunVoice:
    url = server.url if server is not None else ""
    return StepFunVoice(Account(key=KEY, model=model, url=url, options=options), Setup())


def told(kind: str, **data: Any) -> str:
    return json.dumps({"event_id": "e", "type": kind, "data": {"session_id": "sess_1", **data}})


def sound(pcm: bytes) -> str:
    return told("tts.response.audio.delta", status="unfinished", audio=base64.b64encode(pcm).decode(), duration=0.1)


def ready(adapter: StepFunVoice) -> StepFunVoice:
    adapter.opened()
    assert adapter.receive(told("tts.connection.done")) == []
    assert adapter.receive(told("tts.response.created")) == [Ready("sess_1")]
    adapter.frames()
    return adapter


def ended(event: Event) -> bool:
    return isinstance(event, Finished)


@pytest.mark.parametrize("created", ["tts.response.created", "tts.connection.done"])
async def test_text_after_text_in_one_session(created: str) -> None:
    async with StepFunVoiceServer() as server, Connection(voice(server, speed_ratio=1.2)) as connection:
        server.created = created
        events = aiter(connection)
        connection.session.say("It is ")
        texts = ("noon! Is it?", "Lunch (at one).", "...", "今天天气。")
        for text in texts:  # before the session is open, and while one is spoken
            connection.session.say(text)
            connection.session.commit()
        connection.flush()
        for text in ("It is noon! Is it?", "Lunch, at one, .", "", "今天天气。"):
            seen = await up_to(events, ended) if text else [await anext(events)]
            pcm = b"".join(event.pcm for event in seen if isinstance(event, AnswerSound))
            assert len(pcm) == 2 * 24 * MS_A_LETTER * len(text)
    create = server.frames[0]["data"]
    assert (create["voice_id"], create["response_format"], create["speed_ratio"]) == ("cixingnansheng", "pcm", 1.2)
    assert server.frames[-1]["type"] == "tts.text.done"


async def test_at_another_rate() -> None:
    async with StepFunVoiceServer() as server, Connection(voice(server, sample_rate=16_000)) as connection:
        connection.session.say("It is noon.")
        connection.session.commit()
        connection.flush()
        seen = await up_to(aiter(connection), ended)
        pcm = b"".join(event.pcm for event in seen if isinstance(event, AnswerSound))
        assert len(pcm) == 2 * 16 * MS_A_LETTER * len("It is noon.")
        assert connection.session.capabilities.output_rate_hz == 16_000


async def test_what_goes_wrong_is_sorted() -> None:
    async with StepFunVoiceServer() as server:
        server.fails = ("503", "The engine is currently overloaded, please try again later")
        async with Connection(voice(server)) as connection:
            connection.session.say("It is noon.")
            connection.flush()
            failed = (await up_to(aiter(connection), ended))[-1]
        assert isinstance(failed, Failed)
        assert failed.failure.code == "cloud_busy"
        with pytest.raises(CloudError) as refused:
            await Connection(voice(server, model="step-none")).__aenter__()
        assert refused.value.code == "cloud_model"


async def test_a_voice_without_sound_is_a_failure_of_that_text() -> None:
    async with StepFunVoiceServer() as server, Connection(voice(server)) as connection:
        server.is_mute = True
        connection.session.say("It is noon.")
        connection.session.commit()
        connection.flush()
        failed = (await up_to(aiter(connection), ended))[-1]
        assert isinstance(failed, Failed)
        assert (failed.failure.code, failed.session) == ("cloud_silent", False)


def test_a_text_that_is_told_in_other_words_ends_where_it_ends() -> None:
    adapter = ready(voice())
    for text in ("Set for 25 minutes.", "Lunch at 12."):
        adapter.say(text)
        adapter.commit()
    assert adapter.receive(sound(bytes(4))) == [AnswerSound("sess_1", bytes(4))]
    # More letters, and fewer.
    assert adapter.receive(told("tts.response.sentence.end", text="Set for twenty five minutes")) == [Finished()]
    adapter.receive(sound(bytes(3)))
    assert adapter.receive(told("tts.response.sentence.end", text="at 12")) == [Finished()]
    assert adapter.receive(told("tts.response.sentence.end", text="at 12")) == []
    assert adapter.receive(sound(bytes(2))) == [AnswerSound("sess_1", bytes(2))]  # no half sample was left


@pytest.mark.parametrize("first", ["Your timers: pizza, five minutes;", "Your timers: pizza, 5 minutes;"])
@pytest.mark.parametrize("second", [" tea, thirty minutes.", "tea, 30 minutes"])
def test_a_sentence_that_ends_as_the_whole_text_does_is_not_its_end(first: str, second: str) -> None:
    adapter = ready(voice())
    adapter.say("Your timers: pizza, five minutes; tea, thirty minutes.")
    adapter.commit()
    adapter.receive(sound(bytes(4)))
    assert adapter.receive(told("tts.response.sentence.end", text=first)) == []
    adapter.receive(sound(bytes(4)))
    assert adapter.receive(told("tts.response.sentence.end", text=second)) == [Finished()]


def test_nothing_is_told_or_taken_after_an_interruption() -> None:
    adapter = ready(voice())
    adapter.say("It is noon.")
    adapter.commit()
    adapter.interrupt(0.0)
    adapter.say("It is one.")
    adapter.commit()
    adapter.finish()
    assert adapter.frames() == []
    assert adapter.receive(sound(bytes(2))) == []
    assert adapter.receive(told("tts.response.sentence.end", text="It is noon.")) == []
    assert not adapter.capabilities.survives_interrupt


def test_an_end_that_nobody_asked_for_still_ends_what_was_asked() -> None:
    adapter = ready(voice())
    adapter.say("It is noon.")
    adapter.commit()
    adapter.receive(sound(bytes(2)))
    assert adapter.receive(told("tts.response.audio.done", audio="")) == [Finished()]
    assert adapter.closed(1000, "") == []


def test_a_session_that_is_closed_says_why() -> None:
    [idle] = ready(voice()).closed(1000, "")
    assert isinstance(idle, Failed)
    assert idle.failure.code == "cloud_idle"
    adapter = ready(voice())
    adapter.say("It is noon.")
    adapter.commit()
    [broken] = adapter.closed(None, "")
    assert isinstance(broken, Failed)
    assert broken.failure.code == "cloud_closed"
