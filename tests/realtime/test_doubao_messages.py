"""Doubao's spoken dialogue: what single frames mean to our adapter, broken ones too."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentbox.realtime.doubao import Code, DoubaoDialog
from agentbox.realtime.doubao_frames import Packet, Sort, pack, unpack
from agentbox.realtime.events import (
    AnswerDone,
    AnswerSound,
    AnswerStarted,
    AnswerText,
    Event,
    Failed,
    Ready,
)
from agentbox.realtime.seed_asr import SeedASR
from agentbox.realtime.session import Account, Setup
from tests.realtime import samples_doubao
from tests.realtime.servers.base import KEY, tone
from tests.realtime.test_fuzz import change

TURN = tone(500, 16_000)


def ready() -> DoubaoDialog:
    made = DoubaoDialog(Account(key=KEY, model=""), Setup())
    made.opened()
    made.receive(told(Code.CONNECTION_STARTED, {}, ""))
    assert isinstance(made.receive(told(Code.SESSION_STARTED, {}, session(made)))[0], Ready)
    return made


def session(made: DoubaoDialog) -> str:
    """The name it gave its session."""
    starts = [unpack(frame) for frame in made.frames() if isinstance(frame, bytes)]
    return next(packet.id for packet in starts if packet is not None and packet.event == Code.START_SESSION)


def told(code: int, message: dict[str, Any], name: str) -> bytes:
    return pack(Packet(Sort.SERVER, json.dumps(message).encode(), code, name))


@pytest.mark.parametrize(
    ("code", "words", "ours", "ends"),
    [
        (42000020, "volc_websearch_api_key is required", "cloud_settings", True),
        (45000002, "Empty audio", "cloud_input", False),
        (45000003, "Abnormal silence audio", "cloud_idle", True),
        (45000010, "Invalid X-Api-Key", "cloud_key", True),
        (45000030, "requested resource not granted", "cloud_denied", True),
        (50000000, "AudioQueryError", "cloud_down", True),
        (50000000, "Yaml: line 43: found unknown escape character", "cloud_settings", True),
        (50700000, "CallWithTimeout: stream recv timeout", "cloud_down", True),
        (52000011, "AudioChatRecvTimeoutError", "cloud_down", True),
        (52000016, "AudioTTSIdleTimeoutError", "cloud_down", True),
        (52000022, "AudioChatError", "cloud_down", True),
        (52000035, "S2SQueryConnectError", "cloud_down", True),
        (52000042, "DialogAudioIdleTimeoutError", "cloud_idle", True),
        (55000001, "ServerError", "cloud_down", True),
        (55000001, "ContextCanceled", "cloud_closed", True),
        (55000001, "ClientError:InvalidSpeaker", "cloud_settings", True),
        (55000001, "ExceededConcurrentDurationLimit", "cloud_busy", True),
        (55000030, "Service unavailable", "cloud_down", True),
        (55002070, "AudioFlow error", "cloud_down", True),
        (40000010, "empty conversation deleted messages", "cloud_refused", False),
        (49999999, "something new", "cloud_refused", False),
    ],
)
def test_every_documented_error(code: int, words: str, ours: str, ends: bool) -> None:
    frame = pack(Packet(Sort.ERROR, json.dumps({"error": words}).encode(), code=code))
    made = ready()
    (failed,) = made.receive(frame)
    assert isinstance(failed, Failed)
    assert (failed.failure.code, failed.failure.vendor_code, failed.session) == (ours, str(code), ends)
    made = DoubaoDialog(Account(key=KEY, model=""), Setup())
    made.opened()
    made.receive(told(Code.CONNECTION_STARTED, {}, ""))
    message = {"status_code": str(code), "message": words}
    (failed,) = made.receive(told(Code.DIALOG_COMMON_ERROR, message, session(made)))
    assert isinstance(failed, Failed)
    assert (failed.failure.code, failed.session) == (ours, True)


def test_failures_that_name_no_code() -> None:
    made = DoubaoDialog(Account(key=KEY, model=""), Setup())
    made.opened()
    (failed,) = made.receive(told(Code.CONNECTION_FAILED, {"error": "grant not found"}, ""))
    assert isinstance(failed, Failed)
    assert failed.failure.code == "cloud_denied"
    made.receive(told(Code.CONNECTION_STARTED, {}, ""))
    (failed,) = made.receive(told(Code.SESSION_FAILED, {"error": "no such thing"}, session(made)))
    assert isinstance(failed, Failed)
    assert failed.failure.code == "cloud_settings"
    (failed,) = ready().receive(pack(Packet(Sort.ERROR, b"code=55000000, codes=42000999", code=0)))
    assert isinstance(failed, Failed)
    assert failed.failure.vendor_code == "55000000"


def test_sound_in_a_form_that_nobody_asked_for_is_a_matter_of_settings() -> None:
    made = DoubaoDialog(Account(key=KEY, model=""), Setup())
    made.opened()
    made.receive(told(Code.CONNECTION_STARTED, {}, ""))
    name = session(made)
    made.receive(told(Code.SESSION_STARTED, {}, name))
    frame = pack(Packet(Sort.SERVER_SOUND, b"OggS\0\0", Code.TTS_RESPONSE, name, is_json=False))
    (failed,) = made.receive(frame)
    assert isinstance(failed, Failed)
    assert failed.failure.code == "cloud_settings"


def test_a_sample_cut_in_two_is_put_together_and_sentences_stand_in_for_words() -> None:
    made = DoubaoDialog(Account(key=KEY, model=""), Setup())
    made.opened()
    made.receive(told(Code.CONNECTION_STARTED, {}, ""))
    name = session(made)
    made.receive(told(Code.SESSION_STARTED, {}, name))
    made.write("Hello.")
    made.receive(told(Code.TTS_SENTENCE_START, {"tts_type": "network", "text": "Well.", "reply_id": "r"}, name))
    sound = [Packet(Sort.SERVER_SOUND, part, Code.TTS_RESPONSE, name, is_json=False) for part in (b"\1\2\3", b"\4")]
    assert [event for packet in sound for event in made.receive(pack(packet))] == [
        AnswerSound("r", b"\1\2"),
        AnswerSound("r", b"\3\4"),
    ]
    assert made.receive(told(Code.TTS_ENDED, {"reply_id": "r", "status_code": "20000002"}, name)) == [
        AnswerText("r", "Well."),
        AnswerDone("r", "completed"),
    ]
    assert made.receive(told(Code.CHAT_RESPONSE, {"reply_id": "r", "content": "late"}, name)) == []


def test_a_sentence_that_makes_no_json_still_says_what_it_belongs_to() -> None:
    made = DoubaoDialog(Account(key=KEY, model=""), Setup())
    made.opened()
    made.receive(told(Code.CONNECTION_STARTED, {}, ""))
    name = session(made)
    made.receive(told(Code.SESSION_STARTED, {}, name))
    made.write("Hello.")
    broken = b'{"text": "a "word"", "question_id": "q", "reply_id": "r"}'
    sentence = pack(Packet(Sort.SERVER, broken, Code.TTS_SENTENCE_START, name))
    assert made.receive(sentence) == [AnswerStarted("r")]
    made.interrupt(0.0)
    made.write("Again.")
    assert made.receive(sentence) == []


@settings(max_examples=200, deadline=None, database=None, derandomize=True)
@given(st.integers(0, 2**32))
def test_no_message_inside_a_frame_breaks_the_adapters(seed: int) -> None:
    """Frames that can be read, and whose messages have fields missing, moved, or of other types."""
    draw = random.Random(seed)
    for make, frames, greeting in (
        (samples_doubao.dialog, samples_doubao.DIALOG_FRAMES, samples_doubao.DIALOG_GREETING),
        (SeedASR, samples_doubao.ASR_FRAMES, samples_doubao.ASR_FRAMES[:1]),
    ):
        made = make(Account(key=KEY, model=""), Setup())
        made.opened()
        for frame in greeting:
            made.receive(frame)
        made.append(TURN)
        made.commit()
        for _ in range(50):
            frame = draw.choice(frames)
            assert isinstance(frame, bytes)
            packet = unpack(frame)
            assert packet is not None
            if packet.sort is not Sort.SERVER_SOUND:
                message = json.loads(packet.payload)
                change(draw, message)
                packet = replace(packet, payload=json.dumps(message).encode())
            assert all(isinstance(event, get_args(Event)) for event in made.receive(pack(packet)))
            if draw.random() < 0.1:
                made.append(TURN[:640])
                getattr(made, "discard", made.commit)()
            made.frames()


def test_no_word_is_heard_after_the_farewell() -> None:
    made = ready()
    made.finish()
    made.finish()
    left = [unpack(frame) for frame in made.frames() if isinstance(frame, bytes)]
    assert [packet.event for packet in left if packet is not None] == [Code.FINISH_SESSION, Code.FINISH_CONNECTION]
    assert made.receive(pack(Packet(Sort.ERROR, b"{}", code=55000001))) == []


def test_a_text_frame_is_none_of_this_protocol() -> None:
    (failed,) = ready().receive("{}")
    assert isinstance(failed, Failed)
    assert failed.failure.code == "cloud_protocol"


def started() -> tuple[DoubaoDialog, str]:
    """One whose session stands, and the session's name."""
    made = DoubaoDialog(Account(key=KEY, model=""), Setup())
    made.opened()
    made.receive(told(Code.CONNECTION_STARTED, {}, ""))
    made.receive(told(Code.CONNECTION_STARTED, {}, ""))
    packets = [unpack(frame) for frame in made.frames() if isinstance(frame, bytes)]
    # One session, however often the connection stands.
    assert [packet.event for packet in packets if packet is not None] == [Code.START_CONNECTION, Code.START_SESSION]
    made.receive(told(Code.SESSION_STARTED, {"dialog_id": "dlg_1"}, made._session_id))
    return made, made._session_id


