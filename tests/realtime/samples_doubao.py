"""Volcengine's adapters, with frames of each kind. A dialog names its own session: here it has the samples' name."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from agentbox.realtime.doubao import Code, DoubaoDialog
from agentbox.realtime.doubao_duplex import DoubaoDuplexDialog
from agentbox.realtime.doubao_frames import Packet, Sort, pack
from agentbox.realtime.seed_asr import SeedASR
from agentbox.realtime.session import Account, Frame, Setup
from tests.realtime.talks import WEATHER

ACCOUNT = Account(key="sk-loopback", model="", app_id="app")
SETUP = Setup("Be brief.", tools=(WEATHER,), hotwords=("agentbox",))
SESSION = "3c791a7d-227a-4446-993b-24f9e302cc98"
_HEARD = "conversation.item.input_audio_transcription"
_IDS = {"question_id": "q_1", "reply_id": "r_1"}


def dialog(account: Account, setup: Setup) -> DoubaoDialog:
    """One whose session has a known name."""
    made = DoubaoDialog(account, setup)
    made._session_id = SESSION
    return made


def _event(code: Code, message: dict[str, Any], name: str = SESSION) -> bytes:
    return pack(Packet(Sort.SERVER, json.dumps(message).encode(), code, name))


DIALOG_GREETING: Sequence[Frame] = (
    _event(Code.CONNECTION_STARTED, {}, ""),
    _event(Code.SESSION_STARTED, {"dialog_id": "dlg_1"}),
)
DIALOG_FRAMES: Sequence[Frame] = (
    *DIALOG_GREETING,
    _event(Code.CONNECTION_FAILED, {"error": "no"}, ""),
    _event(Code.SESSION_FINISHED, {}),
    _event(Code.SESSION_FAILED, {"error": "no"}),
    _event(Code.USAGE, {"usage": {"input_audio_tokens": 3}}),
    _event(Code.ASR_INFO, {"question_id": "q_1"}),
    _event(Code.ASR_RESPONSE, {"results": [{"text": "what is", "is_interim": True}]}),
    _event(Code.ASR_ENDED, {"no_content": False}),
    _event(Code.ASR_ENDED, {"no_content": True}),
    _event(Code.CHAT_TEXT_QUERY_CONFIRMED, {"question_id": "q_2"}),
    _event(Code.CHAT_RESPONSE, {"content": "sunny", **_IDS}),
    _event(Code.TTS_SENTENCE_START, {"tts_type": "default", "text": "sunny", **_IDS}),
    pack(Packet(Sort.SERVER_SOUND, bytes(641), Code.TTS_RESPONSE, SESSION, is_json=False)),
    _event(Code.TTS_SENTENCE_END, _IDS),
    _event(Code.TTS_ENDED, {"status_code": "20000002", **_IDS}),
    _event(Code.CHAT_ENDED, _IDS),
    _event(Code.DIALOG_COMMON_ERROR, {"status_code": "45000002", "message": "empty"}),
    pack(Packet(Sort.ERROR, b'{"error": "Abnormal silence audio"}', code=45000003)),
)


def _told(*messages: dict[str, Any]) -> list[Frame]:
    return [json.dumps(message) for message in messages]


_CALL = {"type": "function_call", "call_id": "call_1", "name": "get_weather", "arguments": '{"town": "Bonn"}'}

DUPLEX_FRAMES = _told(
    {"type": "session.created", "session": {"id": "dlg_1"}},
    {"type": "session.closed"},
    {"type": f"{_HEARD}.started", "item_id": "item_u"},
    {"type": f"{_HEARD}.delta", "item_id": "item_u", "delta": "what is"},
    {"type": f"{_HEARD}.completed", "item_id": "item_u", "transcript": "what is it"},
    {"type": f"{_HEARD}.failed", "error": {"code": "audio_unintelligible"}},
    {"type": "response.output_text.delta", "delta": "sunny"},
    {"type": "response.output_audio.started", "tts_type": "default"},
    {"type": "response.output_audio.delta", "delta": "AAAAAAAA"},
    {"type": "response.output_audio.done", "status_code": "20000000"},
    {"type": "response.function_call_arguments.done", "items": [_CALL, _CALL | {"call_id": "c2", "arguments": "["}]},
    {"type": "response.done", "usage": {"total_tokens": 5, "output_token_details": {"audio_tokens": 3}}},
    {"type": "response.canceled"},
    {"type": "error", "error": {"type": "server_error", "code": "52000033", "message": "idle"}},
    {"type": "error", "error": {"code": 45000002, "message": "empty"}},
)


def _result(result: Any, sequence: int, **more: Any) -> bytes:
    message = json.dumps({"result": result, **more}).encode()
    return pack(Packet(Sort.SERVER, message, sequence=sequence, is_last=sequence < 0, is_gzip=sequence % 2 == 0))


ASR_FRAMES: Sequence[Frame] = (
    _result({"text": ""}, 1),
    _result({"text": "what is", "utterances": [{"text": "what is", "definite": False}]}, 2),
    _result({"text": "what is it", "utterances": [{"text": "what", "definite": True}, {"text": "is it"}]}, 3),
    _result([{"text": "what is it"}], 5),
    _result({"text": "what is it"}, -4),
    _result({}, 7, code=1013),
    _result({}, 7, code=45000081, message="timeout"),
    pack(Packet(Sort.ERROR, b'{"error": "busy"}', code=55000031)),
)

SAMPLES: dict[str, tuple[Callable[[], Any], Sequence[Frame], Sequence[Frame]]] = {
    "doubao": (lambda: dialog(ACCOUNT, SETUP), DIALOG_GREETING, DIALOG_FRAMES),
    "doubao_duplex": (lambda: DoubaoDuplexDialog(ACCOUNT, SETUP), DUPLEX_FRAMES[:1], DUPLEX_FRAMES),
    "seed_asr": (lambda: SeedASR(ACCOUNT, SETUP), ASR_FRAMES[:1], ASR_FRAMES),
}
"""As `adapters.Sample` takes them."""
