"""A session that is connected and configured, over any number of turns: what the switch holds on to.

It waits for the acknowledgement, gives one turn at a time its events, and tells what left the box.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

from agentbox.realtime.connection import OPEN_S, Connection
from agentbox.realtime.events import (
    AnswerSound,
    AnswerText,
    Event,
    Expiring,
    Failed,
    Heard,
    Ready,
    Resumable,
    Used,
)
from agentbox.realtime.failures import CloudError, failure
from agentbox.realtime.session import RealtimeDialog

RENEW = 0.9
"""A session is not used any more when so much of its vendor's limit has passed: a turn must fit in the rest."""


MOST_EVENTS = 20_000
"""That nobody has taken yet: half an hour of sound. A service that says more is out of its mind."""

MOST_BYTES = 16 << 20
"""Of sound and words that nobody has taken yet: nearly six minutes at 24 kHz, however it is cut into events."""


class Link:
    """`open` it first; `close` when it is of no more use. What it counts counts if it never opens, too.

    `seconds_out`, `seconds_in`: of sound; `units`: as the vendor counts (`Used`).
    """

    def __init__(
        self,
        dialog: RealtimeDialog,
        *,
        open_s: float = OPEN_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connection = Connection(dialog, open_s=open_s)
        self._open_s = open_s
        self._monotonic = monotonic
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._waiting_bytes = 0
        """Of the events that nobody has taken yet."""
        self._reader: asyncio.Task[None] | None = None
        self._began_s = monotonic()
        self.used_s = self._began_s
        """When it last had a turn."""
        self.broken: Failed | None = None
        self._expires = False
        self.handle = ""
        """By which a new link goes on with this conversation, where the vendor can."""
        self.seconds_out = 0.0
        self.seconds_in = 0.0
        self.units: dict[str, float] = {}
        self.late: Callable[[], None] = lambda: None
        """Called when the vendor has told what it bills: nobody may wait for it any more."""

    async def open(self) -> None:
        """Connect, and wait for the vendor to acknowledge the configuration. Raises `CloudError`."""
        try:
            async with asyncio.timeout(self._open_s):
                await self._connection.__aenter__()
                self._reader = asyncio.create_task(self._read(), name="cloud-read")
                await self._ready()
        except TimeoutError:
            self._connection.abort()
            raise CloudError(failure("cloud_timeout")) from None
        except BaseException:
            self._connection.abort()
            raise

    @property
    def dialog(self) -> RealtimeDialog:
        return self._connection.session

    @property
    def bytes_out(self) -> int:
        return self._connection.traffic.bytes_out

    @property
    def bytes_in(self) -> int:
        return self._connection.traffic.bytes_in

    def is_fresh(self) -> bool:
        """Whether another turn may be given to it."""
        limits = self.dialog.capabilities
        now = self._monotonic()
        return (
            self.broken is None
            and not self._expires
            and (limits.session_s is None or now - self._began_s < limits.session_s * RENEW)
            and (limits.idle_s is None or now - self.used_s < limits.idle_s * RENEW)
        )

    def send(self, pcm: bytes) -> None:
        """Sound of the turn: PCM at the dialog's input rate."""
        self.dialog.append(pcm)
        self.seconds_out += len(pcm) / 2 / self.dialog.capabilities.input_rate_hz
        self._connection.flush()

    def flush(self) -> None:
        """Send what was told the dialog."""
        self.used_s = self._monotonic()
        self._connection.flush()

    async def next(self, within_s: float) -> Event:
        """The next event. Raises `TimeoutError`; `CloudError` once the session has failed."""
        if self.broken is not None and self._events.empty():
            raise CloudError(self.broken.failure)
        async with asyncio.timeout(within_s):
            event = await self._events.get()
        self._waiting_bytes -= _size(event)
        if isinstance(event, Failed) and event.session:
            raise CloudError(event.failure)
        return event

    def forget(self) -> None:
        """What was told so far belongs to an earlier turn."""
        while not self._events.empty():
            self._waiting_bytes -= _size(self._events.get_nowait())

    async def close(self) -> None:
        """End the session cleanly."""
        await self._connection.close()
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)

    async def _ready(self) -> None:
        while not isinstance(await self.next(OPEN_S), Ready):
            pass

    async def _read(self) -> None:
        events: AsyncIterator[Event] = aiter(self._connection)
        async for event in events:
            match event:
                case AnswerSound():
                    self.seconds_in += len(event.pcm) / 2 / self.dialog.capabilities.output_rate_hz
                case Used():
                    for name, count in event.units.items():
                        self.units[name] = self.units.get(name, 0.0) + count
                    self.late()
                case Expiring():
                    # The turn under way is finished; the next one gets a session of its own.
                    self._expires = True
                    continue
                case Resumable():
                    self.handle = event.handle
                case Failed(session=True):
                    self.broken = event
            if self._events.qsize() >= MOST_EVENTS or self._waiting_bytes + _size(event) > MOST_BYTES:
                self.broken = Failed(failure("cloud_protocol"))
                self._connection.abort()
                return
            self._waiting_bytes += _size(event)
            self._events.put_nowait(event)
        if self.broken is None:
            # The service said goodbye unasked: nothing went wrong, and no other turn can be had of it.
            self.broken = Failed(failure("cloud_idle"))
            self._events.put_nowait(self.broken)


def _size(event: Event) -> int:
    """Roughly, of what may be large in it; of text, what it takes in memory at most."""
    match event:
        case AnswerSound():
            return len(event.pcm)
        case AnswerText():
            return len(event.more) * 4
        case Heard():
            return len(event.text) * 4
    return 0
