"""The speaker: a device that is open while something sounds, asks the mixer for it, and is found again when it goes.

PortAudio calls from a thread of its own for the next block. Another thread opens the device when there is something to
play, watches that blocks are asked for, and closes it when nothing is left: silence costs nothing.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import soxr

from agentbox.audio.devices import Device, find_device
from agentbox.audio.driver import hold, let_go, portaudio, refresh, started
from agentbox.audio.mixer import RATE_HZ, Lane, Mixer, Track
from agentbox.audio.segment import Samples
from agentbox.audio.sounds import RATE_HZ as SOUND_RATE_HZ
from agentbox.audio.sounds import sound
from agentbox.errors import AudioError
from agentbox.messages import Notice, SoundName

MOST_WAITING = 8
"""Tracks in a lane. More than that is a stuck device; a sound minutes late would only confuse."""

LINGER_S = 0.5
"""The device stays open so long after the last sound: the next sentence, or the next sound, often follows."""

LOST_AFTER_S = 1.5
"""A device that has asked for nothing for so long is dead (see `capture.LOST_AFTER_S`); PortAudio does not say so."""

RETRY_S = 1.0
STALE_S = 10.0
"""What could not be played for so long is dropped: nobody expects it any more."""

CLOSE_LIMIT_S = 2.0
_LOOK_S = 0.1
_MOST_DELAY_S = 2.0
_REMEMBERED_S = 3.0


class _Block(NamedTuple):
    """A block that was given to the device."""

    heard_s: float
    """When its last sample leaves the speaker (monotonic clock)."""
    played: dict[Track, int]
    """Frames of each track up to its end."""


class Output:
    """`open` gives a track of `mixer` to put sound into; `play` plays a short sound.

    A device that cannot be opened, or goes away, is reported through `on_notice` once, and once more when it works
    again. `on_block(block, heard_s)` is given all that is played, 24 kHz mono int16, and when it is heard: what the
    microphone hears of the box itself.
    """

    def __init__(
        self,
        device: str | int,
        on_notice: Callable[[Notice], None],
        *,
        on_end: Callable[[Track], None] | None = None,
        on_block: Callable[[Samples, float], None] | None = None,
    ) -> None:
        self.mixer = Mixer(on_end)
        self._wanted = device
        self._on_notice = on_notice
        self._on_block = on_block
        self._changed = threading.Condition()
        self._closing = False
        self._failed = False
        self._asked_s = 0.0
        """When the device last asked for a block."""
        self._ended = False
        """PortAudio says that it asks for no more."""
        self._blocks: deque[_Block] = deque()
        self._thread = threading.Thread(target=self._run, name="speaker", daemon=True)
        self._thread.start()

    def play(self, name: SoundName, lane: Lane = "sound") -> bool:
        """Queue a short sound. False when too many wait and this one was left out."""
        if len(self.mixer.tracks(lane)) >= MOST_WAITING:
            return False
        self.open(lane).add(sound(name), SOUND_RATE_HZ, last=True)
        return True

    def open(self, lane: Lane) -> Track:
        """A new track, behind those that its lane has already; the device is opened for it."""
        track = self.mixer.open(lane, time.monotonic())
        with self._changed:
            self._changed.notify()
        return track

    def heard_ms(self, track: Track) -> float:
        """How much of a track has left the speaker by now; what is still on its way there is not counted."""
        now_s = time.monotonic()
        heard = 0.0
        before: _Block | None = None
        for block in list(self._blocks):
            if track not in block.played:
                continue
            first = before.played.get(track, 0) if before is not None else 0
            frames = block.played[track] - first
            late = min(max((block.heard_s - now_s) * RATE_HZ, 0.0), frames)
            heard = block.played[track] - late
            if late:
                break
            before = block
        return heard * 1000 / RATE_HZ

    def close(self) -> None:
        """Play what waits, then end; a device that hangs is left to its thread."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(timeout=1.0)

    # From here on: the speaker's thread.

    def _run(self) -> None:
        while self._something():
            began_s = time.monotonic()
            try:
                self._sound(portaudio())
            except AudioError as error:
                if not self._failed:
                    self._on_notice(Notice(code=error.code, what=error.what, todo=error.todo))
                self._failed = True
                self._wait_to_retry(began_s)

    def _something(self) -> bool:
        """Wait for something to play; false when there is nothing and the end has come."""
        with self._changed:
            self._changed.wait_for(lambda: self._closing or self.mixer.busy)
            return self.mixer.busy and not (self._closing and self._failed)

    def _wait_to_retry(self, failed_s: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._closing, RETRY_S)
        with contextlib.suppress(AudioError):
            # A speaker that was plugged in is found only by this, and where the microphone is open not even so.
            refresh(0.0)
        for lane in ("sound", "speech", "alert"):
            for track in self.mixer.tracks(lane):
                if failed_s - track.opened_s > STALE_S:
                    track.stop()
        # What was stopped leaves the mixer when it is asked for the next block.
        self.mixer.mix(0)

    def _sound(self, sounddevice: ModuleType) -> None:
        hold()
        stream: Any = None
        try:
            device = find_device(self._wanted, "output")
            stream = self._opened(sounddevice, device)
            if self._failed:
                self._on_notice(Notice(code="speaker_back", what="The speaker works again.", level="info"))
            self._failed = False
            self._watch(device)
        finally:
            self._let_go_of(stream)

    def _opened(self, sounddevice: ModuleType, device: Device) -> Any:
        def make(rate_hz: int, channels: int) -> Any:
            self._ended, self._asked_s = False, time.monotonic()
            return sounddevice.RawOutputStream(
                device=device.index,
                samplerate=rate_hz,
                channels=channels,
                dtype="int16",
                latency="low",
                callback=self._callback(rate_hz, channels),
                finished_callback=self._finished,
            )

        failed = AudioError(
            "device_failed", f"The speaker {device.name!r} cannot be opened.", "agentbox doctor tells more."
        )
        return started(make, RATE_HZ, device.default_rate_hz, device.outputs, failed)[0]

    def _watch(self, device: Device) -> None:
        """Until nothing has sounded for a while."""
        busy_s = time.monotonic()
        while True:
            now_s = time.monotonic()
            if self.mixer.busy:
                busy_s = now_s
            elif now_s - busy_s > (0.0 if self._closing else LINGER_S) and not self._on_its_way(now_s):
                return
            if self._ended or now_s - self._asked_s > LOST_AFTER_S:
                raise AudioError(
                    "speaker_lost", f"The speaker {device.name!r} takes no more sound.", "Is it plugged in?"
                )
            time.sleep(_LOOK_S)

    def _on_its_way(self, now_s: float) -> bool:
        return any(block.played and block.heard_s > now_s for block in list(self._blocks))

    def _let_go_of(self, stream: Any) -> None:
        """`abort`, never `stop`, which waits for ever on a device that is gone; and beside this thread, since even
        `abort` may hang."""

        def abort() -> None:
            try:
                if stream is not None:
                    stream.abort(ignore_errors=True)
                    stream.close(ignore_errors=True)
            finally:
                let_go()

        closing = threading.Thread(target=abort, name="speaker-close", daemon=True)
        closing.start()
        closing.join(CLOSE_LIMIT_S)

    def _finished(self) -> None:
        self._ended = True

    # From here on: PortAudio's own thread.

    def _callback(self, rate_hz: int, channels: int) -> Callable[[Any, int, Any, Any], None]:
        resampler = None
        if rate_hz != RATE_HZ:
            resampler = soxr.ResampleStream(RATE_HZ, rate_hz, 1, dtype="int16", quality="HQ")
        left: Samples = np.zeros(0, dtype=np.int16)

        def fill(out: Any, frames: int, times: Any, _status: Any) -> None:
            nonlocal left
            now_s = time.monotonic()
            self._asked_s = now_s
            delay_s = times.outputBufferDacTime - times.currentTime
            if not 0.0 <= delay_s <= _MOST_DELAY_S:
                # Some drivers leave one of the two out.
                delay_s = 0.0
            while left.size < frames:
                block = self.mixer.mix(-(-(frames - left.size) * RATE_HZ // rate_hz))
                self._note(block, now_s + delay_s + (left.size / rate_hz) + block.size / RATE_HZ)
                left = np.concatenate([left, block if resampler is None else resampler.resample_chunk(block)])
            out[:] = np.repeat(left[:frames], channels).tobytes()
            left = left[frames:]

        return fill

    def _note(self, block: Samples, heard_s: float) -> None:
        with contextlib.suppress(IndexError):
            while self._blocks[0].heard_s < heard_s - _REMEMBERED_S:
                self._blocks.popleft()
        self._blocks.append(_Block(heard_s, self.mixer.played))
        if self._on_block is not None:
            self._on_block(block, heard_s)
