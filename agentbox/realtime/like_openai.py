"""What all services have in common whose events are named as OpenAI's are, old names (`response.audio.delta`) and new
ones (`response.output_audio.delta`). Each adapter adds how a session is set up and what its vendor does otherwise.

Sources: reference types of the vendor's SDK (openai 3.52, `types/realtime`), and frames captured from SDKs.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from typing import ClassVar

from agentbox.messages import JSON
from agentbox.realtime.answers import Answers
from agentbox.realtime.events import (
    AnswerDone,
    AnswerSound,
    AnswerStarted,
    AnswerText,
    Event,
    Failed,
    Heard,
    Ready,
    ToolCalled,
    Used,
)
from agentbox.realtime.failures import Failure, Kind, failure, of_words
from agentbox.realtime.session import (
    Account,
    Capabilities,
    Frame,
    Outbox,
    Setup,
    at,
    merged,
    nonsense,
    number_of,
    packed,
    text_of,
    unpacked,
)

Message = dict[str, JSON]

_MOST_TEXT = 100_000
"""Characters kept of what one turn of the owner's was understood as; speech of an utterance has a hundredth."""

_MOST_HARMLESS = 64
"""Commands remembered whose errors are not told."""

_STATUS = {"completed": "completed", "cancelled": "cancelled", "incomplete": "incomplete", "failed": "failed"}


class Events:
    """Setting up, errors, and what was understood: the part that recognition and dialogs share."""

    ready_on: ClassVar[tuple[str, ...]] = ("session.updated",)
    """What acknowledges the configuration."""
    deltas_replace: ClassVar[bool] = False
    """Partial transcripts tell the whole turn so far, and not what is new of it."""
    names_all: ClassVar[bool] = False
    """Every event has an id, those that carry sound as well: some vendors demand it."""

    def __init__(self, account: Account, setup: Setup, capabilities: Capabilities) -> None:
        self.account = account
        self.setup = setup
        self.capabilities = capabilities
        self._out = Outbox()
        self._sent = 0
        self._harmless: dict[str, str] = {}
        """Commands that may come too late to be of use: the event's id, and its type."""
        self._heard: dict[str, str] = {}
        self._handlers: dict[str, Callable[[Message], list[Event]]] = {
            "error": self._on_error,
            "conversation.item.input_audio_transcription.delta": self._on_heard_more,
            "conversation.item.input_audio_transcription.text": self._on_heard_more,
            "conversation.item.input_audio_transcription.completed": self._on_heard,
            "conversation.item.input_audio_transcription.failed": lambda message: [],
        }

    def session(self) -> Message:
        """The session as the vendor wants it described."""
        raise NotImplementedError

    def opened(self) -> Sequence[Event] | None:
        message: Message = {"type": "session.update", "session": merged(self.session(), self.account.options)}
        if self.names_all:
            message["event_id"] = "box_0"
        self._out.hello(packed(message))
        return None

    def frames(self) -> list[Frame]:
        return self._out.take()

    def receive(self, frame: Frame) -> list[Event]:
        message = unpacked(frame)
        if message is None:
            return nonsense()
        kind = text_of(message, "type")
        if not self._out.is_open and self.is_ready(kind, message):
            self._out.open()
            return [Ready(self.session_id(message))]
        handler = self._handlers.get(kind)
        # New kinds of events are added all the time, and are no error.
        return handler(message) if handler is not None else []

    @property
    def is_configured(self) -> bool:
        """The session is what it was to be; errors are about what is done with it."""
        return self._out.is_open

    def is_ready(self, kind: str, message: Message) -> bool:
        """Whether an event acknowledges the configuration."""
        return kind in self.ready_on

    def session_id(self, message: Message) -> str:
        return text_of(message, "session", "id")

    def closed(self, code: int | None, reason: str) -> list[Event]:
        return [Failed(of_words("", reason, default="cloud_closed"))]

    def finish(self) -> None:
        """There is no word for it: the connection is closed."""

    def append(self, pcm: bytes) -> None:
        self._send("input_audio_buffer.append", audio=base64.b64encode(pcm).decode("ascii"))

    def _send(self, kind: str, *, harmless: bool = False, **fields: JSON) -> str:
        """Returns the event's id; errors that name a `harmless` one are not told."""
        self._sent += 1
        event_id = f"box_{self._sent}"
        if harmless:
            self._harmless[event_id] = kind
            if len(self._harmless) > _MOST_HARMLESS:
                del self._harmless[next(iter(self._harmless))]
        message: Message = {"type": kind, **fields}
        if self.names_all or kind != "input_audio_buffer.append":
            message["event_id"] = event_id
        self._out.add(packed(message))
        return event_id

    def _on_heard_more(self, message: Message) -> list[Event]:
        item = text_of(message, "item_id")
        more = text_of(message, "delta") or text_of(message, "text") + text_of(message, "stash")
        text = self.so_far(self._heard.get(item, ""), more)
        if not text:
            return []
        # One turn at a time is understood: what was left of earlier ones is of no more use.
        self._heard = {item: text[:_MOST_TEXT]}
        return [Heard(text, final=False)]

    def so_far(self, before: str, more: str) -> str:
        """What was understood of a turn, from what was told before and what is told now."""
        return more if self.deltas_replace else before + more

    def _on_heard(self, message: Message) -> list[Event]:
        self._heard.pop(text_of(message, "item_id"), None)
        text = text_of(message, "transcript").strip()
        return [Heard(text, final=True)] if text else []

    def _on_error(self, message: Message) -> list[Event]:
        error = at(message, "error")
        event_id = self.blamed(error)
        if self._harmless.pop(event_id, None) is not None:
            return []
        failed = self.failure_of(error)
        return self._failed(failed, event_id, self.ends(error, failed))

    def blamed(self, error: JSON) -> str:
        """The id of the event that an error is about."""
        return text_of(error, "event_id")

    def ends(self, error: JSON, failed: Failure) -> bool:
        """Whether an error ends the session: before it is set up, when it will never work, or when the server gives
        it up."""
        return not self.is_configured or failed.kind is not Kind.FATAL_INPUT

    def _failed(self, failed: Failure, event_id: str, ends: bool) -> list[Event]:
        return [Failed(failed, session=ends)]

    def failure_of(self, error: JSON) -> Failure:
        """What an error object `{type, code, message, param}` means."""
        kind, code, words = (text_of(error, key) for key in ("type", "code", "message"))
        # Some servers give the code as the type; what is no error of their own is about the request either way.
        default = "cloud_down"
        if self.is_configured and kind:
            default = "cloud_refused"
        elif "invalid" in kind:
            default = "cloud_settings"
        # The sort of error is wider than what its words say, and says it where there are none.
        return failure(of_words(code, words, kind, default=default).code, code or kind)


