"""Bytes as they are, over TLS: what no well-behaved client sends."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl

from tests.page.conftest import Daemon


def connect(daemon: Daemon, source: str = "127.0.0.1", limit_s: float = 20.0) -> ssl.SSLSocket:
    plain = socket.create_connection(("127.0.0.1", daemon.port), limit_s, source_address=(source, 0))
    return daemon.trust.wrap_socket(plain, server_hostname="127.0.0.1")


def rest(connection: socket.socket) -> bytes:
    """All until the other side hangs up. Raises `TimeoutError` if it does not."""
    found = b""
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        while data := connection.recv(65536):
            found += data
    return found


def say(daemon: Daemon, *pieces: bytes) -> bytes:
    """Everything that is answered until the box hangs up."""
    with connect(daemon) as connection:
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            for piece in pieces:
                connection.sendall(piece)
        return rest(connection)


def head(daemon: Daemon, line: str, *headers: str, close: bool = True) -> bytes:
    """A request's head that is as it should be, with more headers."""
    more = [f"Host: 127.0.0.1:{daemon.port}", *(["Connection: close"] if close else []), *headers]
    return "\r\n".join((f"{line} HTTP/1.1", *more, "", "")).encode("latin-1")


def status(answer: bytes) -> int:
    """Of the first answer; 0 where there is none."""
    found = re.match(rb"HTTP/1\.1 (\d{3}) ", answer)
    return int(found[1]) if found else 0
