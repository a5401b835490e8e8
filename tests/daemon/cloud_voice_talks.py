"""What the tests of cloud voices have in common: a box with one, and what it answers."""

from __future__ import annotations

from typing import Any

from agentbox.messages import Reply
from tests.daemon.cloud_box import CloudBox
from tests.realtime.servers.base import VendorServer
from tests.realtime.servers.dashscope import MS_A_LETTER, DashScopeServer
from tests.realtime.servers.qwen import QwenServer
from tests.realtime.servers.stepfun_voice import StepFunVoiceServer

KNOWN = "set a timer for five minutes"
ANSWER = "Timer set for 5 minutes."
LONG = "The first one is here. The second one follows it. And the third one is the last of them."
SENTENCES = ["The first one is here.", "The second one follows it.", "And the third one is the last of them."]

SERVERS: dict[str, tuple[type[VendorServer], int]] = {
    "cosyvoice": (DashScopeServer, MS_A_LETTER),
    "qwen_tts": (QwenServer, 50),
    "step_tts": (StepFunVoiceServer, 30),
}
"""Each kind's server, and how many milliseconds of sound it makes of a letter."""


def config(url: str, kind: str = "cosyvoice", **cloud: Any) -> dict[str, Any]:
    backend = {"name": "first", "kind": kind, "url": url}
    return {"cloud": {"policy": "local_first", "backends": [backend], **cloud}}


def texts(server: VendorServer) -> list[str]:
    """What was sent to be said."""
    if isinstance(server, DashScopeServer):
        return [frame["payload"]["input"]["text"] for frame in server.sent("continue-task")]
    if isinstance(server, StepFunVoiceServer):
        return [frame["data"]["text"] for frame in server.frames if frame["type"] == "tts.text.delta"]
    return [frame["text"] for frame in server.frames if frame["type"] == "input_text_buffer.append"]


def answer(box: CloudBox, text: str, turn: str = "1") -> None:
    """The box answers a turn."""
    reply = Reply(utterance_id=turn, text=text, sound="done", outcome="done")
    box.core.events.emit("reply", "done", utterance_id=turn, message=reply)


def heard_ms(box: CloudBox) -> list[float]:
    """Of each talk that is over."""
    return [one.timings["heard_ms"] for one in box.told if one.stage == "speaking" and "heard_ms" in one.timings]
