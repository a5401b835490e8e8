"""PortAudio: the one place that imports its binding, starts it anew, and keeps those who use it from each other.

There is one PortAudio in a process. It lists devices when it starts and never again, so a microphone that was plugged
in later is found only by starting it anew, which no stream may be open for. And any call may hang while a sound server
is frozen: calls are made in threads that nobody has to wait for.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeVar

from agentbox.errors import AudioError

T = TypeVar("T")

_changed = threading.Condition()
_streams = 0
"""Open, or being opened or closed. It counts for the process, as PortAudio does."""


def portaudio() -> ModuleType:
    """The sounddevice module. Raises `AudioError` `portaudio_missing` where its C library is not installed."""
    try:
        import sounddevice
    except OSError as error:
        raise AudioError(
            "portaudio_missing", "The PortAudio library is not installed.", "Run: sudo apt-get install libportaudio2"
        ) from error
    return sounddevice  # type: ignore[no-any-return]


def hold() -> None:
    """Before a stream is opened: PortAudio is not started anew until `let_go`, which follows when it is closed."""
    global _streams
    with _changed:
        _streams += 1


def let_go() -> None:
    """See `hold`."""
    global _streams
    with _changed:
        _streams -= 1
        _changed.notify_all()


def refresh(limit_s: float = 2.0) -> bool:
    """Make PortAudio look again which devices there are. False, and nothing done, where a stream stays open for
    longer than `limit_s`.

    Raises `AudioError` `device_failed` where PortAudio cannot start; the next call tries again.
    """
    sounddevice = portaudio()
    with _changed:
        if not _changed.wait_for(lambda: _streams == 0, limit_s):
            return False
        try:
            with contextlib.suppress(sounddevice.PortAudioError):  # it did not run
                sounddevice._terminate()
            sounddevice._initialize()
        except sounddevice.PortAudioError as error:
            raise AudioError(
                "device_failed", "PortAudio, the sound library, cannot start.", "agentbox doctor tells more."
            ) from error
    return True


def started(
    make: Callable[[int, int], Any], wanted_hz: int, own_hz: int, most_channels: int, otherwise: AudioError
) -> tuple[Any, int, int]:
    """A stream that runs, its rate in Hz and its channels: of those that `make(rate, channels)` gives the first that
    starts, at the wanted rate; where the device cannot do that, at its own, in one channel or two.

    Raises `otherwise`.
    """
    sounddevice = portaudio()
    failure: Exception | None = None
    attempts = [(wanted_hz, 1), (own_hz, 1), (own_hz, min(2, most_channels))]
    for rate_hz, channels in dict.fromkeys(attempts):
        stream = None
        try:
            stream = make(rate_hz, channels)
            stream.start()
        except (sounddevice.PortAudioError, ValueError) as error:
            failure = error
            if stream is not None:
                stream.close(ignore_errors=True)
            continue
        return stream, rate_hz, channels
    raise otherwise from failure


def beside(work: Callable[[], T]) -> asyncio.Future[T]:
    """Run a call that may hang in a thread of its own, which does not keep the program from ending."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if answer.done():
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(result)  # type: ignore[arg-type]  # a T where nothing was raised

    def run() -> None:
        result, failure = None, None
        try:
            result = work()
        except Exception as error:  # it belongs to whoever waits for the answer
            failure = error
        try:
            loop.call_soon_threadsafe(settle, result, failure)
        except RuntimeError:  # the loop is closed: nobody waits any more
            return

    threading.Thread(target=run, name="portaudio", daemon=True).start()
    return answer
