"""A command's end of the control socket: plain and blocking, since a command does one thing."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

from msgspec import UNSET

from agentbox.control.protocol import Answer, LineBuffer, Request, decode_answer, encode
from agentbox.errors import ControlError
from agentbox.messages import JSON

CONNECT_LIMIT_S = 2.0


class Client:
    """Asks the daemon behind the socket `path`. Each request has a connection of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def is_running(self) -> bool:
        """Whether a daemon answers."""
        try:
            self._connect().close()
        except ControlError:
            return False
        return True

    def call(self, method: str, params: dict[str, JSON] | None = None, timeout_s: float = 120.0) -> JSON:
        """The method's result.

        Raises what the daemon raised, with its code; `ControlError` `not_running`, `daemon_gone`, `daemon_slow`.
        """
        for answer in self._answers(method, params, timeout_s):
            if answer.error is None:
                return answer.result
        raise _gone()

    def stream(
        self, method: str, params: dict[str, JSON] | None = None, timeout_s: float | None = None
    ) -> Iterator[JSON]:
        """The stream's items until it ends. Raises as `call`; `timeout_s` is the wait for each item."""
        for answer in self._answers(method, params, timeout_s):
            if answer.item is not UNSET:
                yield answer.item
            else:
                return
        raise _gone()

    def _answers(self, method: str, params: dict[str, JSON] | None, timeout_s: float | None) -> Iterator[Answer]:
        buffer = LineBuffer(limit=64 << 20)
        with self._connect() as connection:
            try:
                connection.sendall(encode(Request(id=1, method=method, params=params or {})))
                connection.settimeout(timeout_s)
                while data := connection.recv(65536):
                    for line in buffer.feed(data):
                        answer = decode_answer(line)
                        if answer.error is not None:
                            raise answer.error.error()
                        yield answer
            except TimeoutError as error:
                raise ControlError("daemon_slow", "The daemon does not answer in time.", "agentbox status") from error
            except OSError as error:
                raise _gone() from error

    def _connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(CONNECT_LIMIT_S)
        try:
            connection.connect(str(self._path))
        except OSError as error:
            connection.close()
            raise ControlError("not_running", "No agentbox daemon is running.", "Start one: agentbox run") from error
        return connection


def _gone() -> ControlError:
    return ControlError("daemon_gone", "The daemon ended before it had answered.", "Its log says why.")
