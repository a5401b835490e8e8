"""The speaker: one thread that plays short sounds in the order they come."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable

from agentbox.audio.devices import find_device
from agentbox.audio.driver import hold, let_go, portaudio
from agentbox.audio.segment import Samples
from agentbox.audio.sounds import RATE_HZ, sound
from agentbox.errors import AudioError
from agentbox.messages import Notice, SoundName

QUEUE_LENGTH = 8
"""Sounds that wait. More than that is a stuck device; a sound minutes late would only confuse."""


class Speaker:
    """`play(name)` returns at once. The device is open only while it sounds, so silence costs nothing.

    A device that cannot be opened is reported through `on_notice` once, and once more when it works again.
    """

    def __init__(self, device: str | int, on_notice: Callable[[Notice], None]) -> None:
        self._device = device
        self._on_notice = on_notice
        self._queue: queue.Queue[SoundName | None] = queue.Queue(QUEUE_LENGTH)
        self._failed = False
        self._thread = threading.Thread(target=self._run, name="speaker", daemon=True)
        self._thread.start()

    def play(self, name: SoundName) -> bool:
        """Queue a sound. False when too many wait and this one was left out."""
        try:
            self._queue.put_nowait(name)
        except queue.Full:
            return False
        return True

    def close(self) -> None:
        """Play what waits, then end; a device that hangs is left to its thread."""
        if self.play_end():
            self._thread.join(timeout=1.0)

    def play_end(self) -> bool:
        try:
            self._queue.put_nowait(None)
        except queue.Full:
            return False
        return True

    def _run(self) -> None:
        while (name := self._queue.get()) is not None:
            try:
                play(self._device, RATE_HZ, [sound(name)])
            except AudioError as error:
                if not self._failed:
                    self._on_notice(Notice(code=error.code, what=error.what, todo=error.todo))
                self._failed = True
            else:
                if self._failed:
                    self._on_notice(Notice(code="speaker_back", what="The speaker works again.", level="info"))
                self._failed = False


def play(wanted: str | int, rate_hz: int, sounds: Iterable[Samples]) -> None:
    """Play mono sounds, one after the other, on the device that `wanted` means, and wait until they are over.

    Raises `AudioError` as `find_device` does, and `device_failed`.
    """
    sounddevice = portaudio()
    hold()
    try:
        device = find_device(wanted, "output")
        with sounddevice.RawOutputStream(
            device=device.index, samplerate=rate_hz, channels=1, dtype="int16", latency="low"
        ) as stream:
            for samples in sounds:
                stream.write(samples.tobytes())
    except sounddevice.PortAudioError as error:
        raise AudioError(
            "device_failed", f"The speaker {device.name!r} cannot be opened.", "agentbox doctor tells more."
        ) from error
    finally:
        let_go()
