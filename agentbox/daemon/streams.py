"""Talks that are made elsewhere while they are said: the answers of a cloud model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import TypeAlias

import numpy as np

from agentbox.tts.engine import Samples

Pieces: TypeAlias = AsyncGenerator[tuple[Samples, int], None]
"""Sound, each piece with its rate in Hz."""


class Stream:
    """A talk whose sound and words come from elsewhere, piece by piece: see `Speaking.stream`."""

    def __init__(self, rate_hz: int) -> None:
        self.rate_hz = rate_hz
        self.received_ms = 0.0
        self.text = ""
        self.ended: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        """Done when nothing more of it will be heard; whether it was heard to its end."""
        self.heard_ms = 0.0
        """How much of it has left the speaker."""
        self._pieces: asyncio.Queue[bytes | None] = asyncio.Queue()

    def add(self, pcm: bytes) -> None:
        """More sound: mono signed 16-bit little-endian PCM."""
        self.received_ms += len(pcm) / 2 * 1000 / self.rate_hz
        self._pieces.put_nowait(pcm)

    def add_words(self, more: str) -> None:
        """What the sound says."""
        self.text += more

    def finish(self) -> None:
        """No more sound comes."""
        self._pieces.put_nowait(None)

    async def pieces(self) -> Pieces:
        while (pcm := await self._pieces.get()) is not None:
            yield np.frombuffer(pcm, dtype="<i2"), self.rate_hz

    def end(self, whole: bool, heard_ms: float) -> None:
        if not self.ended.done():
            self.heard_ms = heard_ms
            self.ended.set_result(whole)


async def next_piece(pieces: Pieces, over: asyncio.Task[None]) -> tuple[Samples, int] | None:
    """The next piece; null where there is none, or when `over` is done before it comes."""
    more = asyncio.ensure_future(anext(pieces, None))
    try:
        await asyncio.wait([more, over], return_when=asyncio.FIRST_COMPLETED)
        return more.result() if more.done() else None
    finally:
        if not more.done():
            # Nobody may close the pieces while one is being made.
            more.cancel()
            await asyncio.gather(more, return_exceptions=True)
