"""Chat completions as OpenAI has them, which most other services and local servers speak as well.

Source: types of the vendor's SDK (openai 3.52) and a request captured from it; the services' departures as public code
works round them. A model's own settings (`enable_thinking`, `tool_stream`, `reasoning_effort`, ...) are `options`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from agentbox.messages import JSON
from agentbox.realtime.events import AnswerDone, AnswerStarted, AnswerText, Failed, ToolCalled, Used
from agentbox.realtime.failures import Failure, failure
from agentbox.realtime.like_openai import units_of
from agentbox.realtime.session import Account, ToolSpec, at, merged, number_of, text_of, unpacked
from agentbox.realtime.text_model import (
    Conversation,
    Reader,
    Request,
    Round,
    TextEvent,
    ToolGarbled,
    arguments_of,
    call_id_of,
    clean,
    encoded,
    failure_of,
)

MAX_TOKENS = 1024
"""Of one answer: minutes of speech."""

_MOST_CALLS = 64


@dataclass(frozen=True, slots=True)
class Habits:
    """What services do otherwise."""

    tokens_field: str = "max_tokens"
    """OpenAI's own newer models take `max_completion_tokens` only."""
    remembers: bool = False
    """The service keeps the conversation by `user`: only the present turn is sent."""
    returns_thoughts: bool = False
    """A thinking model wants its `reasoning_content` back with its tools' results."""


class ChatCompletions:
    """See `text_model.TextModel`. `user`: whom the service should take the box for, where it keeps conversations."""

    def __init__(
        self, account: Account, habits: Habits | None = None, *, max_tokens: int = MAX_TOKENS, user: str = ""
    ) -> None:
        self.account = account
        self.habits = habits or Habits()
        self._max_tokens = max_tokens
        self._user = user

    def request(self, conversation: Conversation, tools: Sequence[ToolSpec], *, may_call: bool = True) -> Request:
        body: dict[str, JSON] = {
            "model": self.account.model,
            "messages": self._messages(conversation),
            "stream": True,
            "stream_options": {"include_usage": True},
            self.habits.tokens_field: self._max_tokens,
        }
        if self._user:
            body["user"] = self._user
        if tools:
            body["tools"] = [
                {
                    "type": "function",
                    "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
                }
                for tool in tools
            ]
            if not may_call:
                body["tool_choice"] = "none"
        url = f"{self.account.url.rstrip('/')}/chat/completions"
        headers = {"Authorization": f"Bearer {self.account.key}"} if self.account.key else {}
        return Request(url, headers, encoded(merged(body, self.account.options)))

    def reader(self) -> Reader:
        return ChatReader(keeps_thoughts=self.habits.returns_thoughts)

    def _messages(self, conversation: Conversation) -> list[JSON]:
        messages: list[JSON] = []
        if conversation.instructions:
            messages.append({"role": "system", "content": conversation.instructions})
        turns = conversation.recent()
        for turn in turns[-1:] if self.habits.remembers else turns:
            messages.append({"role": "user", "content": turn.said})
            for one in turn.answer:
                messages += _of_round(one, with_thoughts=turn is turns[-1])
        return messages


def _of_round(one: Round, *, with_thoughts: bool) -> list[JSON]:
    message: dict[str, JSON] = {"role": "assistant", "content": one.text}
    if with_thoughts and isinstance(one.kept, dict):
        message |= one.kept
    if one.calls:
        message["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": json.dumps(call.arguments or {}, ensure_ascii=False)},
            }
            for call in one.calls
        ]
    results = [{"role": "tool", "tool_call_id": call.id, "content": one.result(call).text} for call in one.calls]
    return [message, *results]


class _Fragments:
    """A call, as it comes in pieces."""

    def __init__(self, call_id: str) -> None:
        self.id = call_id
        self.name = ""
        self.pieces: list[str] = []
        self.whole: dict[str, JSON] | None = None
        """Some tell the arguments as an object."""


