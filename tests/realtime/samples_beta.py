"""Frames of the vendors that speak the older names of OpenAI's events: Qwen and StepFun."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from agentbox.realtime.qwen import QwenASR, QwenDialog, QwenTTS, QwenVoice
from agentbox.realtime.session import Account, Frame, Setup
from agentbox.realtime.stepfun import StepFunASR, StepFunDialog
from agentbox.realtime.stepfun_stateless import StepFunStatelessDialog
from agentbox.realtime.stepfun_voice import StepFunVoice
from tests.realtime.talks import WEATHER

SETUP = Setup("Be brief.", voice="Tina", tools=(WEATHER,), hotwords=("agentbox",))

_PART = {"response_id": "resp_1", "item_id": "item_1", "output_index": 0, "content_index": 0}
_HEARD = "conversation.item.input_audio_transcription"
_CALL = {"call_id": "call_1", "name": "f", "arguments": '{"a": 1}'}


def _account(model: str = "") -> Account:
    return Account(key="sk-loopback", model=model)


def _told(kind: str, **fields: Any) -> Frame:
    return json.dumps({"event_id": "event_1", "type": kind, **fields})


def _error(**fields: Any) -> Frame:
    return _told("error", error={"type": "invalid_request_error", "code": "invalid_value", "message": "no", **fields})


def _done(status: str, **fields: Any) -> Frame:
    return _told("response.done", response={"id": "resp_1", "status": status, "output": [], **fields})


READY = _told("session.updated", session={"id": "sess_1"})

_BOTH = [
    _told("session.created", session={"id": "sess_1", "instructions": "You are helpful."}),
    READY,
    _told("input_audio_buffer.committed", item_id="item_u", previous_item_id=None),
    _told("conversation.item.created", item={"id": "item_u", "type": "message"}, previous_item_id=None),
    _told(f"{_HEARD}.completed", item_id="item_u", content_index=0, transcript="what is it"),
    _told(f"{_HEARD}.failed", item_id="item_u", error={"type": "transcription_error", "code": "x", "message": "no"}),
    _error(event_id="box_1"),
    _error(type="server_error", code="internal_error", message="LLM connection failed"),
]

_DIALOG = [
    *_BOTH,
    _told("response.created", response={"id": "resp_1", "status": "in_progress"}),
    _told("response.created", response={"id": "resp_2", "status": "in_progress"}),
    _told("response.output_item.added", item={"type": "function_call", **_CALL}, response_id="resp_1", output_index=1),
    _told("response.audio_transcript.delta", delta="sunny ", **_PART),
    _told("response.text.delta", delta="sunny ", **_PART),
    _told("response.audio.delta", delta="AAAAAAAA", **_PART),
    _told("response.audio.delta", delta="AAAAAAAA", item_id="item_1"),
    _told("response.audio.done", **_PART),
    _told("response.function_call_arguments.done", **_CALL, **_PART),
    _done("completed", usage={"total_tokens": 5, "output_tokens_details": {"audio_tokens": 3}}),
    _done("cancelled", status_details={"type": "cancelled", "reason": "client_cancelled"}),
    _done("failed", status_details={"error": {"type": "server_error", "code": "Throttling", "message": "busy"}}),
]

QWEN = [
    *_DIALOG,
    _told(f"{_HEARD}.delta", item_id="item_u", content_index=0, text="what", stash=" is"),
    _error(message="Conversation has no active response."),
    _error(message="Cannot create response while another response is in progress.", param="response.create"),
    _told("session.finished"),
]

QWEN_ASR = [
    *_BOTH,
    _told(f"{_HEARD}.text", item_id="item_u", content_index=0, text="what", stash=" is", emotion="neutral"),
    _told("session.finished"),
]

QWEN_TTS = [
    *_BOTH,
    _told("input_text_buffer.committed", item_id="item_t"),
    _told("response.created", response={"id": "resp_1", "status": "in_progress"}),
    _told("response.audio.delta", delta="AAAAAAAA", **_PART),
    _told("response.audio.done", **_PART),
    _done("completed", usage={"characters": 11}),
    _done("failed", status_details={"error": {"type": "server_error", "code": "Throttling", "message": "busy"}}),
    _told("session.finished"),
]

STEPFUN = [
    *_DIALOG,
    _told("response.thinking.delta", delta="they want", **_PART),
    _told("response.cancelled", response_id="resp_1"),
    _told("invalid_request_error", code="invalid_value", message="无效值", param="type"),
]

STATELESS = [
    *_DIALOG,
    _told("session.restored"),
    _told("session.restored"),
    _told("response.raw_text.delta", delta="sunny ", **_PART),
]

STEPFUN_ASR = [
    *_BOTH,
    _told(f"{_HEARD}.delta", item_id="item_u", content_index=0, text="what is", start_time=0, end_time=500),
    _error(code="max_idle_timeout"),
    _error(type="risk", code="risk_blocked"),
]

_HERE = {"session_id": "sess_1"}
STEPFUN_VOICE = [
    _told("tts.connection.done", data=_HERE),
    _told("tts.response.created", data=_HERE),
    _told("tts.response.sentence.start", data={"text": "It is noon.", "started_at": 1, **_HERE}),
    _told("tts.response.audio.delta", data={"status": "unfinished", "audio": "AAAA", "duration": 0.1, **_HERE}),
    _told("tts.text.flushed", data=_HERE),
    _told("tts.response.sentence.end", data={"text": "It is noon.", "ended_at": 2, **_HERE}),
    _told("tts.response.audio.done", data={"audio": "", **_HERE}),
    _told("tts.response.error", data={"code": "503", "message": "The engine is overloaded", **_HERE}),
]

SAMPLES: dict[str, tuple[Callable[[], Any], Sequence[Frame], Sequence[Frame]]] = {
    "qwen_audio": (lambda: QwenDialog(_account(), SETUP), [READY], QWEN),
    "qwen_omni": (lambda: QwenDialog(_account("qwen3.5-omni-flash-realtime"), SETUP), [READY], QWEN),
    "qwen_omni_3_8": (lambda: QwenDialog(_account("qwen3.8-omni-flash-realtime"), SETUP), [READY], QWEN),
    "qwen_asr": (lambda: QwenASR(_account(), SETUP), [READY], QWEN_ASR),
    "qwen_tts": (lambda: QwenTTS(_account(), SETUP), [READY], QWEN_TTS),
    "qwen_voice": (lambda: QwenVoice(_account(), SETUP), [READY], QWEN_TTS),
    "stepfun": (lambda: StepFunDialog(_account(), SETUP), [READY], STEPFUN),
    "stepfun_stateless": (lambda: StepFunStatelessDialog(_account(), SETUP), [], STATELESS),
    "stepfun_voice": (lambda: StepFunVoice(_account(), SETUP), STEPFUN_VOICE[:2], STEPFUN_VOICE),
    "stepfun_asr": (lambda: StepFunASR(_account(), SETUP), [READY], STEPFUN_ASR),
}
