"""Qwen's realtime models at Alibaba's Model Studio (DashScope), which share one address and the older names of OpenAI's
events: conversation (Qwen-Audio, in the press Fun-Realtime-AudioChat, and Qwen-Omni), recognition, synthesis.

Sources: the vendor's SDK (dashscope 2.0.2: `audio/qwen_omni`, `audio/qwen_tts_realtime`,
`v2/resources/audio/realtime.py`) and the frames it sends; the vendor's pages of client and server events of
Qwen-Omni-Realtime, Qwen-Audio-Realtime and Qwen-ASR-Realtime (2026).
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from typing import ClassVar
from urllib.parse import quote

from agentbox.messages import JSON
from agentbox.realtime.events import AnswerSound, Event, Failed, Finished, Ready, Used
from agentbox.realtime.failures import Failure, failure, of_words
from agentbox.realtime.like_openai import Events, Message, nested_tools, sound_of, units_of
from agentbox.realtime.retelling import RetellingDialog
from agentbox.realtime.session import (
    Account,
    Capabilities,
    Endpoint,
    Frame,
    Setup,
    at,
    merged,
    nonsense,
    rate_of,
    text_of,
)

URL = "wss://dashscope.aliyuncs.com/api-ws/v1/realtime"
"""Beijing. A key is for one region; the others' addresses are set by the account's url."""

MODEL = "qwen-audio-3.0-realtime-plus"
RECOGNITION = "qwen3-asr-flash-realtime"
SYNTHESIS = "qwen3-tts-flash-realtime"
VOICE = "Cherry"

IN_HZ = 16_000
OUT_HZ = 24_000

IDLE_S = 180.0
"""In which no answer was made; 300 in some reports."""

_MOST_NOTES = 20
_MOST_NOTE = 1_000
"""Characters of a note that goes into the instructions."""


class Dialect(Enum):
    """How a model wants its session described."""

    OMNI = "omni"
    """Qwen-Omni to 3.5: all of the session at once, and nothing but tools' results from the client."""
    OMNI_3_8 = "omni 3.8"
    """Formats and voice under `audio`."""
    AUDIO = "qwen-audio"
    """Messages may be written and deleted; there is no word for the end."""


def dialect_of(model: str) -> Dialect:
    """By the model's name, as the vendor's SDK does; its documents show an older name of Qwen-Audio's besides."""
    if model.startswith("qwen-audio-") or "audiochat" in model:
        return Dialect.AUDIO
    return Dialect.OMNI_3_8 if model.startswith("qwen3.8-omni-") else Dialect.OMNI


def capabilities_of(model: str) -> Capabilities:
    """A session of Qwen-Omni's lasts two hours, of the models before 3.5 half an hour (pages of 2025); for Qwen-Audio's
    no limit is told, and the longer one is taken."""
    dialect = dialect_of(model)
    is_old = dialect is Dialect.OMNI and not model.startswith("qwen3.5-")
    return Capabilities(
        input_rate_hz=IN_HZ,
        output_rate_hz=OUT_HZ,
        truncates=dialect is Dialect.AUDIO,
        takes_text=dialect is not Dialect.OMNI,
        session_s=1800.0 if is_old else 7200.0,
        idle_s=IDLE_S,
    )


class QwenService(Events):
    """What the three sorts of session have in common."""

    names_all = True
    deltas_replace = True

    def __init__(self, account: Account, setup: Setup, capabilities: Capabilities) -> None:
        super().__init__(account, setup, capabilities)
        self._lives = False
        """Something came of what was asked for."""

    def _endpoint(self, model: str) -> Endpoint:
        headers = {"Authorization": f"Bearer {self.account.key}"}
        if self.account.workspace:
            headers["X-DashScope-WorkSpace"] = self.account.workspace
        return Endpoint(f"{self.account.url or URL}?model={quote(model, safe='')}", headers)

    def receive(self, frame: Frame) -> list[Event]:
        events = super().receive(frame)
        self._lives = self._lives or any(not isinstance(event, Ready) for event in events)
        return events

    def closed(self, code: int | None, reason: str) -> list[Event]:
        """A model that does not exist is greeted like any other, and hung up on without a word (measured by third
        parties): whoever never heard anything should not simply call again."""
        is_silent = not self._out.is_open or (bool(self._sent) and not self._lives)
        return [Failed(of_words("", reason, default="cloud_silent" if is_silent else "cloud_closed"))]

    def blamed(self, error: JSON) -> str:
        """Their documents show errors without the id of the event; `param` may name its type then."""
        event_id = super().blamed(error)
        if event_id:
            return event_id
        param, words = text_of(error, "param"), text_of(error, "message").lower()
        kind = "response.cancel" if "no active response" in words else param
        for harmless_id, harmless in reversed(self._harmless.items()):
            if harmless == kind:
                return harmless_id
        return self.pending() if kind == "response.create" or "cannot create response" in words else ""

    def pending(self) -> str:
        """The request that no answer has come of yet."""
        return ""

    def ends(self, error: JSON, failed: Failure) -> bool:
        return super().ends(error, failed) or text_of(error, "type") == "server_error"


