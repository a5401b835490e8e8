"""A vendor's side of a WebSocket, on loopback: what all test servers share.

They stand where the vendor's service cannot run. What holds them to it is the vendor's own SDK, which completes a
session against each of them (test_sdk_*.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Any, TypeAlias

import numpy as np
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

KEY = "sk-loopback"


@dataclass(frozen=True)
class Say:
    """Part of an answer: words, and sound of this length."""

    text: str = "All right."
    ms: int = 400


@dataclass(frozen=True)
class Call:
    """Part of an answer: a tool that the model wants."""

    name: str
    arguments: dict[str, Any]
    id: str = "call_1"


Step: TypeAlias = Say | Call
Script: TypeAlias = Callable[[int, Sequence[Any]], Sequence[Step]]
"""What is answered: from the number of the answer in its session (0, 1, ...) and the tools' results since the last
turn."""


def plain(number: int, results: Sequence[Any]) -> Sequence[Step]:
    return [Say()]


def tone(ms: int, rate_hz: int = 24_000) -> bytes:
    """A quiet hum, mono PCM16."""
    time = np.arange(rate_hz * ms // 1000) / rate_hz
    return bytes((2_000 * np.sin(2 * np.pi * 220 * time)).astype("<i2").tobytes())


class VendorServer:
    """`async with Server(...) as server:` listens at `server.url` (without query). One `session` coroutine a client."""

    path = "/"
    refuses: HTTPStatus | None = None
    """The status with which every client is turned away."""
    tls: ssl.SSLContext | None = None
    """For clients that connect in no other way."""

    def __init__(self, script: Script = plain, *, piece_s: float = 0.0) -> None:
        self.script = script
        self.piece_s = piece_s
        """Wait between two pieces (100 ms) of an answer's sound."""
        self.frames: list[dict[str, Any]] = []
        """The JSON frames that clients sent, over all sessions, with `audio` left out."""
        self.sound = bytearray()
        """What clients sent of it."""
        self.requests: list[Request] = []
        self.clients: set[ServerConnection] = set()
        self.closes: list[int | None] = []
        self._server: Server

    @property
    def url(self) -> str:
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"{'wss' if self.tls else 'ws'}://{host}:{port}{self.path}"

    def kinds(self) -> list[str]:
        """The `type` of each frame, runs of the same told once."""
        kinds: list[str] = []
        for frame in self.frames:
            if not kinds or kinds[-1] != frame.get("type"):
                kinds.append(str(frame.get("type")))
        return kinds

    def is_welcome(self, request: Request) -> bool:
        return request.headers.get("Authorization", "").lower() == f"bearer {KEY}"

    async def session(self, client: ServerConnection) -> None:
        raise NotImplementedError

    async def __aenter__(self) -> Any:
        self._server = await serve(
            self._client,
            "127.0.0.1",
            0,
            process_request=self._let_in,
            compression=None,
            ping_interval=None,
            ssl=self.tls,
            close_timeout=1.0,  # some clients never answer a farewell
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _let_in(self, client: ServerConnection, request: Request) -> Response | None:
        self.requests.append(request)
        if self.refuses is not None:
            return client.respond(self.refuses, "refused\n")
        if not self.is_welcome(request):
            return client.respond(HTTPStatus.UNAUTHORIZED, "who are you?\n")
        return None

    async def _client(self, client: ServerConnection) -> None:
        self.clients.add(client)
        with contextlib.suppress(ConnectionClosed):
            await self.session(client)
        await client.wait_closed()
        self.clients.discard(client)
        self.closes.append(client.close_code)


async def send(client: ServerConnection, message: dict[str, Any]) -> None:
    await client.send(json.dumps(message))


async def until_gone(work: Coroutine[Any, Any, None]) -> None:
    """Work that ends when the client hangs up."""
    with contextlib.suppress(ConnectionClosed):
        await work


async def pieces(sound: bytes, wait_s: float, piece_ms: int = 100, rate_hz: int = 24_000) -> Any:
    """An answer's sound, piece by piece."""
    size = rate_hz * piece_ms // 1000 * 2
    for at in range(0, len(sound), size):
        await asyncio.sleep(wait_s)
        yield sound[at : at + size]
