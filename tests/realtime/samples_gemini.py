"""Frames that Gemini Live sends, some of each kind."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

_SOUND = {"mimeType": "audio/pcm;rate=24000", "data": "AAAAAAAA"}


def _told(*messages: dict[str, Any]) -> list[str | bytes]:
    """Every other one as a binary frame, as the SDK takes both."""
    texts = [json.dumps(message) for message in messages]
    return [text.encode() if index % 2 else text for index, text in enumerate(texts)]


GREETING: Sequence[str | bytes] = _told({"setupComplete": {"sessionId": "session_1"}})

FRAMES: Sequence[str | bytes] = _told(
    {"setupComplete": {}},
    {"serverContent": {"inputTranscription": {"text": " what is"}}},
    {"serverContent": {"inputTranscription": {"text": " it?", "finished": True}}},
    {"serverContent": {"modelTurn": {"parts": [{"inlineData": _SOUND}], "role": "model"}}},
    {"server_content": {"model_turn": {"parts": [{"inline_data": {"mime_type": "audio/pcm", "data": "AAAA"}}]}}},
    {"serverContent": {"modelTurn": {"parts": [{"text": "sunny"}, {"text": "so", "thought": True}]}}},
    {"serverContent": {"outputTranscription": {"text": "It is sunny."}}},
    {"serverContent": {"interrupted": True}},
    {"serverContent": {"generationComplete": True}},
    {"serverContent": {"turnComplete": True, "interactionStatus": "IDLE"}, "usageMetadata": {"totalTokenCount": 5}},
    {"serverContent": {"turnComplete": True, "interactionStatus": "IN_PROGRESS"}},
    {"serverContent": {"turnComplete": True, "turnCompleteReason": "PROHIBITED_INPUT_CONTENT"}},
    {"toolCall": {"functionCalls": [{"id": "call_1", "name": "f", "args": {"a": 1}}, {"id": "call_2", "name": "g"}]}},
    {"toolCallCancellation": {"ids": ["call_1"]}},
    {"usageMetadata": {"totalTokenCount": 5, "responseTokensDetails": [{"modality": "AUDIO", "tokenCount": 3}]}},
    {"goAway": {"timeLeft": "57.5s"}},
    {"sessionResumptionUpdate": {"newHandle": "handle_1", "resumable": True}},
    {"error": {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED"}},
)
