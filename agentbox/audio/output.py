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
from agentbox.audio.mixer import LANES, RATE_HZ, Lane, Mixer, Track
from agentbox.audio.segment import Samples
from agentbox.audio.sounds import RATE_HZ as SOUND_RATE_HZ
from agentbox.audio.sounds import sound
from agentbox.errors import AudioError
from agentbox.messages import Notice, SoundName

MOST_WAITING = 8
"""Tracks in a lane. More than that is a stuck device; a sound minutes late would only confuse."""

LINGER_S = 0.5
"""The device stays open so long after the last sound: the next sentence, or the next sound, often follows."""

LATENCY_S = 0.06
"""How much sound the device is given beforehand. The least it can do ("low", some 9 ms) leaves gaps on a busy machine,
and each gap is a click, and a jump for the echo canceller; what is said is heard so much later, and stops so much
later."""

BLOCK_S = 0.027
"""How much PortAudio asks for at a time, and with how much it begins to play: ALSA starts after one block. Where
another program plays or records in blocks longer than that, a sound server takes them at once, runs dry, and the ALSA
plug-in throws away what waits and begins anew, maybe many times: the first words are lost. Others mostly have 20 to
25 ms (docs/benchmarks.md, "The voice"); left to itself, PortAudio takes a quarter of `LATENCY_S`."""

LOST_AFTER_S = 1.5
"""A device that has asked for nothing for so long is dead (see `capture.LOST_AFTER_S`); PortAudio does not say so."""

RETRY_S = 1.0
STALE_S = 10.0
"""What could not be played for so long is dropped: nobody expects it any more."""

LAST_S = 1.0
"""How long what waits may still be played when the box ends."""

CLOSE_LIMIT_S = 2.0
_LOOK_S = 0.1
_MOST_DELAY_S = 2.0


class _Block(NamedTuple):
    """A block that was given to the device."""

    heard_s: float
    """When its last sample leaves the speaker (monotonic clock)."""
    played: dict[Track, int]
    """Frames of each track in it."""


