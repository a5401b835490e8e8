"""The answer that is still being said while the owner may already say something else."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from typing import Any

from agentbox.daemon.deeds import Done
from agentbox.daemon.speaking import Speaking

SETTLE_S = 0.5
"""So long the next turn waits for the one before to be told off."""

RESCUE_S = 5.0
"""And so long for one that failed to be answered otherwise."""


class Underway:
    """One answer at a time. `turns` is held while the box takes a turn."""

    def __init__(self, turns: asyncio.Lock, speaking: Speaking | None) -> None:
        self._turns = turns
        self._speaking = speaking
        self._task: asyncio.Task[None] | None = None
        self._lent = asyncio.Event()
        """A turn waits for the answer before: that one need not wait for the turn's end."""
        self._rescuing = False
        """An answer that failed is about to be given otherwise."""
        self.running: set[asyncio.Task[Done]] = set()
        """Tools that models asked for."""

    @property
    def is_busy(self) -> bool:
        return self._task is not None and not self._task.done()

    def start(self, going_on: Coroutine[Any, Any, None], name: str) -> None:
        self._task = asyncio.create_task(going_on, name=name)

    @contextlib.asynccontextmanager
    async def between_turns(self) -> AsyncIterator[None]:
        """Between two turns; or within one that waits for this (`settle`)."""
        self._rescuing = True
        own = asyncio.ensure_future(self._turns.acquire())
        lent = asyncio.ensure_future(self._lent.wait())
        try:
            await asyncio.wait([own, lent], return_when=asyncio.FIRST_COMPLETED)
            yield
        finally:
            self._rescuing = False
            lent.cancel()
            if own.done() and not own.cancelled():
                self._turns.release()
            own.cancel()

    async def settle(self) -> None:
        """The owner has gone on, and this is their turn: what is left of the answer before is told off. One that failed
        is given first."""
        task, self._task = self._task, None
        if task is None or task.done():
            return
        if self._speaking is not None:
            self._speaking.outdate()
        self._lent.set()
        await asyncio.wait([task], timeout=SETTLE_S)
        if self._rescuing:
            await asyncio.wait([task], timeout=RESCUE_S)
        self._lent.clear()
        await _ended(task)

    async def close(self) -> None:
        """End what is being said, and what runs."""
        task, self._task = self._task, None
        if self._speaking is not None:
            self._speaking.outdate()
        for running in list(self.running):
            running.cancel()
        if task is not None:
            await asyncio.wait([task], timeout=SETTLE_S)
            await _ended(task)
        await asyncio.gather(*self.running, return_exceptions=True)


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
