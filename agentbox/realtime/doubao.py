"""Doubao's spoken dialogue (models O 2.0 `1.2.1.1` and SC 2.0 `2.2.0.0`): one socket, binary frames, half duplex.

The session is set up as push-to-talk: the vendor's own voice detection is off, and the box says when a turn has ended.
There are no tools in this protocol.

Source: the vendor's page 6561/1594356 (29 April 2026).
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from enum import IntEnum

from agentbox.messages import JSON
from agentbox.realtime.doubao_frames import Packet, Sort, pack, unpack
from agentbox.realtime.doubao_replies import Replies
from agentbox.realtime.events import Event, Failed, Heard, Ready, Resumable, Used
from agentbox.realtime.failures import Failure, Kind, failure, of_words
from agentbox.realtime.session import (
    Account,
    Capabilities,
    Endpoint,
    Frame,
    Outbox,
    Setup,
    at,
    merged,
    nonsense,
    packed,
    text_of,
    unpacked,
)
from agentbox.realtime.volcengine import (
    APP_KEY,
    HOST,
    IDLE_S,
    INPUT_HZ,
    OUTPUT_HZ,
    Speech,
    counts,
    failure_of,
    headers,
    pair,
)

URL = f"wss://{HOST}/api/v3/realtime/dialogue"
MODEL = "1.2.1.1"
RESOURCE = "volc.speech.dialog"

_MOST_TEXT = 20_000
"""Characters kept of what one turn is understood as."""

_ID = re.compile(rb'"(question_id|reply_id)"\s*:\s*"([\w.-]{1,256})"')

Message = dict[str, JSON]


class Code(IntEnum):
    """Of events; the first half is the client's."""

    START_CONNECTION = 1
    FINISH_CONNECTION = 2
    START_SESSION = 100
    FINISH_SESSION = 102
    TASK_REQUEST = 200
    END_ASR = 400
    CHAT_TEXT_QUERY = 501
    CONVERSATION_CREATE = 510
    CONVERSATION_TRUNCATE = 513
    CLIENT_INTERRUPT = 515

    CONNECTION_STARTED = 50
    CONNECTION_FAILED = 51
    CONNECTION_FINISHED = 52
    SESSION_STARTED = 150
    SESSION_FINISHED = 152
    SESSION_FAILED = 153
    USAGE = 154
    TTS_SENTENCE_START = 350
    TTS_SENTENCE_END = 351
    TTS_RESPONSE = 352
    TTS_ENDED = 359
    ASR_INFO = 450
    ASR_RESPONSE = 451
    ASR_ENDED = 459
    CHAT_RESPONSE = 550
    CHAT_TEXT_QUERY_CONFIRMED = 553
    CHAT_ENDED = 559
    DIALOG_COMMON_ERROR = 599


def capabilities(model: str) -> Capabilities:
    """Models with a version number can forget what was not heard; `O` and `SC` cannot."""
    return Capabilities(
        input_rate_hz=INPUT_HZ,
        output_rate_hz=OUTPUT_HZ,
        tools=False,
        truncates="." in model,
        idle_s=IDLE_S,
    )


