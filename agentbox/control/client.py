"""A command's end of the control socket: plain and blocking, since a command does one thing."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

from msgspec import UNSET

from agentbox.control.protocol import Answer, LineBuffer, Request, decode_answer, encode
from agentbox.errors import ControlError
from agentbox.messages import JSON

CONNECT_LIMIT_S = 2.0

MAX_ANSWER_BYTES = 64 << 20
"""One answer may be long: many turns, or all tools."""


class Client:
    """Asks the daemon behind the socket `path`. Each request has a connection of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def is_running(self) -> bool:
        """Whether a daemon is there, be it one that this user may not use or that is too busy."""
        try:
            self._connect().close()
        except ControlError as error:
            return error.code != "not_running"
        return True

    def call(self, method: str, params: dict[str, JSON] | None = None, timeout_s: float = 120.0) -> JSON:
        """The method's result.

        `timeout_s` is the wait for the answer. Raises what the daemon raised, with its code; `ControlError`
        `not_running`, `not_allowed`, `daemon_gone`, `daemon_slow`, `line_too_long`.
        """
        for answer in self._answers(method, params, timeout_s):
            if answer.result is not UNSET:
                return answer.result
        raise gone()

    def stream(
        self, method: str, params: dict[str, JSON] | None = None, timeout_s: float | None = None
    ) -> Iterator[JSON]:
        """The stream's items until it ends. Raises as `call`; `timeout_s` is the wait for each item."""
        for answer in self._answers(method, params, timeout_s):
            if answer.item is not UNSET:
                yield answer.item
            else:
                return
        raise gone()

    def _answers(self, method: str, params: dict[str, JSON] | None, timeout_s: float | None) -> Iterator[Answer]:
        request = encode(Request(id=1, method=method, params=params or {}))
        buffer = LineBuffer(MAX_ANSWER_BYTES)
        with self._connect() as connection:
            try:
                # A daemon that refuses this client may have hung up already; why is still there to be read.
                with contextlib.suppress(BrokenPipeError):
                    connection.sendall(request)
                connection.settimeout(timeout_s)
                while data := connection.recv(65536):
                    for line in buffer.feed(data):
                        answer = decode_answer(line)
                        if answer.error is not None:
                            raise answer.error.error()
                        yield answer
            except TimeoutError as error:
                raise slow() from error
            except OSError as error:
                raise gone() from error

    def _connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(CONNECT_LIMIT_S)
        try:
            connection.connect(str(self._path))
        except OSError as error:
            connection.close()
            raise unreachable(error) from error
        return connection


def unreachable(error: OSError) -> ControlError:
    if isinstance(error, PermissionError):
        return ControlError("not_allowed", "This user may not speak to the daemon.", "Use sudo, or join its group.")
    if isinstance(error, BlockingIOError | TimeoutError):  # the daemon lives and does not take new clients
        return slow()
    return ControlError("not_running", "No agentbox daemon is running.", "Start one: agentbox run")


def slow() -> ControlError:
    return ControlError("daemon_slow", "The daemon does not answer in time.", "agentbox status")


def gone() -> ControlError:
    return ControlError("daemon_gone", "The daemon hung up before it had answered.", "Its log says why.")
