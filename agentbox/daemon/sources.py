"""Where the sound comes from: a microphone that is kept alive, a file in real time or faster, or standard input."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import os
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Protocol

import numpy as np

from agentbox.audio.capture import Microphone
from agentbox.audio.devices import refresh
from agentbox.audio.files import duration_s, read_file
from agentbox.config import Audio
from agentbox.daemon.events import Events
from agentbox.daemon.hearing import Hearing
from agentbox.errors import AudioError
from agentbox.messages import SAMPLE_RATE_HZ, Notice

RETRY_S = (0.5, 1.0, 2.0, 5.0)
"""Waits between attempts to get the microphone back; the last one repeats."""

READ_BYTES = 2 * SAMPLE_RATE_HZ // 10
"""Standard input is read in tenths of a second."""


class Source(Protocol):
    """Feeds a `Hearing` until the sound ends. `state` says in words what it is doing."""

    state: str

    async def feed(self, hearing: Hearing) -> None: ...


class FileSource:
    """A sound file, in real time or (`fast`) as quickly as it can be heard."""

    def __init__(self, path: Path, block_ms: int, *, fast: bool = False) -> None:
        self.state = "playing a file"
        self._path = path
        self._block_ms = block_ms
        self._fast = fast
        duration_s(path)  # raises now, and not after the box has started, where the file cannot be read

    async def feed(self, hearing: Hearing) -> None:
        began, played = time.monotonic(), 0
        for block in read_file(self._path, self._block_ms):
            played += block.size
            if self._fast:
                await asyncio.sleep(0)
            else:
                await asyncio.sleep(began + played / SAMPLE_RATE_HZ - time.monotonic())
            hearing.hear(block)
            if self._fast:
                await hearing.settled()
        hearing.finish()


class StdinSource:
    """Raw 16 kHz mono s16le on a file descriptor, at whatever pace it comes."""

    def __init__(self, descriptor: int = 0) -> None:
        self.state = "listening to standard input"
        self._descriptor = descriptor

    async def feed(self, hearing: Hearing) -> None:
        async for data in self._chunks():
            hearing.hear(np.frombuffer(data, dtype="<i2").astype(np.int16))
            await hearing.settled()
        hearing.finish()

    async def _chunks(self) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        arrived: asyncio.Queue[bytes] = asyncio.Queue(4)

        def read() -> None:
            while data := os.read(self._descriptor, READ_BYTES):
                asyncio.run_coroutine_threadsafe(arrived.put(data), loop).result()
            asyncio.run_coroutine_threadsafe(arrived.put(b""), loop).result()

        # A daemon thread of its own: a read that waits for sound must not keep the box from ending.
        threading.Thread(target=_until_closed, args=(read,), name="stdin", daemon=True).start()
        rest = b""
        while data := await arrived.get():
            data = rest + data
            whole = len(data) // 2 * 2
            rest = data[whole:]
            if whole:
                yield data[:whole]


def _until_closed(read: Callable[[], None]) -> None:
    # RuntimeError: the loop is closed, so nobody waits for what was read; CancelledError: it closes just now.
    with contextlib.suppress(RuntimeError, concurrent.futures.CancelledError):
        read()


class MicrophoneSource:
    """The microphone, for ever: when it goes away it is looked for again, and the owner is told both times."""

    def __init__(self, config: Audio, events: Events, retry_s: tuple[float, ...] = RETRY_S) -> None:
        self.state = "opening the microphone"
        self._config = config
        self._events = events
        self._retry_s = retry_s
        self._failures = 0
        self._lost_blocks = 0

    async def feed(self, hearing: Hearing) -> None:
        while True:
            microphone = Microphone(self._config)
            try:
                microphone.open()
                await self._listen(microphone, hearing)
            except AudioError as error:
                self._tell(error)
            finally:
                # Whatever was being said when the sound stopped is decoded all the same.
                hearing.finish("end_of_input")
                closed = await microphone.close()
            await asyncio.sleep(self._retry_s[min(self._failures, len(self._retry_s)) - 1])
            if closed:
                # PortAudio lists devices only when it starts; with a stream still hanging in it, it must not restart.
                await asyncio.to_thread(refresh)

    async def _listen(self, microphone: Microphone, hearing: Hearing) -> None:
        async for block in microphone.blocks():
            if self.state != "listening":
                self.state = "listening"
                name = microphone.device.name if microphone.device else "?"
                if self._failures:
                    self._events.notice(
                        Notice(code="microphone_back", what=f"The microphone {name!r} works.", level="info")
                    )
                self._failures = 0
                self._events.emit("capture", "listening")
            hearing.hear(block)
            if microphone.lost_blocks > self._lost_blocks:
                lost = microphone.lost_blocks - self._lost_blocks
                self._lost_blocks = microphone.lost_blocks
                self._events.emit("capture", "overflow", timings={"lost_ms": lost * self._config.block_ms})
        self._lost_blocks = 0

    def _tell(self, error: AudioError) -> None:
        self.state = f"no microphone: {error.what}"
        if self._failures == 0:
            self._events.notice(Notice(code=error.code, what=error.what, todo=error.todo, level="error"))
            self._events.emit("capture", "lost")
        self._failures += 1


def make_source(wanted: str, config: Audio, events: Events, *, fast: bool = False) -> Source:
    """`mic`, `-` for standard input, or a file's path. Raises `InputError` for a file that cannot be read."""
    factories: dict[str, Callable[[], Source]] = {
        "mic": lambda: MicrophoneSource(config, events),
        "-": StdinSource,
    }
    return factories.get(wanted, lambda: FileSource(Path(wanted), config.block_ms, fast=fast))()