class QwenDialog(QwenService, RetellingDialog):
    """See `session.RealtimeDialog`. Push-to-talk, as the vendor calls it: `turn_detection` is null.

    There is no way to cut what the model remembers of its answer. Qwen-Audio lets the answer be deleted and what was
    heard of it be written instead; the others keep all of it.
    """

    written_as = "output_text"

    def __init__(self, account: Account, setup: Setup) -> None:
        self._model = account.model or MODEL
        self._dialect = dialect_of(self._model)
        self._notes: list[str] = []
        self._written = ""
        """What the next answer is to answer, where no message can be written."""
        super().__init__(account, setup, capabilities_of(self._model))

    @property
    def endpoint(self) -> Endpoint:
        return self._endpoint(self._model)

    def session(self) -> Message:
        session: Message = {
            "modalities": ["text", "audio"],
            "instructions": "\n".join([self.setup.instructions, *self._notes]),
            "turn_detection": None,
        }
        voice: Message = {"voice": self.setup.voice} if self.setup.voice else {}
        if self._dialect is Dialect.OMNI_3_8:
            sound_in: Message = {"format": {"type": "pcm", "sample_rate": IN_HZ}}
            sound_out: Message = {"format": {"type": "pcm", "sample_rate": OUT_HZ}, **voice}
            session["audio"] = {"input": sound_in, "output": sound_out}
        else:
            session |= {"input_audio_format": "pcm", "output_audio_format": "pcm", **voice}
        if self._dialect is not Dialect.AUDIO:  # that one understands by itself
            session["input_audio_transcription"] = {"model": RECOGNITION}
        if self.setup.tools:
            session["tools"] = nested_tools(self.setup)
        return session

    def note(self, text: str) -> None:
        if self._dialect is not Dialect.OMNI:
            super().note(text)
            return
        self._notes = [*self._notes, text[:_MOST_NOTE]][-_MOST_NOTES:]
        self._send("session.update", harmless=True, session=merged(self.session(), self.account.options))

    def write(self, text: str) -> None:
        if self.capabilities.takes_text:
            super().write(text)
            return
        self._begin()
        self._written = text
        self._ask()

    def commit(self) -> None:
        self._written = ""
        super().commit()

    def finish(self) -> None:
        if self._dialect is not Dialect.AUDIO:
            self._send("session.finish")

    def cancel(self, answer_id: str) -> Message:
        return {}

    def asking(self) -> Message:
        written, self._written = self._written, ""
        if written:
            return {"response": {"instructions": written}}
        return {} if self._dialect is Dialect.OMNI_3_8 else {"response": {}}

    def pending(self) -> str:
        return self._answers.pending()


class QwenASR(QwenService):
    """See `session.StreamingASR`. One turn (60 s at most, the vendor says) ends with `commit`; more may follow."""

    def __init__(self, account: Account, setup: Setup) -> None:
        rate_hz = rate_of(account, IN_HZ)
        super().__init__(account, setup, Capabilities(input_rate_hz=rate_hz, tools=False, takes_text=False))
        self._waits = False
        self._handlers |= {
            "conversation.item.input_audio_transcription.failed": self._on_not_heard,
            "session.finished": self._on_finished,
        }

    @property
    def endpoint(self) -> Endpoint:
        return self._endpoint(self.account.model or RECOGNITION)

    def session(self) -> Message:
        transcription: Message = {"language": self.setup.language.split("-")[0]}
        if self.setup.hotwords:
            # Words to be expected are free text here, and no list.
            transcription["corpus"] = {"text": " ".join(self.setup.hotwords)}
        return {
            "modalities": ["text"],
            "input_audio_format": "pcm",
            "sample_rate": IN_HZ,
            "input_audio_transcription": transcription,
            "turn_detection": None,
        }

    def commit(self) -> None:
        self._waits = True
        self._send("input_audio_buffer.commit")

    def finish(self) -> None:
        self._send("session.finish")

    def _on_heard(self, message: Message) -> list[Event]:
        return [*super()._on_heard(message), *self._on_finished(message)]

    def _on_not_heard(self, message: Message) -> list[Event]:
        self._waits = False
        return [Failed(self.failure_of(message.get("error")), session=False)]

    def _on_finished(self, message: Message) -> list[Event]:
        waited, self._waits = self._waits, False
        return [Finished()] if waited else []