class ChatReader:
    """See `text_model.Reader`."""

    def __init__(self, *, keeps_thoughts: bool = False) -> None:
        self.kept: JSON = None
        self._id = ""
        self._calls: list[_Fragments] = []
        self._by_index: dict[float, _Fragments] = {}
        self._reason = ""
        self._units: dict[str, float] = {}
        self._thoughts: list[str] | None = [] if keeps_thoughts else None
        self._spoken = Spoken()
        self._started = False
        self._over = False

    def receive(self, data: str) -> list[TextEvent]:
        data = data.strip()
        if self._over or not data:
            return []
        if data == "[DONE]":
            return self._done()
        message = unpacked(data)
        if message is None:
            return self._failed(failure("cloud_protocol"))
        choices = message.get("choices")
        if message.get("error"):
            return self._failed(failure_of(None, message["error"]))
        if not isinstance(choices, list) and text_of(message, "message"):
            # Some servers tell an error without the object around it.
            return self._failed(failure_of(None, message))
        # Some tell the sum so far with every chunk.
        self._units = units_of(message.get("usage")) or self._units
        events: list[TextEvent] = []
        if not self._started:
            self._started = True
            self._id = clean(text_of(message, "id"))
            events.append(AnswerStarted(self._id))
        if isinstance(choices, list) and choices:
            events += self._on_choice(choices[0])
        return events

    def closed(self) -> list[TextEvent]:
        if self._over:
            return []
        if self._reason:
            return self._done()
        return self._failed(failure("cloud_closed" if self._started else "cloud_silent"))

    def _on_choice(self, choice: JSON) -> list[TextEvent]:
        delta = at(choice, "delta")
        if self._thoughts is not None:
            self._thoughts.append(text_of(delta, "reasoning_content"))
        pieces = at(delta, "tool_calls")
        for piece in pieces if isinstance(pieces, list) else []:
            self._on_piece(piece)
        self._reason = text_of(choice, "finish_reason") or self._reason
        return self._text(self._spoken.more(text_of(delta, "content") or text_of(delta, "refusal")))

    def _text(self, more: str) -> list[TextEvent]:
        return [AnswerText(self._id, clean(more))] if more else []

    def _on_piece(self, piece: JSON) -> None:
        call_id, name = text_of(piece, "id"), text_of(piece, "function", "name")
        index = number_of(piece, "index")
        call = self._by_index.get(-1.0 if index is None else index)
        # Some repeat id and name in every piece; some give every call the same index.
        if call is None or (call_id and name and call.id and call_id != call.id):
            if len(self._calls) >= _MOST_CALLS:
                return
            call = _Fragments(call_id)
            self._calls.append(call)
        self._by_index[-1.0 if index is None else index] = call
        call.id = call.id or call_id
        call.name = call.name or name
        written = at(piece, "function", "arguments")
        if isinstance(written, dict):
            call.whole = written
        elif isinstance(written, str):
            call.pieces.append(written)

    def _done(self) -> list[TextEvent]:
        self._over = True
        events = self._text(self._spoken.rest())
        seen: set[str] = set()
        for number, call in enumerate(self._calls):
            call_id = call_id_of(call.id, number)
            if call_id in seen or not call.name:
                continue
            seen.add(call_id)
            arguments = arguments_of(call.whole or "".join(call.pieces))
            if arguments is None:
                events.append(ToolGarbled(self._id, call_id, clean(call.name)))
            else:
                events.append(ToolCalled(self._id, call_id, clean(call.name), arguments))
        if self._thoughts:
            thoughts = clean("".join(self._thoughts))
            self.kept = {"reasoning_content": thoughts} if thoughts else None
        events += self._used()
        if self._reason == "content_filter":
            return [*events, AnswerDone(self._id, "failed", failure=failure("cloud_input", self._reason))]
        if self._reason == "length":
            return [*events, AnswerDone(self._id, "incomplete")]
        # Some say "stop" where they mean tools.
        return [*events, AnswerDone(self._id, "completed", calls=bool(seen))]

    def _used(self) -> list[TextEvent]:
        return [Used(self._units)] if self._units else []

    def _failed(self, failed: Failure) -> list[TextEvent]:
        self._over = True
        return [*self._used(), Failed(failed)]


class Spoken:
    """Leaves out the thoughts that some servers put in front of the answer, between `<think>` and `</think>`."""

    _BEGIN, _END = "<think>", "</think>"

    def __init__(self) -> None:
        self._held = ""
        """Of which it is not yet known what it is."""
        self._where = "before"

    def more(self, text: str) -> str:
        if self._where == "answer":
            return text
        self._held += text
        if self._where == "before":
            self._held = self._held.lstrip()
            if self._BEGIN.startswith(self._held):
                if self._held != self._BEGIN:
                    return ""
            elif not self._held.startswith(self._BEGIN):
                return self._answer(self._held)
            self._where = "thoughts"
        end = self._held.find(self._END)
        if end < 0:
            self._held = self._held[-len(self._END) :]
            return ""
        rest = self._held[end + len(self._END) :].lstrip()
        if rest:
            return self._answer(rest)
        # Spaces before the answer, of which there may be more.
        self._held, self._where = self._END, "thoughts"
        return ""

    def rest(self) -> str:
        """What was held back when the stream ended."""
        return self._held if self._where == "before" else ""

    def _answer(self, text: str) -> str:
        self._held, self._where = "", "answer"
        return text
