"""Anthropic Messages, which other services speak as well (DashScope under `/apps/anthropic`).

Source: types of the vendor's SDK (anthropic 2.11) and a request captured from it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

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

VERSION = "2026-10-21"
"""What the SDK sends; older servers want 2023-06-01."""

MAX_TOKENS = 1024
"""Of one answer: minutes of speech."""

Auth = Literal["bearer", "x_api_key"]
"""The SDK sends the key as a bearer's; it was a header `x-api-key` before."""

_MOST_BLOCKS = 256


class AnthropicMessages:
    """See `text_model.TextModel`."""

    def __init__(
        self, account: Account, *, auth: Auth = "bearer", version: str = VERSION, max_tokens: int = MAX_TOKENS
    ) -> None:
        self.account = account
        self._auth = auth
        self._version = version
        self._max_tokens = max_tokens

    def request(self, conversation: Conversation, tools: Sequence[ToolSpec], *, may_call: bool = True) -> Request:
        body: dict[str, JSON] = {
            "model": self.account.model,
            "max_tokens": self._max_tokens,
            "messages": _messages(conversation),
            "stream": True,
        }
        if conversation.instructions:
            body["system"] = conversation.instructions
        if tools:
            body["tools"] = [
                {"name": tool.name, "description": tool.description, "input_schema": tool.parameters} for tool in tools
            ]
            if not may_call:
                body["tool_choice"] = {"type": "none"}
        headers = {"anthropic-version": self._version}
        if self.account.key and self._auth == "bearer":
            headers["Authorization"] = f"Bearer {self.account.key}"
        elif self.account.key:
            headers["x-api-key"] = self.account.key
        base = self.account.url.rstrip("/").removesuffix("/v1")
        return Request(f"{base}/v1/messages", headers, encoded(merged(body, self.account.options)))

    def reader(self) -> Reader:
        return MessageReader()


def _messages(conversation: Conversation) -> list[JSON]:
    """Turn by turn, the roles taking turns as well: results stand before what the owner says next."""
    messages: list[dict[str, JSON]] = []

    def add(role: str, blocks: list[JSON]) -> None:
        if messages and messages[-1]["role"] == role:
            messages[-1]["content"] += blocks
        elif blocks:
            messages.append({"role": role, "content": blocks})

    turns = conversation.recent()
    for turn in turns:
        add("user", _text(turn.said))
        for one in turn.answer:
            kept = one.kept if turn is turns[-1] else None
            add("assistant", list(kept) if isinstance(kept, list) else _of_round(one))
            add("user", _results(one))
    return list(messages)


def _text(text: str) -> list[JSON]:
    """An empty block is refused."""
    return [{"type": "text", "text": text.strip()}] if text.strip() else []


