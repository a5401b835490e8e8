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
from agentbox.audio.driver import beside, refresh
from agentbox.audio.echo import Echo, Way
from agentbox.audio.files import duration_s, read_file
from agentbox.config import Audio
from agentbox.daemon.events import Events
from agentbox.daemon.hearing import Hearing
from agentbox.daemon.mute import Mute
from agentbox.errors import AudioError
from agentbox.messages import SAMPLE_RATE_HZ, Notice
from agentbox.service import is_supervised

RETRY_S = (0.5, *([1.0] * 4), *([2.0] * 300), 5.0)
"""Waits between attempts to get the microphone back; the last one repeats. A box that nobody gave a microphone for ten
minutes looks less often, and at once when some hardware comes."""

LOOK_S = 0.5

HANGS_S = 4.0
"""A call to PortAudio that takes longer hangs. Opening a device takes up to half a second."""

LAST_RESORT_S = 20.0
"""How long a hanging sound system is waited for where the box can be started anew."""

SEEN_TO_S = 15.0
"""So long after the last block of sound, or the last attempt to get the microphone back, nobody sees to it any more."""

READ_BYTES = 2 * SAMPLE_RATE_HZ // 10
"""Standard input is read in tenths of a second."""


class Source(Protocol):
    """Feeds a `Hearing` until the sound ends."""

    @property
    def state(self) -> str:
        """In words, what it is doing."""
        ...

    @property
    def device(self) -> str | None:
        """The microphone's name, while it is heard."""
        ...

    def seen_to(self) -> bool:
        """Whether sound comes, or somebody sees to it that it will."""
        ...

    async def feed(self, hearing: Hearing) -> None: ...


class FileSource:
    """A sound file, in real time or (`fast`) as quickly as it can be heard. What of it comes while the box is muted is
    not heard."""

    def __init__(self, path: Path, block_ms: int, *, mute: Mute, fast: bool = False) -> None:
        self._mute = mute
        self.device = None
        self._path = path
        self._block_ms = block_ms
        self._fast = fast
        duration_s(path)  # raises now, and not after the box has started, where the file cannot be read

    @property
    def state(self) -> str:
        return self._mute.state if self._mute.muted else "playing a file"

    def seen_to(self) -> bool:
        return True

    async def feed(self, hearing: Hearing) -> None:
        _obey(self._mute, hearing)
        began, played = time.monotonic(), 0
        for block in read_file(self._path, self._block_ms):
            played += block.size
            if self._fast:
                await asyncio.sleep(0)
            else:
                await asyncio.sleep(began + played / SAMPLE_RATE_HZ - time.monotonic())
            if not self._mute.muted:
                hearing.hear(block)
            if self._fast:
                await hearing.settled()
        hearing.finish()


class StdinSource:
    """Raw 16 kHz mono s16le on a file descriptor, at whatever pace it comes. What comes while the box is muted is
    thrown away."""

    def __init__(self, mute: Mute, descriptor: int = 0) -> None:
        self._mute = mute
        self.device = None
        self._descriptor = descriptor

    @property
    def state(self) -> str:
        return self._mute.state if self._mute.muted else "listening to standard input"

    def seen_to(self) -> bool:
        return True

    async def feed(self, hearing: Hearing) -> None:
        _obey(self._mute, hearing)
        async for data in self._chunks():
            if not self._mute.muted:
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


def _obey(mute: Mute, hearing: Hearing) -> None:
    """For what is no device, and cannot be closed: what comes of it is not heard while the box is muted."""

    def obey(muted: bool) -> None:
        if muted:
            hearing.forget()
            mute.silent()

    mute.obeyed_by(obey)


def _until_closed(read: Callable[[], None]) -> None:
    # RuntimeError: the loop is closed, so nobody waits for what was read; CancelledError: it closes just now.
    with contextlib.suppress(RuntimeError, concurrent.futures.CancelledError):
        read()