class QwenTTS(QwenService):
    """See `session.StreamingTTS`. One session speaks one text: only the end of the session tells that all was said,
    and what comes after `commit` or `interrupt` is not taken."""

    mode: ClassVar[str] = "server_commit"
    """It decides by itself where a text can be spoken in pieces."""

    def __init__(self, account: Account, setup: Setup) -> None:
        rate_hz = rate_of(account, OUT_HZ)
        limits = Capabilities(output_rate_hz=rate_hz, tools=False, tells_heard=False, survives_interrupt=False)
        super().__init__(account, setup, limits)
        self._model = account.model or SYNTHESIS
        self._said = False
        self._sounded = False
        self._wanted = True
        self._ending = False
        self._finished = False
        self._handlers |= {
            "response.audio.delta": self._on_sound,
            "response.done": self._on_done,
            "session.finished": self._on_finished,
        }

    @property
    def endpoint(self) -> Endpoint:
        return self._endpoint(self._model)

    def session(self) -> Message:
        session: Message = {
            "voice": self.setup.voice or VOICE,
            "mode": self.mode,
            "response_format": "pcm",
            "sample_rate": OUT_HZ,
        }
        if self.setup.instructions and "-instruct-" in self._model:
            session["instructions"] = self.setup.instructions
        return session

    def say(self, text: str) -> None:
        if text and not self._ending:
            self._said = True
            self._send("input_text_buffer.append", text=text)

    def commit(self) -> None:
        self.finish()

    def interrupt(self, heard_ms: float) -> None:
        self._wanted = False
        if not self._ending:
            self._send("input_text_buffer.clear", harmless=True)
        if not self._finished:
            self._send("response.cancel", harmless=True)
        self.finish()

    def finish(self) -> None:
        if not self._ending:
            self._ending = True
            self._send("session.finish")

    def closed(self, code: int | None, reason: str) -> list[Event]:
        return [] if self._finished else super().closed(code, reason)

    def _on_sound(self, message: Message) -> list[Event]:
        pcm = sound_of(message)
        if pcm is None:
            return nonsense()
        if not pcm or not self._wanted:
            return []
        self._sounded = True
        return [AnswerSound(text_of(message, "response_id"), pcm)]

    def _on_done(self, message: Message) -> list[Event]:
        response = at(message, "response")
        units = units_of(at(response, "usage"))
        events: list[Event] = [Used(units)] if units else []
        if text_of(response, "status") == "failed" and self._wanted:
            events.append(Failed(self.failure_of(at(response, "status_details", "error")), session=False))
        return events

    def _on_finished(self, message: Message) -> list[Event]:
        """A voice that was cloned and is not ready yet says nothing, and no error."""
        self._finished = True
        if self._said and self._wanted and not self._sounded:
            return [Failed(failure("cloud_silent"))]
        return [Finished()]


class QwenVoice(QwenTTS):
    """The same, text after text: each `commit` is spoken whole and by itself, as one answer of the service's, and tells
    its end by `Finished`; the session goes on."""

    mode = "commit"

    def __init__(self, account: Account, setup: Setup) -> None:
        super().__init__(account, setup)
        self._asked: deque[bool] = deque()
        """Texts that were committed and are not spoken yet: whether anything in them can be spoken."""
        self._can_sound = False

    def say(self, text: str) -> None:
        self._can_sound = self._can_sound or any(letter.isalnum() for letter in text)
        super().say(text)

    def commit(self) -> None:
        if not self._ending:
            self._asked.append(self._can_sound)
            self._can_sound = False
            self._send("input_text_buffer.commit")

    def _on_done(self, message: Message) -> list[Event]:
        events = super()._on_done(message)
        can_sound = bool(self._asked) and self._asked.popleft()
        sounded, self._sounded = self._sounded, False
        if not self._wanted or any(isinstance(event, Failed) for event in events):
            return events
        if can_sound and not sounded:
            return [*events, Failed(failure("cloud_silent"), session=False)]
        return [*events, Finished()]

    def _on_finished(self, message: Message) -> list[Event]:
        self._finished = True
        return []