class Output:
    """`open` gives a track of `mixer` to put sound into; `play` plays a short sound.

    A device that cannot be opened, or goes away, is reported through `on_notice` once, and once more when it plays
    again. `on_block(block, heard_s, speech)` is given all that is played, 24 kHz mono int16, when it is heard, and
    whether there are words in it: what the microphone hears of the box itself. None of the three may raise; `on_end`
    and `on_block` are called by PortAudio.
    """

    def __init__(
        self,
        device: str | int,
        on_notice: Callable[[Notice], None],
        *,
        on_end: Callable[[Track], None] | None = None,
        on_block: Callable[[Samples, float, bool], None] | None = None,
    ) -> None:
        self.mixer = Mixer(on_end, self._wake)
        self._wanted = device
        self._on_notice = on_notice
        self._on_block = on_block
        self._changed = threading.Condition()
        self._closing = False
        self._failed_s: float | None = None
        """Since when the device cannot be played to; null: it can."""
        self._blocks: deque[_Block] = deque()
        self.underruns = 0
        """How often the device ran dry amidst sound. What it lost then (a fraction of a second, on a machine that is
        too busy) counts as heard all the same: nobody tells how much it was."""
        self._thread = threading.Thread(target=self._run, name="speaker", daemon=True)
        self._thread.start()

    def use(self, device: str | int) -> None:
        """Play to another device, from the next time on that one is opened."""
        self._wanted = device

    def play(self, name: SoundName, lane: Lane = "sound", volume: float = 1.0) -> bool:
        """Queue a short sound. False when too many wait and this one was left out."""
        if len(self.mixer.tracks(lane)) >= MOST_WAITING:
            return False
        self.open(lane, volume).add(sound(name), SOUND_RATE_HZ, last=True)
        return True

    def open(self, lane: Lane, volume: float = 1.0) -> Track:
        """A new track, behind those that its lane has already; the device is opened once there is sound in it. After
        `close`: one that is over. `volume`: its amplitude, of 1."""
        track = self.mixer.open(lane, time.monotonic(), volume)
        if self._closing:
            track.stop()
        return track

    def heard_ms(self, track: Track) -> float:
        """How much of a track has left the speaker by now; what is still on its way there is not counted."""
        now_s = time.monotonic()
        late = 0.0
        for block in list(self._blocks):
            late += min(max((block.heard_s - now_s) * RATE_HZ, 0.0), block.played.get(track, 0))
        return max(track.played_frames - late, 0.0) * 1000 / RATE_HZ

    def close(self) -> None:
        """Play what waits and is whole, for `LAST_S` at most, then end; a device that hangs is left to its thread."""
        with self._changed:
            self._closing = True
        for track in self._tracks():
            if not track.ready:
                track.stop()
        self._wake()
        self._thread.join(LAST_S)
        for track in self._tracks():
            track.stop()
        self._thread.join(_LOOK_S * 3)

    def _tracks(self) -> list[Track]:
        return [track for lane in LANES for track in self.mixer.tracks(lane)]

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify()

    # From here on: the speaker's thread.

    def _run(self) -> None:
        while self._something():
            try:
                self._sound(portaudio())
            except AudioError as error:
                if self._failed_s is None:
                    self._failed_s = time.monotonic()
                    self._on_notice(Notice(code=error.code, what=error.what, todo=error.todo))
                self._wait_to_retry()
        for track in self._tracks():
            track.stop()
        # What was stopped leaves the mixer when it is asked for the next block.
        self.mixer.mix(0)

    def _something(self) -> bool:
        """Wait for something to play; false when the end has come."""
        with self._changed:
            self._changed.wait_for(lambda: self._closing or self.mixer.ready)
        return self.mixer.ready and not (self._closing and self._failed_s is not None)

    def _wait_to_retry(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._closing, RETRY_S)
        with contextlib.suppress(AudioError):
            # A speaker that was plugged in is found only by this, and where the microphone is open not even so.
            refresh(0.0)
        failed_s = self._failed_s
        assert failed_s is not None
        for track in self._tracks():
            if time.monotonic() - max(track.opened_s, failed_s) > STALE_S:
                track.stop()
        self.mixer.mix(0)

    def _sound(self, sounddevice: ModuleType) -> None:
        hold()
        opened: Any = None
        stream: _Stream | None = None
        try:
            device = find_device(self._wanted, "output")
            opened, stream = self._opened(sounddevice, device)
            self._watch(stream, device)
        finally:
            if stream is not None:
                stream.give_up()
            self._blocks.clear()
            self._let_go_of(opened)

    def _opened(self, sounddevice: ModuleType, device: Device) -> tuple[Any, _Stream]:
        streams: list[_Stream] = []

        def make(rate_hz: int, channels: int) -> Any:
            streams.append(stream := _Stream(self.mixer, self._note, self._dry, rate_hz, channels))
            return sounddevice.RawOutputStream(
                device=device.index,
                samplerate=rate_hz,
                channels=channels,
                dtype="int16",
                blocksize=round(BLOCK_S * rate_hz),
                latency=LATENCY_S,
                callback=stream.fill,
                finished_callback=stream.finished,
            )

        failed = AudioError(
            "device_failed", f"The speaker {device.name!r} cannot be opened.", "agentbox doctor tells more."
        )
        opened = started(make, RATE_HZ, device.default_rate_hz, device.outputs, failed)[0]
        return opened, streams[-1]

    def _watch(self, stream: _Stream, device: Device) -> None:
        """Until nothing has sounded for a while."""
        ready_s = opened_s = time.monotonic()
        while True:
            now_s = time.monotonic()
            if stream.asked_s is not None and self._failed_s is not None:
                self._failed_s = None
                self._on_notice(Notice(code="speaker_back", what="The speaker works again.", level="info"))
            if self.mixer.ready or self._on_its_way(now_s):
                ready_s = now_s
            elif now_s - ready_s > (0.0 if self._closing else LINGER_S):
                stream.give_up()
                # What came in this very moment waits in the mixer, or is on its way.
                if not self._on_its_way(now_s):
                    return
                stream.go_on()
            if stream.ended or now_s - (stream.asked_s or opened_s) > LOST_AFTER_S:
                what = f"The speaker {device.name!r} takes no more sound."
                raise AudioError("speaker_lost", what, "Is it plugged in?")
            time.sleep(_LOOK_S)

    def _on_its_way(self, now_s: float) -> bool:
        return any(block.played and block.heard_s > now_s for block in list(self._blocks))

    def _let_go_of(self, opened: Any) -> None:
        """`abort`, never `stop`, which waits for ever on a device that is gone; and beside this thread, since even
        `abort` may hang."""

        def abort() -> None:
            try:
                if opened is not None:
                    opened.abort(ignore_errors=True)
                    opened.close(ignore_errors=True)
            finally:
                let_go()

        closing = threading.Thread(target=abort, name="speaker-close", daemon=True)
        closing.start()
        closing.join(CLOSE_LIMIT_S)

    # From here on: PortAudio's own thread.

    def _dry(self) -> None:
        if self._blocks and self._blocks[-1].played:
            self.underruns += 1

    def _note(self, block: Samples, heard_s: float) -> None:
        now_s = time.monotonic()
        while self._blocks and self._blocks[0].heard_s < now_s:
            self._blocks.popleft()
        self._blocks.append(_Block(heard_s, self.mixer.played))
        if self._on_block is not None:
            self._on_block(block, heard_s, any(track.lane == "speech" for track in self.mixer.played))