class MicrophoneSource:
    """The microphone, for ever: when it goes away it is looked for again, and the owner is told both times. While they
    have muted the box it is closed.

    `last_resort`: somebody starts the box anew when it ends, so that it may end where the sound system hangs for good.
    """

    def __init__(
        self,
        config: Audio,
        events: Events,
        *,
        mute: Mute,
        echo: Echo | None = None,
        retry_s: tuple[float, ...] = RETRY_S,
        last_resort: bool = False,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._events = events
        self._mute = mute
        self._echo = echo
        self._retry_s = retry_s
        self._last_resort = last_resort
        self._monotonic = monotonic
        self._failures = 0
        self._lost_blocks = 0
        self._words = "opening the microphone"
        self.device: str | None = None
        self._microphone: Microphone | None = None
        """While it is open, or being opened or closed."""
        self._stopped = False
        """It was closed on purpose, and not lost."""
        self._missing_since: float | None = None
        self._seen_to_s = monotonic()

    @property
    def state(self) -> str:
        if self._mute.muted:
            return self._mute.state
        if self._missing_since is None:
            return self._words
        return f"{self._words} ({self._monotonic() - self._missing_since:.0f} s ago; looking for it)"

    def seen_to(self) -> bool:
        return self._mute.muted or self._monotonic() - self._seen_to_s < SEEN_TO_S

    async def feed(self, hearing: Hearing) -> None:
        self._mute.obeyed_by(self._obey)
        closed = False
        while True:
            await self._mute.over()
            self._seen_to_s = self._monotonic()
            self._microphone = microphone = Microphone(self._config)
            try:
                if closed:
                    # PortAudio lists devices only when it starts; with a stream hanging in it, it must not restart.
                    await self._answered(refresh)
                await self._answered(microphone.open)
                await self._listen(microphone, hearing)
            except AudioError as error:
                if error.code == "sound_hangs":
                    raise
                self._tell(error)
            finally:
                if self._mute.muted:
                    hearing.forget()
                else:
                    # Whatever was being said when the sound stopped is decoded all the same.
                    hearing.finish("end_of_input")
                closed = await microphone.close()
                self._microphone = None
            if not self._stopped:
                await self._wait()
                continue
            self._stopped = False
            self._words, self.device = "opening the microphone", None
            self._mute.silent()

    def use(self, config: Audio) -> None:
        """Listen to the microphone of another configuration."""
        if config.input_device != self._config.input_device:
            self._config, self._failures = config, 0
            self._close()

    def _obey(self, muted: bool) -> None:
        self._seen_to_s = self._monotonic()
        if not self._close() and muted:
            self._mute.silent()

    def _close(self) -> bool:
        """Have the microphone closed, on purpose; false where none is open."""
        if self._microphone is None:
            return False
        self._stopped = True
        self._microphone.stop()
        return True

    async def _answered(self, call: Callable[[], object]) -> None:
        """Wait for a call to PortAudio. While a sound server is frozen it hangs; nothing can be done then but to wait,
        or to begin with a new process. Raises `AudioError` `sound_hangs`, and what `call` raises."""
        answer = beside(call)
        if not (await asyncio.wait([answer], timeout=HANGS_S))[0]:
            error = AudioError(
                "sound_hangs", "The sound system does not answer.", "Restart PulseAudio or PipeWire, or this machine."
            )
            self._tell(error)
            if not (await asyncio.wait([answer], timeout=LAST_RESORT_S if self._last_resort else None))[0]:
                raise error
        await answer

    async def _wait(self) -> None:
        """Until the next attempt is due, or what sound hardware and servers there are has changed."""
        waited_s, before = 0.0, sound_system()
        wait_s = self._retry_s[min(self._failures, len(self._retry_s)) - 1]
        while not self._mute.muted and waited_s < wait_s and sound_system() == before:
            await asyncio.sleep(LOOK_S)
            waited_s += LOOK_S

    async def _listen(self, microphone: Microphone, hearing: Hearing) -> None:
        heard = False
        async for block in microphone.blocks():
            if self._mute.muted:
                return
            self._seen_to_s = self._monotonic()
            if not heard:
                heard = True
                self._found(microphone.device.name if microphone.device else "?")
            if self._echo is None:
                hearing.hear(block)
            else:
                hearing.hear(*self._echo.cleaned(block, microphone.captured_s))
            if microphone.lost_blocks > self._lost_blocks:
                lost = microphone.lost_blocks - self._lost_blocks
                self._lost_blocks = microphone.lost_blocks
                self._events.emit("capture", "overflow", timings={"lost_ms": lost * self._config.block_ms})

    def _found(self, name: str) -> None:
        gone_s = 0.0 if self._missing_since is None else self._monotonic() - self._missing_since
        self._words, self._missing_since, self.device = "listening", None, name
        if self._failures:
            self._events.notice(Notice(code="microphone_back", what=f"The microphone {name!r} works.", level="info"))
        self._failures = self._lost_blocks = 0
        self._events.emit("capture", "listening", timings={"gone_s": gone_s} if gone_s else None)

    def _tell(self, error: AudioError) -> None:
        self._words, self.device = f"no microphone: {error.what}", None
        if self._failures == 0:
            self._missing_since = self._monotonic()
            self._events.notice(Notice(code=error.code, what=error.what, todo=error.todo, level="error"))
            self._events.emit("capture", "lost")
        self._failures += 1


def sound_system() -> tuple[object, ...]:
    """What tells that sound hardware or a sound server came or went, at the price of a few calls to the kernel."""
    folder = Path(os.environ.get("XDG_RUNTIME_DIR", "/run"))
    server = os.environ.get("PULSE_SERVER", "").removeprefix("unix:")
    files = (Path(server), folder / "pulse" / "native", folder / "pipewire-0", Path("/dev/snd"))
    found: list[object] = []
    for file in files:
        try:
            status = file.stat()
        except OSError:
            found.append(None)
        else:
            found.append((status.st_ino, status.st_mtime_ns))
    return tuple(found)


def make_echo(wanted: str, config: Audio) -> Echo | None:
    """What keeps the box from hearing itself; null where it cannot: in a file, or where the owner says so."""
    if wanted != "mic" or config.echo == "none":
        return None
    return Echo() if config.echo == "auto" else Echo(lambda: None)


def echo_way(echo: Echo | None) -> Way:
    """In one word, for status and doctor."""
    if echo is None:
        return "none"
    return "cancelled" if echo.cancels else "half_duplex"


def make_source(
    wanted: str, config: Audio, events: Events, *, mute: Mute, echo: Echo | None = None, fast: bool = False
) -> Source:
    """`mic`, `-` for standard input, or a file's path. Raises `InputError` for a file that cannot be read.

    `mute`: whether it is heard at all. `echo`: takes the box's own sound out of the microphone's; in a file there is
    none."""
    factories: dict[str, Callable[[], Source]] = {
        "mic": lambda: MicrophoneSource(config, events, mute=mute, echo=echo, last_resort=is_supervised()),
        "-": lambda: StdinSource(mute),
    }
    return factories.get(wanted, lambda: FileSource(Path(wanted), config.block_ms, mute=mute, fast=fast))()
