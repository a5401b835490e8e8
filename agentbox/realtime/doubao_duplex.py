"""Doubao's spoken dialogue 3.0 (model `1.2.6.1`): one socket, JSON frames named much as OpenAI's are, full duplex.

THIRD-PARTY ONLY: nobody here has seen the vendor's page (6561/2549778) itself. The frames are those of the types in
`volcengine-audio` 0.3.0, which follow that page as of 24 October 2026; what the service does beyond it is from the
published record of a project that measured it (September 2026). Not confirmed, and to be set right by the options:

- `input_mod: push_to_talk` is known from clients of this interface, and from the vendor's page of the older one;
- whether another session may follow a closed one on the same connection (`discard`): if not, the service hangs up, and
  the box connects again.

Nothing asks for an answer: the end of the turn does. An answer ends with its sound; `response.done` comes seconds later
with the bill. Partial transcripts replace what was told before. A silence must be declared, or it counts as an error.
"""

from __future__ import annotations

import base64
import binascii
import json

from agentbox.messages import JSON
from agentbox.realtime.events import (
    AnswerDone,
    AnswerSound,
    AnswerStarted,
    AnswerText,
    Event,
    Failed,
    Heard,
    Ready,
    Resumable,
    ToolCalled,
    Used,
)
from agentbox.realtime.failures import Kind, failure, of_words
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

URL = f"wss://{HOST}/api/v3/duplex/realtime/dialogue"
MODEL = "1.2.6.1"
RESOURCE = "volc.speech.dialog"

CAPABILITIES = Capabilities(
    input_rate_hz=INPUT_HZ,
    output_rate_hz=OUTPUT_HZ,
    takes_text=False,
    idle_s=IDLE_S,
)
"""A written turn alone is dropped without a word (measured)."""

_MOST_CALLS = 64
_MOST_TEXT = 20_000
_HEARD = "conversation.item.input_audio_transcription"

Message = dict[str, JSON]


