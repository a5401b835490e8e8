"""The socket's protocol: one JSON object a line, sans I/O.

request   {"id": 1, "method": "transcripts.search", "params": {"text": "milk"}}
answer    {"id": 1, "result": ...}
error     {"id": 1, "error": {"code": "...", "what": "...", "todo": "..."}}
stream    {"id": 1, "item": ...} any number of times, then an answer or an error
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from agentbox import errors
from agentbox.errors import AgentboxError, ControlError
from agentbox.messages import JSON

MAX_LINE_BYTES = 1 << 20

_NOT_DECODED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: int
    method: str
    params: dict[str, JSON] = msgspec.field(default_factory=dict)


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """An error as it crosses the socket: what `AgentboxError` holds, and the exit code of a command it ends."""

    code: str
    what: str
    todo: str = ""
    exit_code: int = 1

    @classmethod
    def of(cls, error: AgentboxError) -> Fault:
        return cls(code=error.code, what=error.what, todo=error.todo, exit_code=int(error.exit_code))

    def error(self) -> AgentboxError:
        """The error again, of the class with its exit code.

        `ToolError` comes back as `AgentboxError`; a tool that fails is a result (`ToolResult`), not an error.
        """
        for kind in vars(errors).values():
            if isinstance(kind, type) and issubclass(kind, AgentboxError) and kind.exit_code == self.exit_code:
                return kind(self.code, self.what, self.todo)
        return AgentboxError(self.code, self.what, self.todo)


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`result` or `error` ends the exchange; `item` is one piece of a stream."""

    id: int
    result: Any | UnsetType = UNSET
    item: Any | UnsetType = UNSET
    error: Fault | None = None


class LineBuffer:
    """Bytes in, whole lines out. A line over `limit` bytes raises `ControlError` `line_too_long`."""

    def __init__(self, limit: int = MAX_LINE_BYTES) -> None:
        self._limit = limit
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that `data` completes, without empty ones."""
        *lines, rest = data.split(b"\n")
        if lines:
            lines[0] = bytes(self._rest) + lines[0]
            self._rest.clear()
        self._rest += rest
        if len(self._rest) > self._limit or any(len(line) > self._limit for line in lines):
            raise ControlError(
                "line_too_long", f"A line of the control protocol is over {self._limit} bytes.", "Ask for less."
            )
        return [line for line in lines if line.strip()]


def encode(message: Request | Answer) -> bytes:
    """The message as one line."""
    return msgspec.json.encode(message) + b"\n"


def decode_request(line: bytes) -> Request:
    """Raises `ControlError` `bad_request`."""
    try:
        return msgspec.json.decode(line, type=Request)
    except _NOT_DECODED as error:
        raise ControlError("bad_request", "That is no request.", "See docs/control.md.") from error


def decode_answer(line: bytes) -> Answer:
    """Raises `ControlError` `bad_answer`."""
    try:
        answer = msgspec.json.decode(line, type=Answer)
    except _NOT_DECODED as error:
        raise _bad_answer() from error
    if (answer.result is UNSET) + (answer.item is UNSET) + (answer.error is None) != 2:
        raise _bad_answer()
    return answer


def _bad_answer() -> ControlError:
    return ControlError("bad_answer", "The daemon's answer is not of the control protocol.", "Restart the daemon.")