def _of_round(one: Round) -> list[JSON]:
    calls = [
        {"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments or {}} for call in one.calls
    ]
    return [*_text(one.text), *calls]


def _results(one: Round) -> list[JSON]:
    blocks: list[JSON] = []
    for call in one.calls:
        result = one.result(call)
        block: dict[str, JSON] = {"type": "tool_result", "tool_use_id": call.id, "content": result.text}
        blocks.append(block if result.ok else block | {"is_error": True})
    return blocks


@dataclass(slots=True)
class _Block:
    """A part of the answer, as it comes in pieces."""

    start: dict[str, JSON]
    kind: str
    pieces: list[str] = field(default_factory=list)
    signature: list[str] = field(default_factory=list)

    @property
    def written(self) -> str:
        return "".join(self.pieces)


class MessageReader:
    """See `text_model.Reader`."""

    def __init__(self) -> None:
        self.kept: JSON = None
        self._id = ""
        self._open: dict[float, _Block] = {}
        self._content: list[JSON] = []
        """The blocks that are complete, as they are sent back."""
        self._thought = False
        self._calls: set[str] = set()
        self._reason = ""
        self._units: dict[str, float] = {}
        self._started = False
        self._over = False
        self._handlers: dict[str, Callable[[dict[str, JSON]], list[TextEvent]]] = {
            "message_start": self._on_start,
            "content_block_start": self._on_block,
            "content_block_delta": self._on_delta,
            "content_block_stop": self._on_block_stop,
            "message_delta": self._on_message_delta,
            "message_stop": lambda message: self._done(),
            "error": lambda message: self._failed(failure_of(None, message.get("error"))),
        }

    def receive(self, data: str) -> list[TextEvent]:
        if self._over or not data.strip():
            return []
        message = unpacked(data)
        if message is None:
            return self._failed(failure("cloud_protocol"))
        handler = self._handlers.get(text_of(message, "type"))
        # New kinds of events may be added, and are no error (`ping` tells nothing either).
        return handler(message) if handler is not None else []

    def closed(self) -> list[TextEvent]:
        if self._over:
            return []
        if self._reason:
            return self._done()
        return self._failed(failure("cloud_closed" if self._started else "cloud_silent"))

    def _on_start(self, message: dict[str, JSON]) -> list[TextEvent]:
        self._started = True
        self._id = clean(text_of(message, "message", "id"))
        self._units |= units_of(at(message, "message", "usage"))
        return [AnswerStarted(self._id)]

    def _on_block(self, message: dict[str, JSON]) -> list[TextEvent]:
        index = number_of(message, "index")
        start = at(message, "content_block")
        if index is None or not isinstance(start, dict) or len(self._open) + len(self._content) >= _MOST_BLOCKS:
            return []
        block = _Block(start, text_of(start, "type"))
        self._open[index] = block
        return self._more(block, text_of(start, "text" if block.kind == "text" else "thinking"))

    def _on_delta(self, message: dict[str, JSON]) -> list[TextEvent]:
        block = self._open.get(number_of(message, "index") or 0.0)
        if block is None:
            return []
        block.signature.append(text_of(message, "delta", "signature"))
        field_name = {"text": "text", "tool_use": "partial_json", "thinking": "thinking"}.get(block.kind, "")
        return self._more(block, text_of(message, "delta", field_name))

    def _more(self, block: _Block, more: str) -> list[TextEvent]:
        if not more:
            return []
        block.pieces.append(more)
        return [AnswerText(self._id, clean(more))] if block.kind == "text" else []

    def _on_block_stop(self, message: dict[str, JSON]) -> list[TextEvent]:
        block = self._open.pop(number_of(message, "index") or 0.0, None)
        if block is None:
            return []
        if block.kind == "tool_use":
            return self._on_call(block)
        if block.kind == "text":
            self._content += _text(clean(block.written))
        elif block.kind == "thinking":
            self._thought = True
            signature = "".join(block.signature) or text_of(block.start, "signature")
            self._content.append({"type": "thinking", "thinking": clean(block.written), "signature": signature})
        elif block.kind == "redacted_thinking":
            self._thought = True
            self._content.append({"type": "redacted_thinking", "data": text_of(block.start, "data")})
        return []

    def _on_call(self, block: _Block) -> list[TextEvent]:
        call_id = call_id_of(text_of(block.start, "id"), len(self._content))
        name = clean(text_of(block.start, "name"))
        if not name or call_id in self._calls:
            return []
        self._calls.add(call_id)
        # Some servers tell it whole with the block's start.
        whole = at(block.start, "input")
        arguments = arguments_of(block.written or (whole if isinstance(whole, dict) else ""))
        self._content.append({"type": "tool_use", "id": call_id, "name": name, "input": arguments or {}})
        if arguments is None:
            return [ToolGarbled(self._id, call_id, name)]
        return [ToolCalled(self._id, call_id, name, arguments)]

    def _on_message_delta(self, message: dict[str, JSON]) -> list[TextEvent]:
        # Counts are of the whole message so far.
        self._units |= units_of(message.get("usage"))
        self._reason = text_of(message, "delta", "stop_reason") or self._reason
        return []

    def _done(self) -> list[TextEvent]:
        self._over = True
        # Thoughts are signed, and must come back where they stood, before the tools' results.
        self.kept = self._content if self._thought and self._calls else None
        events = self._used()
        if self._reason == "refusal":
            return [*events, AnswerDone(self._id, "failed", failure=failure("cloud_input", self._reason))]
        if self._reason in ("max_tokens", "model_context_window_exceeded"):
            return [*events, AnswerDone(self._id, "incomplete")]
        return [*events, AnswerDone(self._id, "completed", calls=bool(self._calls))]

    def _used(self) -> list[TextEvent]:
        return [Used(self._units)] if self._units else []

    def _failed(self, failed: Failure) -> list[TextEvent]:
        self._over = True
        return [*self._used(), Failed(failed)]