class DoubaoDuplexDialog:
    """See `session.RealtimeDialog`, and the head of this file for what is not confirmed."""

    def __init__(self, account: Account, setup: Setup) -> None:
        self.account = account
        self.setup = setup
        self.capabilities = CAPABILITIES
        self._out = Outbox()
        self._session_id = setup.resume
        self._was_ready = False
        self._is_finishing = False
        self._is_leaving = False
        """The session is being closed for a fresh one."""
        self._speech = Speech(self._out)
        self._heard = ""
        self._is_awaited = False
        """An answer is wanted that has not ended."""
        self._is_current = False
        """Whatever belongs to the last turn is wanted: it was not dropped."""
        self._answers = 0
        self._active = ""
        self._is_stale = False
        """What comes belongs to an answer that was cut off, until another one's sound begins."""
        self._odd = b""
        self._calls: dict[str, str | None] = {}
        """The round's calls, and what came of them."""
        self._has_calls = False
        """Of the answer that is under way."""
        self._bills = 0
        """Answers that have ended and were not billed yet: the next `response.done` belongs to them."""
        self._handlers = {
            "session.created": self._on_created,
            "session.closed": self._on_closed,
            f"{_HEARD}.delta": self._on_heard_more,
            f"{_HEARD}.completed": self._on_heard,
            f"{_HEARD}.failed": self._on_not_heard,
            "response.output_text.delta": self._on_words,
            "response.output_audio.started": self._on_sound_began,
            "response.output_audio.delta": self._on_sound,
            "response.output_audio.done": self._on_sound_ended,
            "response.function_call_arguments.done": self._on_calls,
            "response.done": self._on_done,
            "error": self._on_error,
        }

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(self.account.url or URL, headers(self.account, RESOURCE, APP_KEY))

    def session(self) -> Message:
        """The body of `session.create`; the account's options are laid over it. `extra` must be there, even empty."""
        output: Message = {"format": {"type": "pcm_s16le", "rate": OUTPUT_HZ}}
        if self.setup.voice:
            output["voice"] = self.setup.voice
        session: Message = {
            "model": self.account.model or MODEL,
            "instructions": self.setup.instructions,
            "audio": {"input": {"format": {"type": "pcm", "rate": INPUT_HZ}}, "output": output},
            "tools": [
                {
                    "type": "function",
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": tool.parameters,
                }
                for tool in self.setup.tools
            ],
        }
        if self._session_id:
            session["id"] = self._session_id
        hotwords = [{"word": word} for word in self.setup.hotwords]
        asr: Message = {"enable_asr_twopass": True, "context": {"hotwords": hotwords}} if hotwords else {}
        extension: Message = {
            "asr": {"extra": asr},
            "tts": {"extra": {}},
            "dialog": {"extra": {"input_mod": "push_to_talk"}},
        }
        return merged({"session": session, "extension": extension}, self.account.options)

    def opened(self) -> None:
        self._out.hello(packed({"type": "session.create", **self.session()}))

    def frames(self) -> list[Frame]:
        return self._out.take()

    def receive(self, frame: Frame) -> list[Event]:
        message = unpacked(frame)
        if message is None:
            return nonsense()
        kind = text_of(message, "type")
        # A farewell is answered with errors of its own (measured); nothing of a session that was left counts.
        if self._is_finishing or (self._is_leaving and kind != "session.closed"):
            return []
        handler = self._handlers.get(kind)
        return handler(message) if handler is not None else []

    def closed(self, code: int | None, reason: str) -> list[Event]:
        return [Failed(of_words("", reason, default="cloud_closed"))]

    def finish(self) -> None:
        """Leaving without a word counts as an error of the client's in the vendor's books."""
        if not self._is_finishing:
            self._is_finishing = True
            self._out.hello(packed({"type": "session.close"}))

    def append(self, pcm: bytes) -> None:
        self._begin()
        for sound in self._speech.packets(pcm):
            self._speech.add(_sound(sound))

    def commit(self) -> None:
        self._begin()
        for sound in self._speech.last():
            self._speech.add(_sound(sound))
        self._speech.end()
        self._is_awaited = self._is_current = True
        self._send("input_audio_buffer.commit")
        self._send("input_audio_mute.commit")

    def discard(self) -> None:
        """There is no word for it, and what was heard would become the beginning of the next turn: the session is left
        for a fresh one that goes on with the same conversation."""
        if not self._speech.take_back():
            return
        self._send("session.close")
        self._out.shut()
        self._is_leaving = True
        self._drop()

    def write(self, text: str) -> None:
        """The model takes no written turns: nothing is sent (`capabilities.takes_text`)."""

    def note(self, text: str) -> None:
        """The conversation takes whole pairs only: what to know, and that it was understood."""
        items = [
            {"type": "message", "role": role, "content": _content(words)}
            for role, words in pair(text, self.setup.language)
        ]
        self._send("conversation.item.create", items=items)

    def tool_result(self, call_id: str, output: JSON) -> None:
        if call_id not in self._calls or self._calls[call_id] is not None:
            return
        self._calls[call_id] = output if isinstance(output, str) else json.dumps(output, ensure_ascii=False)
        results = [(name, words) for name, words in self._calls.items() if words is not None]
        if len(results) < len(self._calls):
            return
        # All of one round in one event: the model goes on only then.
        items = [{"role": "tool", "call_id": name, "content": _content(words)} for name, words in results]
        self._calls = {}
        self._send("conversation.item.create", items=items)

    def interrupt(self, heard_ms: float) -> None:
        if self._is_awaited:
            self._send("response.cancel")
        if not self._speech.is_open:
            self._drop()

    def _begin(self) -> None:
        if self._speech.is_open:
            return
        self.interrupt(float("inf"))
        self._speech.is_open = True
        self._speech.add(packed({"type": "input_audio_unmute.commit"}))

    def _drop(self) -> None:
        """Nothing that was asked for is wanted any more."""
        self._is_stale = self._is_stale or bool(self._active)
        self._is_awaited = self._is_current = False
        self._calls = {}
        self._end()

    def _end(self) -> None:
        if self._active:
            self._bills = min(self._bills + 1, 16)
        self._active, self._odd, self._has_calls = "", b"", False

    def _send(self, kind: str, **fields: JSON) -> None:
        self._out.add(packed({"type": kind, **fields}))

    def _on_created(self, message: Message) -> list[Event]:
        if self._out.is_open:
            return []
        # Nothing is sent until somebody speaks.
        self._out.hello(packed({"type": "input_audio_mute.commit"}))
        self._out.open()
        self._speech.session_stands()
        self._session_id = text_of(message, "session", "id")[:256] or self._session_id
        events: list[Event] = [] if self._was_ready else [Ready(self._session_id)]
        self._was_ready = True
        return [*events, Resumable(self._session_id)] if self._session_id else events

    def _on_closed(self, message: Message) -> list[Event]:
        if not self._is_leaving:
            return [Failed(failure("cloud_closed"))]
        self._is_leaving = self._is_stale = False
        self.opened()
        return []

    def _on_heard_more(self, message: Message) -> list[Event]:
        text = text_of(message, "delta")[:_MOST_TEXT]
        if not text or text == self._heard:
            return []
        self._heard = text
        return [Heard(text, final=False)]

    def _on_heard(self, message: Message) -> list[Event]:
        self._is_stale = False  # what comes now answers this
        text = (text_of(message, "transcript") or text_of(message, "text") or self._heard).strip()
        self._heard = ""
        return [Heard(text, final=True)] if text else []

    def _on_not_heard(self, message: Message) -> list[Event]:
        """Nobody answers to what was not understood."""
        self._heard = ""
        if not self._is_awaited:
            return []
        self._drop()
        return [Failed(failure("cloud_input", text_of(message, "error", "code")), session=False)]

    def _begun(self) -> list[Event] | None:
        """What tells that an answer begins, if it does now; null where nobody wants it."""
        if self._is_stale or not self._is_awaited:
            return None
        if self._active:
            return []
        self._answers += 1
        self._active = f"answer_{self._answers}"
        return [AnswerStarted(self._active)]

    def _on_words(self, message: Message) -> list[Event]:
        events, more = self._begun(), text_of(message, "delta")
        return [*events, AnswerText(self._active, more)] if events is not None and more else events or []

    def _on_sound_began(self, message: Message) -> list[Event]:
        self._is_stale = False  # nothing of an answer that was cut off comes after this (measured)
        return self._begun() or []

    def _on_sound(self, message: Message) -> list[Event]:
        events = self._begun()
        if events is None:
            return []
        try:
            sound = base64.b64decode(text_of(message, "delta"), validate=True)
        except (binascii.Error, ValueError):
            return nonsense()
        if sound.startswith(b"OggS"):
            return [*events, Failed(failure("cloud_settings"))]  # the vendor's default, which nobody here can play
        sound = self._odd + sound
        even = len(sound) // 2 * 2
        sound, self._odd = sound[:even], sound[even:]
        return [*events, AnswerSound(self._active, sound)] if sound else events

    def _on_sound_ended(self, message: Message) -> list[Event]:
        if self._is_stale or not self._active:
            return []
        answer, self._is_awaited = self._active, self._has_calls
        done = AnswerDone(answer, "completed", self._has_calls)
        self._end()
        return [done]

    def _on_calls(self, message: Message) -> list[Event]:
        items = at(message, "items")
        spoke = bool(self._active)
        self._is_awaited = self._is_current  # it may have said all of its sound before it calls
        events = self._begun()
        if events is None:
            return []
        bad = []
        for item in (items if isinstance(items, list) else [])[:_MOST_CALLS]:
            call_id = text_of(item, "call_id")
            if not call_id or call_id in self._calls or len(self._calls) >= _MOST_CALLS:
                continue
            self._calls[call_id] = None
            arguments = unpacked(text_of(item, "arguments") or "{}")
            if arguments is None:
                bad.append(call_id)
            else:
                events.append(ToolCalled(self._active, call_id, text_of(item, "name"), arguments))
        for call_id in bad:
            self.tool_result(call_id, {"error": "the arguments are not a JSON object"})
        self._has_calls = True
        if not spoke:
            # Tools asked for without a word: no sound follows whose end could be waited for.
            events.append(AnswerDone(self._active, "completed", calls=True))
            self._end()
        return events

    def _on_done(self, message: Message) -> list[Event]:
        units = counts(at(message, "usage") or at(message, "response", "usage"))
        events: list[Event] = [Used(units)] if units else []
        if self._bills:
            self._bills -= 1
        elif self._active:
            # Without an end of its sound: the service itself broke it off (measured).
            events.append(AnswerDone(self._active, "incomplete"))
            self._is_awaited = False
            self._end()
            self._bills = 0
        return events

    def _on_error(self, message: Message) -> list[Event]:
        error = at(message, "error")
        code = at(error, "code") or at(message, "code")
        words = text_of(error, "message") or text_of(message, "message")
        failed = failure_of(code, words, "" if self._was_ready else "cloud_settings")
        ends = not self._out.is_open or failed.kind is not Kind.FATAL_INPUT
        if not ends:
            self._drop()
        return [Failed(failed, session=ends)]


def _sound(pcm: bytes) -> str:
    return packed({"type": "input_audio_buffer.append", "audio": base64.b64encode(pcm).decode("ascii")})


def _content(text: str) -> list[JSON]:
    return [{"type": "input_text", "text": text}]