def test_what_belongs_to_another_session_is_not_told() -> None:
    made, name = started()
    made.write("Hello.")
    reply = {"content": "Yes?", "question_id": "q", "reply_id": "r"}
    assert made.receive(told(Code.CHAT_RESPONSE, reply, "another")) == []
    assert made.receive(told(Code.CHAT_RESPONSE, reply, name)) != []


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (Code.ASR_ENDED, {"no_content": True}),
        (Code.DIALOG_COMMON_ERROR, {"status_code": "45000002", "message": "Empty audio"}),
    ],
)
def test_no_answer_follows_what_failed(code: Code, message: dict[str, Any]) -> None:
    made, name = started()
    made.append(TURN)
    made.commit()
    (failed,) = made.receive(told(code, message, name))
    assert isinstance(failed, Failed)
    assert not failed.session
    assert made.receive(told(Code.CHAT_RESPONSE, {"content": "Yes?", "reply_id": "r"}, name)) == []


def test_a_conversation_whose_name_is_no_text_can_be_gone_on_with() -> None:
    again = DoubaoDialog(Account(key=KEY, model=""), Setup())
    again.opened()
    again.receive(told(Code.CONNECTION_STARTED, {}, ""))
    again.receive(told(Code.SESSION_STARTED, {"dialog_id": "\ud800"}, again._session_id))
    name = again._session_id
    again.append(TURN)
    again.discard()
    again.frames()
    again.receive(told(Code.SESSION_FINISHED, {}, name))
    (frame,) = again.frames()
    assert isinstance(frame, bytes)
    packet = unpack(frame)
    assert packet is not None
    assert json.loads(packet.payload)["dialog"]["dialog_id"] == "?"


def test_a_turn_that_began_before_the_session_stood_and_was_not_meant() -> None:
    made = DoubaoDialog(Account(key=KEY, model=""), Setup())
    made.opened()
    made.receive(told(Code.CONNECTION_STARTED, {}, ""))
    made.append(TURN)
    made.receive(told(Code.SESSION_STARTED, {}, made._session_id))
    made.discard()
    packets = [unpack(frame) for frame in made.frames() if isinstance(frame, bytes)]
    assert packets[-1] is not None
    assert packets[-1].event == Code.FINISH_SESSION