class _Stream:
    """One opened device, as PortAudio's thread sees it. One that was given up plays silence and touches nothing."""

    def __init__(
        self,
        mixer: Mixer,
        note: Callable[[Samples, float], None],
        dry: Callable[[], None],
        rate_hz: int,
        channels: int,
    ) -> None:
        self.asked_s: float | None = None
        """When the device last asked for a block."""
        self.ended = False
        """PortAudio says that it asks for no more."""
        self._mixer = mixer
        self._note = note
        self._dry = dry
        self._rate_hz = rate_hz
        self._channels = channels
        self._lock = threading.Lock()
        self._given_up = False
        self._resampler = None
        if rate_hz != RATE_HZ:
            self._resampler = soxr.ResampleStream(RATE_HZ, rate_hz, 1, dtype="int16", quality="HQ")
        self._left: Samples = np.zeros(0, dtype=np.int16)
        """At the device's rate: mixed, and not asked for yet."""
        self._taken = 0
        """Frames from the mixer."""
        self._given = 0
        """Frames to the device."""

    def give_up(self) -> None:
        """From here on nothing is taken from the mixer."""
        with self._lock:
            self._given_up = True

    def go_on(self) -> None:
        with self._lock:
            self._given_up = False

    def finished(self) -> None:
        self.ended = True

    def fill(self, out: Any, frames: int, times: Any, status: Any) -> None:
        if status is not None and status.output_underflow:
            self._dry()
        now_s = self.asked_s = time.monotonic()
        delay_s = times.outputBufferDacTime - times.currentTime
        if not 0.0 <= delay_s <= _MOST_DELAY_S:
            # Some drivers leave one of the two out.
            delay_s = 0.0
        with self._lock:
            while self._left.size < frames and not self._given_up:
                block = self._mixer.mix(-(-(frames - self._left.size) * RATE_HZ // self._rate_hz))
                self._taken += block.size
                # With what the resampler holds back.
                ahead_s = self._taken / RATE_HZ - self._given / self._rate_hz
                self._note(block, now_s + delay_s + ahead_s)
                more = block if self._resampler is None else self._resampler.resample_chunk(block)
                self._left = np.concatenate([self._left, more])
            sound = np.zeros(frames, dtype=np.int16)
            sound[: min(frames, self._left.size)] = self._left[:frames]
            self._left = self._left[frames:]
            self._given += frames
        out[:] = np.repeat(sound, self._channels).tobytes()
