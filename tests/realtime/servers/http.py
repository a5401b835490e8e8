"""A vendor's side of HTTP with event streams, on loopback. Raw, so that a test may cut it anywhere.

As with the WebSocket servers, what holds them to the vendor is the vendor's own SDK (test_sdk_text.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from tests.realtime.servers.base import KEY, Call, Say, Script, Step, plain

MODEL = "loopback-1"


@dataclass(frozen=True)
class Posted:
    """A request as it came. `headers`: names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: dict[str, Any]


class RefusedError(Exception):
    """What a request is refused with."""

    def __init__(self, status: int, kind: str, words: str, code: str | None = None) -> None:
        super().__init__(words)
        self.status, self.kind, self.words, self.code = status, kind, words, code


class TextServer:
    """`async with Server(script) as server:` answers at `server.url`, one script step after the other."""

    path = "/"

    def __init__(self, script: Script = plain, *, tls: ssl.SSLContext | None = None) -> None:
        self.script = script
        self.posted: list[Posted] = []
        self.connections = 0
        self.hung_up = asyncio.Event()
        """A client left before its answer was complete."""
        self.raw: bytes | None = None
        """Sent instead of any answer, head and all."""
        self.pieces: Sequence[int] = (1 << 20,)
        """The stream is written in pieces of these sizes, in turn."""
        self.cut_events: int | None = None
        """After so many events of a stream the connection is dropped."""
        self.hold_events: int | None = None
        """After so many events nothing more is sent."""
        self.error_in_stream: dict[str, Any] | None = None
        self._tls = tls
        self._server: asyncio.Server
        self._clients: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    @property
    def port(self) -> int:
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def events(self, number: int, steps: Sequence[Step]) -> Iterable[bytes]:
        """The answer as server-sent events."""
        raise NotImplementedError

    def check(self, posted: Posted) -> Sequence[Any]:
        """The tools' results since the last turn. Raises `RefusedError`."""
        raise NotImplementedError

    def refusal(self, refused: RefusedError) -> dict[str, Any]:
        """The body of an error."""
        raise NotImplementedError

    async def __aenter__(self) -> Any:
        self._server = await asyncio.start_server(self._client, "127.0.0.1", 0, ssl=self._tls)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for writer in self._clients.values():
            writer.transport.abort()
        await asyncio.gather(*self._clients)

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients[task] = writer
        self.connections += 1
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    await self._answer(await _request(reader), reader, writer)
        finally:
            writer.close()

    async def _answer(self, posted: Posted, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.posted.append(posted)
        if self.raw is not None:
            writer.write(self.raw)
            await writer.drain()
            raise ConnectionError
        try:
            if posted.path.partition("?")[0] != self.path:
                raise RefusedError(404, "invalid_request_error", "Not found")
            results = self.check(posted)
        except RefusedError as refused:
            body = json.dumps(self.refusal(refused)).encode()
            head = (
                f"HTTP/1.1 {refused.status} No\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            writer.write(head.encode() + body)
            return
        number = len(self.posted) - 1
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n")
        writer.write(b"Transfer-Encoding: chunked\r\n\r\n")
        stream = b""
        for at, event in enumerate(self.events(number, self.script(number, results))):
            if at == self.cut_events:
                await self._write(writer, stream)
                raise ConnectionError
            if at == self.hold_events:
                await self._write(writer, stream)
                await reader.read(1)
                self.hung_up.set()
                raise ConnectionError
            stream += event
        await self._write(writer, stream)
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    async def _write(self, writer: asyncio.StreamWriter, stream: bytes) -> None:
        turn = 0
        while stream:
            size = self.pieces[turn % len(self.pieces)]
            turn += 1
            piece, stream = stream[:size], stream[size:]
            writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            await writer.drain()


async def _request(reader: asyncio.StreamReader) -> Posted:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, _ = head[0].split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Posted(method, path, headers, json.loads(body or b"{}"))


def words_of(say: Say) -> list[str]:
    """A text in the pieces that a model makes of it."""
    words = say.text.split(" ")
    return [word if at == len(words) - 1 else f"{word} " for at, word in enumerate(words)]


__all__ = ["KEY", "MODEL", "Call", "Posted", "RefusedError", "Say", "Script", "Step", "TextServer", "words_of"]
