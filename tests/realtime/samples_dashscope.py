"""Frames that DashScope sends, for the tests that hold for every adapter."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from agentbox.realtime.dashscope import CosyVoice, FunASR
from agentbox.realtime.session import Account, Frame, Setup

ACCOUNT = Account(key="sk-loopback", model="", workspace="llm-x1")
SETUP = Setup(hotwords=("agentbox",))


def _told(event: str, payload: dict[str, Any] | None = None, **header: str) -> Frame:
    # Without a task's id: the adapter makes its own, and takes such a frame for that of its task.
    return json.dumps({"header": {"event": event, "attributes": {}, **header}, "payload": payload or {}})


def _sentence(text: str, usage: Any = None, **fields: Any) -> Frame:
    sentence = {"begin_time": 170, "end_time": None, "text": text, "sentence_end": False, "words": [], **fields}
    return _told("result-generated", {"output": {"sentence": sentence}, "usage": usage})


_STARTED = _told("task-started", request_id="req-1")
_ALL = [
    _STARTED,
    _told("task-finished", {"output": {}, "usage": {"characters": 2}}),
    _told("task-failed", error_code="ModelNotFound", error_message="Model not found (x)!"),
    _told("task-failed", error_code="CLIENT_ERROR", error_message="request timeout after 23 seconds."),
    _told("result-generated", {"output": {}}, task_id="0123456789abcdef0123456789abcdef"),
]
_HEARD = [
    _sentence("what", heartbeat=False, sentence_id=1),
    _sentence("what is it", {"duration": 1}, end_time=920, sentence_end=True, heartbeat=False, sentence_id=1),
    _sentence("", heartbeat=True, sentence_id=0),
    _sentence("and", sentence_begin=True, sentence_id=2),
    _sentence("and then", end_time=1_800),
]
_SPOKEN: list[Frame] = [
    _told("result-generated", {"output": {"type": "sentence-begin", "sentence": {"index": 0, "words": []}}}),
    _told("result-generated", {"output": {"type": "sentence-end"}, "usage": {"characters": 12}}),
    bytes(range(256)) * 4,
    b"\1\0\2",
]

SAMPLES: dict[str, tuple[Callable[[], Any], Sequence[Frame], Sequence[Frame]]] = {
    "dashscope_ears": (lambda: FunASR(ACCOUNT, SETUP), [_STARTED], [*_ALL, *_HEARD * 4]),
    "dashscope_voice": (lambda: CosyVoice(ACCOUNT, SETUP), [_STARTED], [*_ALL, *_SPOKEN * 4]),
}
"""As `adapters.Sample` takes them; ends of tasks are rarer than what comes in between."""
