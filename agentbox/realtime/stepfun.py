"""StepFun's realtime models, which speak the older names of OpenAI's events: conversation, and recognition. The variant
that keeps nothing between two answers is in `stepfun_stateless.py`.

Sources: the vendor's pages "realtime chat", "streaming ASR" and "error codes" and its developer's guide (2026); the
vendor's own command line client (Step-Realtime-CLI); livekit-plugins-stepfun 1.8.1. Where these disagree, both are
understood.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from agentbox.messages import JSON
from agentbox.realtime.events import AnswerDone, Event, Failed, Finished
from agentbox.realtime.failures import Failure, failure
from agentbox.realtime.like_openai import Events, Message, nested_tools
from agentbox.realtime.retelling import RetellingDialog
from agentbox.realtime.session import Account, Capabilities, Endpoint, Setup, merged, packed, rate_of, text_of

URL = "wss://api.stepfun.com/v1/realtime"
RECOGNITION_URL = f"{URL}/asr/stream"

MODEL = "stepaudio-2.5-realtime"
RECOGNITION = "step-asr-1.1-stream"

RATE_HZ = 24_000
"""In and out. The vendor tells only that it is 16 bits; this is what its own client uses. `sample_rate` among the
account's options says otherwise; it is not sent."""

RECOGNITION_HZ = 16_000

SESSION_S = 1200.0
"""Half an hour is the limit by the developer's guide; the best known client takes a new session after 20 minutes."""

PING_S = 20.0
"""Idle connections are closed after some minutes; the vendor's client pings so often."""

_MINI_VOICES = {
    "qingchunshaonv": "请使用默认女声与用户交流",
    "wenrounansheng": "请使用默认男声与用户交流",
}
"""step-audio-2-mini takes its voice from this sentence at the end of the instructions (page "realtime chat")."""


def persona(model: str, setup: Setup) -> Message:
    """Who the model is to be: instructions, and a voice of the vendor's or one that was cloned."""
    instructions = setup.instructions
    if model.startswith("step-audio-2-mini") and setup.voice in _MINI_VOICES:
        instructions = f"{instructions}\n{_MINI_VOICES[setup.voice]}".strip()
    voice: Message = {"voice": setup.voice} if setup.voice else {}
    return {"instructions": instructions, **voice}


def sent_options(account: Account) -> Message:
    """The account's options but that which the vendor has no name for."""
    return {key: value for key, value in account.options.items() if key != "sample_rate"}


class StepFunService(Events):
    """What conversation and recognition have in common."""

    names_all = True

    def __init__(self, account: Account, setup: Setup, capabilities: Capabilities) -> None:
        super().__init__(account, setup, capabilities)
        self._greetings = 0
        for kind in ("invalid_request_error", "server_error", "internal_error", "risk"):
            # The guide shows errors without the frame around them.
            self._handlers[kind] = lambda message: self._on_error({"error": message})

    def _endpoint(self, url: str, model: str) -> Endpoint:
        query = f"?model={quote(model, safe='')}" if model else ""
        return Endpoint(f"{url}{query}", {"Authorization": f"Bearer {self.account.key}"}, ping_s=PING_S)

    def is_ready(self, kind: str, message: Message) -> bool:
        """In the documents' examples a changed session is told as a created one. The first of these is the greeting,
        but where it repeats what we asked for."""
        if kind != "session.created":
            return super().is_ready(kind, message)
        self._greetings += 1
        ours = text_of(self.session(), "instructions")
        return self._greetings > 1 or (bool(ours) and text_of(message, "session", "instructions") == ours)

    def session_id(self, message: Message) -> str:
        return super().session_id(message) or text_of(message, "meta", "session_id")

    def failure_of(self, error: JSON) -> Failure:
        code = text_of(error, "code")
        if code == "pong_timeout":  # the other side missed ours: the network was away
            return failure("cloud_closed", code)
        if text_of(error, "type") == "risk":
            return failure("cloud_input", code)
        return super().failure_of(error)


class StepFunDialog(StepFunService, RetellingDialog):
    """See `session.RealtimeDialog`. There is no way to cut what the model remembers of its answer: it is deleted, and
    what was heard of it is written instead."""

    def __init__(self, account: Account, setup: Setup) -> None:
        self._model = account.model or MODEL
        rate_hz = rate_of(account, RATE_HZ)
        capabilities = Capabilities(
            input_rate_hz=rate_hz, output_rate_hz=rate_hz, truncates=True, session_s=SESSION_S, idle_s=None
        )
        super().__init__(account, setup, capabilities)
        self._handlers["response.cancelled"] = self._on_cancelled

    @property
    def endpoint(self) -> Endpoint:
        return self._endpoint(self.account.url or URL, self._model)

    def opened(self) -> Sequence[Event] | None:
        session = merged(self.session(), sent_options(self.account))
        self._out.hello(packed({"type": "session.update", "event_id": "box_0", "session": session}))
        return None

    def session(self) -> Message:
        session: Message = {
            "modalities": ["text", "audio"],
            "input_audio_format": "pcm16",
            "output_audio_format": "pcm16",
            "turn_detection": None,  # by one page it is off by default, by another it is on
            **persona(self._model, self.setup),
        }
        if self.setup.tools:
            session["tools"] = nested_tools(self.setup)
        return session

    def cancel(self, answer_id: str) -> Message:
        return {}

    def _on_cancelled(self, message: Message) -> list[Event]:
        """Told in place of `response.done`, by the documents; by third parties' code the latter comes as well."""
        answer_id = text_of(message, "response_id") or text_of(message, "response", "id") or self._answers.active or ""
        told = self._answers.of(answer_id)
        was_active = bool(answer_id) and answer_id == self._answers.active
        self._answers.done(answer_id)
        self._answers.forget(answer_id)
        if was_active and self._answers.is_waiting:
            self._ask()
        return [AnswerDone(told, "cancelled")] if told is not None and was_active else []


class StepFunASR(StepFunService):
    """See `session.StreamingASR`. A session takes turn after turn."""

    def __init__(self, account: Account, setup: Setup) -> None:
        rate_hz = rate_of(account, RECOGNITION_HZ, "audio", "input", "format", "rate")
        super().__init__(account, setup, Capabilities(input_rate_hz=rate_hz, tools=False, takes_text=False))
        self._handlers["conversation.item.input_audio_transcription.failed"] = self._on_not_heard

    @property
    def endpoint(self) -> Endpoint:
        return self._endpoint(self.account.url or RECOGNITION_URL, "")

    def session(self) -> Message:
        transcription: Message = {
            "model": self.account.model or RECOGNITION,
            "language": self.setup.language.split("-")[0],
        }
        if self.setup.hotwords:
            transcription["prompt"] = " ".join(self.setup.hotwords)
        sound: Message = {
            "type": "pcm",
            "codec": "pcm_s16le",
            "rate": RECOGNITION_HZ,
            "bits": 16,
            "channel": 1,
        }
        return {"audio": {"input": {"format": sound, "transcription": transcription}}}

    def commit(self) -> None:
        self._send("input_audio_buffer.commit")

    def so_far(self, before: str, more: str) -> str:
        """Told to be what is new of it; where it repeats what was told before, it is the whole."""
        return more if more.startswith(before) else before + more

    def _on_heard(self, message: Message) -> list[Event]:
        return [*super()._on_heard(message), Finished()]

    def _on_not_heard(self, message: Message) -> list[Event]:
        return [Failed(self.failure_of(message.get("error")), session=False)]
