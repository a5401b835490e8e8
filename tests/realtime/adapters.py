"""Every adapter, with frames that its vendor sends: what the tests that hold for all of them walk through."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from agentbox.realtime.gemini import GeminiDialog
from agentbox.realtime.openai import OpenAIDialog, OpenAITranscription
from agentbox.realtime.session import Account, Frame, Setup
from tests.realtime import samples_beta, samples_dashscope, samples_doubao, samples_gemini
from tests.realtime.talks import WEATHER

ACCOUNT = Account(key="sk-loopback", model="", app_id="app")
SETUP = Setup("Be brief.", tools=(WEATHER,), hotwords=("agentbox",))


@dataclass(frozen=True)
class Sample:
    """`greeting`: frames after which the session is configured; `frames`: some of each kind."""

    make: Callable[[], Any]
    greeting: Sequence[Frame]
    frames: Sequence[Frame]

    def commands(self, adapter: Any) -> list[Callable[[], None]]:
        """What may be told the adapter meanwhile."""
        commands: dict[str, tuple[Any, ...]] = {
            "append": (bytes(320),),
            "commit": (),
            "discard": (),
            "write": ("What time is it?",),
            "note": ("A timer rang.",),
            "say": ("It is noon.",),
            "tool_result": ("call_1", {"text": "sunny"}),
            "interrupt": (120.0,),
            "finish": (),
        }
        return [
            lambda name=name, given=given: getattr(adapter, name)(*given)  # type: ignore[misc]
            for name, given in commands.items()
            if hasattr(adapter, name)
        ]


def told(*messages: dict[str, Any]) -> list[Frame]:
    return [json.dumps(message) for message in messages]


_TURN = {"response_id": "resp_1", "item_id": "item_1", "output_index": 0, "content_index": 0}
_HEARD = "conversation.item.input_audio_transcription"

OPENAI_FRAMES = told(
    {"type": "session.created", "session": {"id": "sess_1"}},
    {"type": "session.updated", "session": {"id": "sess_1"}},
    {"type": "input_audio_buffer.committed", "item_id": "item_u"},
    {"type": f"{_HEARD}.delta", "item_id": "item_u", "delta": "what is"},
    {"type": f"{_HEARD}.completed", "item_id": "item_u", "transcript": "what is it"},
    {"type": f"{_HEARD}.failed", "item_id": "item_u", "error": {"code": "x", "message": "inaudible"}},
    {"type": "response.created", "response": {"id": "resp_1"}},
    {"type": "response.output_item.added", "item": {"type": "function_call", "call_id": "call_1", "name": "f"}},
    {"type": "response.output_audio.delta", "delta": "AAAAAAAA", **_TURN},
    {"type": "response.output_audio_transcript.delta", "delta": "sunny", **_TURN},
    {"type": "response.output_text.delta", "delta": "sunny", **_TURN},
    {"type": "response.function_call_arguments.done", "call_id": "call_1", "name": "f", "arguments": "{}", **_TURN},
    {
        "type": "response.done",
        "response": {
            "id": "resp_1",
            "status": "completed",
            "output": [{"type": "function_call", "call_id": "call_2", "name": "f", "arguments": '{"a": 1}'}],
            "usage": {"total_tokens": 5, "output_token_details": {"audio_tokens": 3}},
        },
    },
    {
        "type": "response.done",
        "response": {
            "id": "resp_1",
            "status": "failed",
            "status_details": {"error": {"type": "server_error", "code": "rate_limit_exceeded", "message": "slow"}},
        },
    },
    {"type": "error", "error": {"type": "invalid_request_error", "code": "session_expired", "message": "60 minutes"}},
    {"type": "error", "error": {"type": "invalid_request_error", "message": "no", "event_id": "box_3"}},
)

ADAPTERS: dict[str, Sample] = {
    "gemini": Sample(lambda: GeminiDialog(ACCOUNT, SETUP), samples_gemini.GREETING, samples_gemini.FRAMES),
    "openai": Sample(lambda: OpenAIDialog(ACCOUNT, SETUP), OPENAI_FRAMES[1:2], OPENAI_FRAMES),
    "openai_transcription": Sample(lambda: OpenAITranscription(ACCOUNT, SETUP), OPENAI_FRAMES[1:2], OPENAI_FRAMES),
}
"""Every adapter of the house; a test finds those that are missing."""

for samples in (samples_beta, samples_dashscope, samples_doubao):
    ADAPTERS |= {name: Sample(*sample) for name, sample in samples.SAMPLES.items()}
