"""The microphone: a PortAudio callback fills a bounded queue, an asyncio task empties it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np

from agentbox.audio.devices import Device, find_device
from agentbox.audio.driver import beside, hold, let_go, portaudio, started
from agentbox.audio.files import Converter
from agentbox.audio.segment import Samples
from agentbox.config import Audio
from agentbox.errors import AudioError
from agentbox.messages import SAMPLE_RATE_HZ

LOST_AFTER_S = 1.5
"""A stream whose callback has been silent for this long is dead. PortAudio itself mostly does not say so: when a device
goes away the callback just stops, `active` stays true and no flag is set. (On a busy machine blocks come up to 0.25 s
late.)"""

FIRST_AFTER_S = 3.0
"""The same before the first block: a cold PulseAudio source may take 2 s."""

CLOSE_LIMIT_S = 2.0

MOST_LATE_S = 2.0
"""A block that claims to be older has a clock that is not to be believed."""


class Microphone:
    """One opened microphone. `async for block in microphone.blocks()` gives 16 kHz mono int16 until it is closed.

    Raises `AudioError` from `open`: `no_device`, `device_missing`, `device_ambiguous`, `device_failed`,
    `portaudio_missing`; from `blocks`: `device_lost`.
    """

    def __init__(self, config: Audio) -> None:
        self._config = config
        self._limit = max(2, int(config.queue_s * 1000 / config.block_ms))
        self._queue: deque[tuple[bytes, float]] = deque()
        self._ready = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._stream: Any = None
        self._closed = False
        self._ended = False
        """PortAudio says that no more sound comes (when a sound server dies)."""
        self._heard_at = time.monotonic()
        self._silence_s = FIRST_AFTER_S
        self.device: Device | None = None
        self.captured_s = 0.0
        """When the last sample of the block that was given last was heard (monotonic clock)."""
        self.lost_blocks = 0
        """Blocks dropped because nobody took them in time; the daemon reports when it grows."""

    def open(self) -> None:
        """Open the device at 16 kHz mono; where it cannot do that, at its own rate, to be converted.

        May hang while a sound server is frozen: in a daemon it is called beside the loop.
        """
        sounddevice = portaudio()
        hold()
        try:
            self._open(sounddevice)
        finally:
            if self._stream is None:
                let_go()

    def _open(self, sounddevice: ModuleType) -> None:
        self.device = device = find_device(self._config.input_device, "input")

        def make(rate_hz: int, channels: int) -> Any:
            return sounddevice.RawInputStream(
                device=device.index,
                samplerate=rate_hz,
                channels=channels,
                dtype="int16",
                blocksize=rate_hz * self._config.block_ms // 1000,
                latency="high",
                callback=partial(self._callback, rate_hz),
                finished_callback=self._finished,
            )

        failed = AudioError(
            "device_failed",
            f"The microphone {device.name!r} cannot be opened.",
            "Another program may hold it; agentbox doctor tells more.",
        )
        stream, rate_hz, channels = started(make, SAMPLE_RATE_HZ, device.default_rate_hz, device.inputs, failed)
        self._stream, self._channels = stream, channels
        self._converter = Converter(rate_hz, channels)
        self._direct = (rate_hz, channels) == (SAMPLE_RATE_HZ, 1)
        self._heard_at = time.monotonic()

    def _callback(self, rate_hz: int, data: Any, frames: int, times: Any, _status: Any) -> None:
        # PortAudio's own thread: copy, queue, wake the loop, nothing else.
        self._heard_at = time.monotonic()
        late_s = times.currentTime - times.inputBufferAdcTime - frames / rate_hz
        if not 0.0 <= late_s <= MOST_LATE_S:
            # Some drivers leave one of the two out.
            late_s = 0.0
        self._silence_s = LOST_AFTER_S
        if len(self._queue) >= self._limit:
            self.lost_blocks += 1
            return
        self._queue.append((bytes(data), self._heard_at - late_s))
        self._wake()

    def _finished(self) -> None:
        self._ended = True
        self._wake()

    def _wake(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._ready.set)
        except RuntimeError:
            # The loop is closed: the daemon is going down and this is one of the last callbacks.
            return

    async def blocks(self) -> AsyncIterator[Samples]:
        while not self._closed:
            while self._queue:
                data, self.captured_s = self._queue.popleft()
                yield self._convert(data)
            self._ready.clear()
            if self._queue:
                continue
            self._check_alive()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._silence_s):
                    await self._ready.wait()

    def _check_alive(self) -> None:
        silent_s = time.monotonic() - self._heard_at
        if (self._ended or silent_s >= self._silence_s) and not self._closed:
            name = self.device.name if self.device else "?"
            raise AudioError("device_lost", f"The microphone {name!r} stopped delivering sound.", "Is it plugged in?")

    def _convert(self, data: bytes) -> Samples:
        samples = np.frombuffer(data, dtype=np.int16)
        if self._direct:
            return samples
        return self._converter.convert(samples.reshape(-1, self._channels).astype(np.float32) / 32768.0)

    def stop(self) -> None:
        """No more blocks are given; `close` follows."""
        self._closed = True
        self._ready.set()

    async def close(self) -> bool:
        """Let go of the device. False when the driver hung: the stream is then left to a thread that waits for it.

        `abort`, never `stop`: `stop` waits for ever on a device that is gone, and even `abort` can hang while the
        sound server is frozen, so it runs beside the loop with a time limit.
        """
        self.stop()
        stream, self._stream = self._stream, None
        if stream is None:
            return True

        def abort() -> None:
            try:
                stream.abort(ignore_errors=True)
                stream.close(ignore_errors=True)
            finally:
                let_go()

        closed, _ = await asyncio.wait([beside(abort)], timeout=CLOSE_LIMIT_S)
        return bool(closed)
