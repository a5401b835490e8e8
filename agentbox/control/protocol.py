"""The socket's protocol: one JSON object a line, sans I/O.

request   {"id": 1, "method": "transcripts.search", "params": {"text": "milk"}}
answer    {"id": 1, "result": ...}
error     {"id": 1, "error": {"code": "...", "what": "...", "todo": "..."}}
stream    {"id": 1, "item": ...} any number of times, then an answer or an error
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from agentbox import errors
from agentbox.errors import AgentboxError, ControlError
from agentbox.messages import JSON

MAX_LINE_BYTES = 1 << 20

T = TypeVar("T")


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
        """The error again, of the class with its exit code."""
        for kind in vars(errors).values():
            if isinstance(kind, type) and issubclass(kind, AgentboxError) and kind.exit_code == self.exit_code:
                return kind(self.code, self.what, self.todo)
        return AgentboxError(self.code, self.what, self.todo)


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`result` or `error` ends the exchange; `item` is one piece of a stream."""

    id: int
    result: Any | msgspec.UnsetType = msgspec.UNSET
    item: Any | msgspec.UnsetType = msgspec.UNSET
    error: Fault | None = None


class LineBuffer:
    """Bytes in, whole lines out. A line over `limit` bytes raises `ControlError` `line_too_long`."""

    def __init__(self, limit: int = MAX_LINE_BYTES) -> None:
        self._limit = limit
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        self._rest += data
        *lines, rest = bytes(self._rest).split(b"\n")
        self._rest = bytearray(rest)
        if len(rest) > self._limit or any(len(line) > self._limit for line in lines):
            raise ControlError("line_too_long", f"A line of the control protocol is over {self._limit} bytes.")
        return [line for line in lines if line.strip()]


def encode(message: Request | Answer) -> bytes:
    """The message as one line."""
    return msgspec.json.encode(message) + b"\n"


def decode_request(line: bytes) -> Request:
    """Raises `ControlError` `bad_request`."""
    return _decode(line, Request)


def decode_answer(line: bytes) -> Answer:
    """Raises `ControlError` `bad_request`."""
    return _decode(line, Answer)


def _decode(line: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(line, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ControlError(
            "bad_request", "That line is not of the control protocol.", "See docs/control.md."
        ) from error