class Dialog(Events):
    """See `session.RealtimeDialog`."""

    def __init__(self, account: Account, setup: Setup, capabilities: Capabilities) -> None:
        super().__init__(account, setup, capabilities)
        self._answers = Answers(capabilities.output_rate_hz)
        self._names: dict[str, str] = {}
        """Of calls whose arguments are on their way."""
        self._handlers |= {
            "response.created": self._on_created,
            "response.output_item.added": self._on_item,
            "response.function_call_arguments.done": self._on_call,
            "response.done": self._on_done,
        }
        for prefix in ("response.output_audio", "response.audio"):
            self._handlers[f"{prefix}.delta"] = self._on_sound
            self._handlers[f"{prefix}_transcript.delta"] = self._on_words
        for prefix in ("response.output_text", "response.text"):
            self._handlers[f"{prefix}.delta"] = self._on_words

    def commit(self) -> None:
        self._begin()
        self._send("input_audio_buffer.commit")
        self._ask()

    def discard(self) -> None:
        self._send("input_audio_buffer.clear", harmless=True)

    def write(self, text: str) -> None:
        self._begin()
        self._say("user", text)
        self._ask()

    def note(self, text: str) -> None:
        self._say("system", text)

    def tool_result(self, call_id: str, output: JSON) -> None:
        if not self._answers.has_result(call_id):
            return
        text = output if isinstance(output, str) else json.dumps(output, ensure_ascii=False)
        self.tell_result(call_id, text)
        if self._answers.goes_on():
            self._ask()

    def tell_result(self, call_id: str, text: str) -> None:
        """A result that the model waits for."""
        item: Message = {"type": "function_call_output", "call_id": call_id, "output": text}
        self._send("conversation.item.create", item=item)

    def interrupt(self, heard_ms: float) -> None:
        active = self._answers.of("")  # null where it was stopped before, and its end not told yet
        if active is not None:
            self.stop(active)
        if self.capabilities.truncates:
            for item_id, end_ms in self._answers.cut(heard_ms):
                self.truncate(item_id, end_ms)
        self._answers.drop()

    def truncate(self, item_id: str, heard_ms: int) -> None:
        """So much of a part of the answer was heard; the rest is to be forgotten."""
        where: Message = {"item_id": item_id, "content_index": 0, "audio_end_ms": heard_ms}
        self._send("conversation.item.truncate", harmless=True, **where)

    def _begin(self) -> None:
        """A new turn; what is still under way of the one before was heard as far as it came."""
        if self._answers.active is not None:
            self.interrupt(float("inf"))
        self._answers.drop()

    def stop(self, answer_id: str) -> None:
        """Have the vendor make no more of an answer."""
        self._send("response.cancel", harmless=True, **self.cancel(answer_id))

    def cancel(self, answer_id: str) -> Message:
        """What `response.cancel` names."""
        return {"response_id": answer_id}

    def _say(self, role: str, text: str) -> None:
        content = [{"type": "input_text", "text": text}]
        self._send("conversation.item.create", item={"type": "message", "role": role, "content": content})

    def _ask(self) -> None:
        """Ask for an answer, as soon as the one before has ended: two at once are refused."""
        if self._answers.may_ask():
            self._answers.asked(self._send("response.create", **self.asking()))

    def asking(self) -> Message:
        """What `response.create` says besides."""
        return {}

    def _on_created(self, message: Message) -> list[Event]:
        answer_id = text_of(message, "response", "id")
        if not self._answers.created(answer_id):
            self.stop(answer_id)
            return []
        return [AnswerStarted(answer_id)]

    def _on_item(self, message: Message) -> list[Event]:
        if text_of(message, "item", "type") == "function_call" and len(self._names) < 64:
            self._names[text_of(message, "item", "call_id")] = text_of(message, "item", "name")
        return []

    def _on_sound(self, message: Message) -> list[Event]:
        answer_id = self._answers.of(text_of(message, "response_id"))
        if answer_id is None:
            return []
        pcm = sound_of(message)
        if pcm is None:
            return nonsense()
        self._answers.sound(text_of(message, "item_id"), len(pcm))
        return [AnswerSound(answer_id, pcm)] if pcm else []

    def _on_words(self, message: Message) -> list[Event]:
        answer_id = self._answers.of(text_of(message, "response_id"))
        more = text_of(message, "delta")
        return [AnswerText(answer_id, more)] if answer_id is not None and more else []

    def _on_call(self, message: Message) -> list[Event]:
        call_id = text_of(message, "call_id")
        name = text_of(message, "name") or self._names.pop(call_id, "")
        return self._call(text_of(message, "response_id"), call_id, name, text_of(message, "arguments"))

    def _call(self, response_id: str, call_id: str, name: str, written: str) -> list[Event]:
        answer_id = self._answers.of(response_id)
        if answer_id is None or not call_id or not self._answers.calls(call_id):
            return []
        arguments = unpacked(written or "{}")
        if arguments is None:
            self.tool_result(call_id, {"error": "the arguments are not a JSON object"})
            return []
        return [ToolCalled(answer_id, call_id, name, arguments)]

    def _on_done(self, message: Message) -> list[Event]:
        response = at(message, "response")
        answer_id = text_of(response, "id")
        events: list[Event] = []
        output = at(response, "output")
        for item in output if isinstance(output, list) else []:
            # Some tell a call only here.
            if text_of(item, "type") == "function_call":
                call = (text_of(item, key) for key in ("call_id", "name", "arguments"))
                events += self._call(answer_id, *call)
        units = units_of(at(response, "usage"))
        if units:
            events.append(Used(units))
        told = self._answers.of(answer_id)
        status = _STATUS.get(text_of(response, "status"), "completed")
        calls = self._answers.done(answer_id) and status == "completed"
        if told is not None:
            failed = None
            if status == "failed":
                failed = self.failure_of(at(response, "status_details", "error"))
            events.append(AnswerDone(told, status, calls, failed))  # type: ignore[arg-type]
        if self._answers.goes_on() or self._answers.is_waiting:
            self._ask()
        return events

    def _failed(self, failed: Failure, event_id: str, ends: bool) -> list[Event]:
        # A request that was refused gets no answer: nobody may wait for one.
        unwanted = self._answers.refused(event_id) is False
        if self._answers.is_waiting:
            self._ask()
        return [] if unwanted else [Failed(failed, session=ends)]


def sound_of(message: Message) -> bytes | None:
    """The whole samples in an event's `delta`; null where that is no base64."""
    try:
        pcm = base64.b64decode(text_of(message, "delta"), validate=True)
    except (binascii.Error, ValueError):
        return None
    return pcm[: len(pcm) // 2 * 2]


def nested_tools(setup: Setup) -> list[JSON]:
    """Tools as chat completions describe them, for those that kept that shape: the function in an object of its own."""
    tools: list[JSON] = []
    for tool in setup.tools:
        function: Message = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
        tools.append({"type": "function", "function": function})
    return tools


def units_of(usage: JSON, prefix: str = "") -> dict[str, float]:
    """The counts of a usage object, those of its parts as `input_token_details.audio_tokens`."""
    units: dict[str, float] = {}
    if not isinstance(usage, dict):
        return units
    for name, value in list(usage.items())[:64]:
        if isinstance(value, dict) and not prefix:
            units |= units_of(value, f"{name}.")
        elif (count := number_of(usage, name)) is not None:
            units[f"{prefix}{name}"] = count
    return units
