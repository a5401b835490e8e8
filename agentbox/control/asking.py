"""The page's end of the control socket: `client.py` for an event loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

from msgspec import UNSET

from agentbox.control.client import CONNECT_LIMIT_S, MAX_ANSWER_BYTES, gone, slow, unreachable
from agentbox.control.protocol import Answer, LineBuffer, Request, decode_answer, encode
from agentbox.messages import JSON

MOST_CALLS = 12
"""At once; the daemon takes some more clients (control/server.py), for streams and for a moment's overlap."""


class AsyncClient:
    """Asks the daemon behind the socket `path`. Each request has a connection of its own; calls wait for each other
    where they are many, since the daemon turns away whom it is too much. Raises as `Client` does."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._calling = asyncio.Semaphore(MOST_CALLS)

    async def call(self, method: str, params: dict[str, JSON] | None = None, timeout_s: float = 30.0) -> JSON:
        """The method's result."""
        try:
            async with (
                asyncio.timeout(timeout_s),
                self._calling,
                contextlib.aclosing(self._answers(method, params)) as answers,
            ):
                async for answer in answers:
                    if answer.result is not UNSET:
                        return answer.result
        except TimeoutError as error:
            raise slow() from error
        raise gone()

    async def stream(self, method: str, params: dict[str, JSON] | None = None) -> AsyncIterator[JSON]:
        """The stream's items until it ends."""
        async with contextlib.aclosing(self._answers(method, params)) as answers:
            async for answer in answers:
                if answer.item is UNSET:
                    return
                yield answer.item
        raise gone()

    async def _answers(self, method: str, params: dict[str, JSON] | None) -> AsyncGenerator[Answer]:
        buffer = LineBuffer(MAX_ANSWER_BYTES)
        try:
            async with asyncio.timeout(CONNECT_LIMIT_S):
                reader, writer = await asyncio.open_unix_connection(self._path)
        except OSError as error:
            raise unreachable(error) from error
        try:
            # A daemon that refuses this client may have hung up already; why is still there to be read.
            with contextlib.suppress(ConnectionError):
                writer.write(encode(Request(id=1, method=method, params=params or {})))
                await writer.drain()
            try:
                while data := await reader.read(65536):
                    for line in buffer.feed(data):
                        answer = decode_answer(line)
                        if answer.error is not None:
                            raise answer.error.error()
                        yield answer
            except ConnectionError as error:
                raise gone() from error
        finally:
            writer.close()