class DoubaoDialog:
    """See `session.RealtimeDialog`."""

    def __init__(self, account: Account, setup: Setup) -> None:
        self.account = account
        self.setup = setup
        self.model = account.model or MODEL
        self.capabilities = capabilities(self.model)
        self._out = Outbox()
        self._session_id = str(uuid.uuid4())
        self._dialog_id = setup.resume
        self._ending_id = ""
        """Of the session that is being left for a fresh one."""
        self._is_started = False
        """The session was introduced."""
        self._was_ready = False
        self._is_finishing = False
        self._speech = Speech(self._out)
        self._heard = ""
        self._replies = Replies()
        self._handlers: dict[int, Callable[[Message, Packet], list[Event]]] = {
            Code.CONNECTION_STARTED: lambda message, packet: self._start(),
            Code.CONNECTION_FAILED: lambda message, packet: self._on_failed(message, "cloud_down"),
            Code.SESSION_STARTED: lambda message, packet: self._on_started(message),
            Code.SESSION_FINISHED: lambda message, packet: [Failed(failure("cloud_closed"))],
            Code.SESSION_FAILED: lambda message, packet: self._on_failed(message, self._default()),
            Code.USAGE: lambda message, packet: _used(at(message, "usage")),
            Code.TTS_SENTENCE_START: lambda message, packet: self._on_sentence(message),
            Code.TTS_RESPONSE: lambda message, packet: self._on_sound(packet.payload),
            Code.TTS_ENDED: lambda message, packet: self._replies.ended(message),
            Code.ASR_INFO: lambda message, packet: self._replies.named(text_of(message, "question_id"), spoken=True),
            Code.ASR_RESPONSE: lambda message, packet: self._on_heard(message),
            Code.ASR_ENDED: lambda message, packet: self._on_heard_all(message),
            Code.CHAT_RESPONSE: lambda message, packet: self._replies.told(message, text_of(message, "content")),
            Code.CHAT_TEXT_QUERY_CONFIRMED: lambda message, packet: self._replies.named(
                text_of(message, "question_id")
            ),
            Code.DIALOG_COMMON_ERROR: lambda message, packet: self._on_failed(message, ""),
        }

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(self.account.url or URL, headers(self.account, RESOURCE, APP_KEY))

    def session(self) -> Message:
        """The session as the vendor wants it described; `extra` must be there even where it is empty."""
        # The persona goes by another name with each of the two families of models; the other's is ignored.
        persona = "character_manifest" if self.model.startswith(("SC", "2.")) else "system_role"
        dialog: Message = {persona: self.setup.instructions} if self.setup.instructions else {}
        if self._dialog_id:
            dialog["dialog_id"] = self._dialog_id
        dialog["extra"] = {"model": self.model, "input_mod": "push_to_talk"}
        if self.capabilities.truncates:
            dialog["extra"]["enable_conversation_truncate"] = True
        tts: Message = {
            "audio_config": {"channel": 1, "format": "pcm_s16le", "sample_rate": OUTPUT_HZ},
            "extra": {},
        }
        if self.setup.voice:
            tts["speaker"] = self.setup.voice
        asr: Message = {"extra": {}}
        if self.setup.hotwords:
            # Hotwords are heeded by the second pass only.
            words = [{"word": word} for word in self.setup.hotwords]
            asr["extra"] = {"enable_asr_twopass": True, "context": {"hotwords": words}}
        return merged({"asr": asr, "tts": tts, "dialog": dialog}, self.account.options)

    def opened(self) -> None:
        self._out.hello(pack(Packet(Sort.CLIENT, b"{}", Code.START_CONNECTION)))

    def frames(self) -> list[Frame]:
        return self._out.take()

    def receive(self, frame: Frame) -> list[Event]:
        packet = unpack(frame) if isinstance(frame, bytes) else None
        if packet is None:
            return nonsense()
        if self._is_finishing:
            return []
        if packet.sort is Sort.ERROR:
            words = packet.payload[:2000].decode("utf-8", "replace")
            return self._failed(failure_of(packet.code, words, self._default()))
        event = packet.event or 0
        if self._ending_id and packet.id == self._ending_id:
            return self._on_left(event)
        message: Message | None = {}
        if packet.payload and packet.sort is not Sort.SERVER_SOUND:
            message = unpacked(packet.payload)
        if message is None and event in (Code.TTS_SENTENCE_START, Code.TTS_SENTENCE_END):
            message = _ids(packet.payload)
        handler = self._handlers.get(event)
        if handler is None or (event >= Code.START_SESSION and packet.id != self._session_id):
            return []
        return handler(message, packet) if message is not None else nonsense()

    def closed(self, code: int | None, reason: str) -> list[Event]:
        return [Failed(of_words("", reason, default="cloud_closed"))]

    def finish(self) -> None:
        """Leaving without a word counts as an error of the client's in the vendor's books (ContextCanceled)."""
        if self._is_finishing:
            return
        self._is_finishing = True
        if self._is_started:
            self._out.hello(self._packed(Code.FINISH_SESSION))
        self._out.hello(pack(Packet(Sort.CLIENT, b"{}", Code.FINISH_CONNECTION)))

    def append(self, pcm: bytes) -> None:
        self._begin_speech()
        for sound in self._speech.packets(pcm):
            self._speech.add(self._sound(sound))

    def commit(self) -> None:
        self._begin_speech()
        for sound in self._speech.last():
            self._speech.add(self._sound(sound))
        self._speech.end()
        self._replies.awaited()
        self._send(Code.END_ASR)

    def discard(self) -> None:
        """There is no word for it, and what was heard would become the beginning of the next turn: the session is left
        for a fresh one that goes on with the same conversation."""
        if self._speech.is_open:
            self._replies.forget_speech()
        self._heard = ""
        if not self._speech.take_back():
            return
        self._send(Code.FINISH_SESSION)
        self._out.shut()
        self._is_started = False
        self._ending_id, self._session_id = self._session_id, str(uuid.uuid4())
        self._replies.reset()

    def write(self, text: str) -> None:
        self._replies_over()
        self._replies.asked()
        self._replies.awaited()
        self._send(Code.CHAT_TEXT_QUERY, {"content": text})

    def note(self, text: str) -> None:
        """The conversation takes whole pairs only: what to know, and that it was understood."""
        items: JSON = [{"role": role, "text": words} for role, words in pair(text, self.setup.language)]
        self._send(Code.CONVERSATION_CREATE, {"items": items})

    def tool_result(self, call_id: str, output: JSON) -> None:
        """There are no tools."""

    def interrupt(self, heard_ms: float) -> None:
        self._replies_over()
        length_ms = self._replies.sound_bytes / (OUTPUT_HZ * 2 / 1000)
        if self.capabilities.truncates and self._replies.reply_id and heard_ms < length_ms:
            heard: Message = {"item_id": self._replies.reply_id, "audio_end_ms": int(max(0.0, heard_ms))}
            self._send(Code.CONVERSATION_TRUNCATE, heard)
        self._replies.reply_id = ""

    def _begin_speech(self) -> None:
        if self._speech.is_open:
            return
        self._replies_over()
        self._heard = ""
        self._speech.is_open = True
        self._replies.asked()

    def _replies_over(self) -> None:
        """Nothing of the turn before is wanted any more; how much of it was heard may be told later."""
        if self._replies.is_awaited:
            self._send(Code.CLIENT_INTERRUPT)
        if not self._speech.is_open:
            self._replies.drop()

    def _sound(self, pcm: bytes) -> bytes:
        return pack(Packet(Sort.CLIENT_SOUND, pcm, Code.TASK_REQUEST, self._session_id, is_json=False))

    def _send(self, code: Code, message: Message | None = None) -> None:
        self._out.add(self._packed(code, message))

    def _packed(self, code: Code, message: Message | None = None) -> bytes:
        return pack(Packet(Sort.CLIENT, packed(message or {}).encode(errors="replace"), code, self._session_id))

    def _default(self) -> str:
        """Our code for an error that says nothing known."""
        return "" if self._was_ready else "cloud_settings"

    def _start(self) -> list[Event]:
        if self._is_started:
            return []
        self._is_started = True
        self._out.hello(self._packed(Code.START_SESSION, self.session()))
        return []

    def _on_started(self, message: Message) -> list[Event]:
        if self._out.is_open:
            return []
        self._out.open()
        self._speech.session_stands()
        events: list[Event] = [] if self._was_ready else [Ready(self._session_id)]
        self._was_ready = True
        self._dialog_id = text_of(message, "dialog_id")[:256] or self._dialog_id
        return [*events, Resumable(self._dialog_id)] if self._dialog_id else events

    def _on_left(self, event: int) -> list[Event]:
        """Of the session that was left nothing counts but its end."""
        if event not in (Code.SESSION_FINISHED, Code.SESSION_FAILED):
            return []
        self._ending_id = ""
        return self._start()

    def _on_heard(self, message: Message) -> list[Event]:
        results = at(message, "results")
        text = "".join(text_of(result, "text") for result in (results if isinstance(results, list) else [])[:64])
        if not text or text == self._heard:
            return []
        self._heard = text[:_MOST_TEXT]
        return [Heard(self._heard, final=False)]

    def _on_heard_all(self, message: Message) -> list[Event]:
        text, self._heard = self._heard.strip(), ""
        self._replies.speech_ended()
        if text:
            return [Heard(text, final=True)]
        if at(message, "no_content") is True:
            # Nobody answers to nothing.
            self._replies.drop()
            return [Failed(failure("cloud_input"), session=False)]
        return []

    def _on_sentence(self, message: Message) -> list[Event]:
        return self._replies.sentence(message, text_of(message, "text"))

    def _on_sound(self, sound: bytes) -> list[Event]:
        if sound.startswith(b"OggS"):
            return [Failed(failure("cloud_settings"))]  # the vendor's default, which nobody here can play
        return self._replies.sound(sound)

    def _on_failed(self, message: Message, default: str) -> list[Event]:
        code = at(message, "status_code") or at(message, "code")
        return self._failed(failure_of(code, _words(message), default))

    def _failed(self, failed: Failure) -> list[Event]:
        ends = not self._out.is_open or failed.kind is not Kind.FATAL_INPUT
        if not ends:
            self._replies.drop()
        return [Failed(failed, session=ends)]


def _ids(payload: bytes) -> Message:
    """What a sentence belongs to: its words were seen to make no JSON (volcengine-audio 0.3.0, `tts.py`)."""
    return {key.decode(): name.decode() for key, name in _ID.findall(payload[:4096])}


def _words(message: Message) -> str:
    return text_of(message, "message") or text_of(message, "error")


def _used(usage: JSON) -> list[Event]:
    units = counts(usage)
    return [Used(units)] if units else []
