"""What is heard at the same time, as one stream of samples. Pure: the device asks for the next block, nothing waits.

Three lanes: speech, short sounds, and alerts (a timer that rings). In a lane one track follows the other; the lanes are
heard together, and what matters less is turned down meanwhile. Each track counts what was really played of it: whoever
interrupts a talk must know how much of it was heard.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Literal, TypeAlias

import numpy as np
import soxr
from numpy.typing import NDArray

from agentbox.audio.segment import Samples

RATE_HZ = 24_000
"""Of the output: what voices, here and in the cloud, mostly speak at."""

Lane: TypeAlias = Literal["speech", "sound", "alert"]
LANES: tuple[Lane, ...] = ("sound", "speech", "alert")
"""Those that turn down the others first."""

DUCKED = 0.25
"""What is left (amplitude, -12 dB) of a lane while one above it is heard."""

FADE_MS = 20
"""Stopping, pausing and ducking take so long: at once, they click."""

_FADE_FRAMES = RATE_HZ * FADE_MS // 1000

Floats: TypeAlias = NDArray[np.float32]


class State(Enum):
    """Where a track stands."""

    WAITING = "waiting"
    """Nothing of it was played yet."""
    PLAYING = "playing"
    PAUSED = "paused"
    DONE = "done"
    """Played to its end."""
    STOPPED = "stopped"
    """Ended before."""


class Track:
    """One sound, or one talk whose sound comes piece by piece. Made by `Mixer.open`; any thread may use it."""

    def __init__(
        self, lane: Lane, lock: threading.Lock, on_change: Callable[[], None], opened_s: float, volume: float
    ) -> None:
        self.lane: Lane = lane
        self.volume = volume
        self.opened_s = opened_s
        self.state = State.WAITING
        self.played_frames = 0
        """At `RATE_HZ`, given to the device; how much of it is still on its way is the device's to know."""
        self._lock = lock
        self._on_change = on_change
        self._pieces: deque[Floats] = deque()
        self._resampler: soxr.ResampleStream | None = None
        self._rate_hz = RATE_HZ
        self._complete = False
        """No more pieces come."""
        self._ending = False
        self._held = False
        self._level = 1.0

    @property
    def played_ms(self) -> float:
        return self.played_frames * 1000 / RATE_HZ

    @property
    def left_frames(self) -> int:
        """Those that are there and were not played yet."""
        with self._lock:
            return sum(piece.size for piece in self._pieces)

    @property
    def over(self) -> bool:
        return self.state in (State.DONE, State.STOPPED)

    def add(self, samples: Samples, rate_hz: int = RATE_HZ, *, last: bool = False) -> None:
        """The next piece, mono int16; its rate may be another than that of the piece before. `last`: no other comes.
        What is given after that, or to a track that is over or was stopped, is dropped."""
        if self._complete or self._ending or self.over:
            return
        sound = samples.astype(np.float32) * np.float32(self.volume)
        before = np.zeros(0, dtype=np.float32)
        if rate_hz != self._rate_hz:
            if self._resampler is not None:
                before = self._resampler.resample_chunk(before, last=True)
            self._rate_hz, self._resampler = rate_hz, None
            if rate_hz != RATE_HZ:
                self._resampler = soxr.ResampleStream(rate_hz, RATE_HZ, 1, dtype="float32", quality="HQ")
        if self._resampler is not None:
            sound = self._resampler.resample_chunk(sound, last=last)
        with self._lock:
            self._pieces.extend(piece for piece in (before, sound) if piece.size)
            self._complete = last
        self._on_change()

    def stop(self) -> None:
        """End it; it fades out within `FADE_MS`, and what waits behind it comes next."""
        with self._lock:
            self._ending = True
        self._on_change()

    def pause(self) -> None:
        """Hold it where it is until `resume`; it fades out within `FADE_MS`, and what waits behind it goes on
        waiting."""
        with self._lock:
            self._held = True

    def resume(self) -> None:
        """Go on with the first sample that was not played."""
        with self._lock:
            self._held = False
        self._on_change()

    # From here on: for the mixer, under its lock.

    @property
    def ready(self) -> bool:
        """The next block will hear of it: there is sound, or it ends."""
        return self._ending or (not self._held and (bool(self._pieces) or self._complete))

    def take(self, frames: int, most: float) -> Floats:
        """Its next samples, at most `frames`; `most`: the level that the lanes above leave it."""
        target = 0.0 if self._ending or self._held else most
        if self.state in (State.WAITING, State.PAUSED):
            self._level = 0.0 if target == 0.0 or self.state is State.PAUSED else target
        if target == 0.0:
            frames = min(frames, round(self._level * _FADE_FRAMES))
        sound = self._cut(frames)
        levels = self._levels(sound.size, target)
        self.played_frames += sound.size
        if sound.size:
            self._level = float(levels[-1])
            self.state = State.PLAYING
        elif target == 0.0:
            self._level = 0.0
        if self._ending and self._level == 0.0:
            self.state = State.STOPPED
            self._pieces.clear()
        elif self._held and self._level == 0.0 and self.state is State.PLAYING:
            self.state = State.PAUSED
        elif self._complete and not self._pieces and not self._held:
            self.state = State.DONE
        return sound * levels

    def _cut(self, frames: int) -> Floats:
        taken: list[Floats] = []
        while frames and self._pieces:
            piece = self._pieces.popleft()
            if piece.size > frames:
                self._pieces.appendleft(piece[frames:])
                piece = piece[:frames]
            taken.append(piece)
            frames -= piece.size
        return np.concatenate(taken) if taken else np.zeros(0, dtype=np.float32)

    def _levels(self, count: int, target: float) -> Floats:
        steps = np.arange(1, count + 1, dtype=np.float32) / _FADE_FRAMES
        if target < self._level:
            return np.maximum(self._level - steps, target)
        return np.minimum(self._level + steps, target)


class Mixer:
    """All tracks together. `mix` is for the device's own thread, everything else for whoever has something to play."""

    def __init__(
        self, on_end: Callable[[Track], None] | None = None, on_change: Callable[[], None] = lambda: None
    ) -> None:
        """`on_end` is called, in the thread that calls `mix`, with each track that is over; `on_change` whenever
        something was done that `ready` may tell of."""
        self._on_end = on_end
        self._on_change = on_change
        self._lock = threading.Lock()
        self._lanes: dict[Lane, deque[Track]] = {lane: deque() for lane in LANES}
        self.played: dict[Track, int] = {}
        """How many frames of each track are in the last block."""

    def open(self, lane: Lane, now_s: float = 0.0, volume: float = 1.0) -> Track:
        """A new track, behind those that its lane has already. `volume`: its amplitude, of 1."""
        track = Track(lane, self._lock, self._on_change, now_s, volume)
        with self._lock:
            self._lanes[lane].append(track)
        return track

    def tracks(self, lane: Lane) -> list[Track]:
        """Those of a lane that are not over, the first first."""
        with self._lock:
            return list(self._lanes[lane])

    @property
    def busy(self) -> bool:
        """Something is played, or waits to be."""
        with self._lock:
            return any(self._lanes.values())

    @property
    def ready(self) -> bool:
        """The next block has something to play, or to end."""
        with self._lock:
            return any(lane and lane[0].ready for lane in self._lanes.values())

    def mix(self, frames: int) -> Samples:
        """The next `frames` samples of everything, mono int16; what is too loud together is clipped."""
        together = np.zeros(frames, dtype=np.float32)
        ended: list[Track] = []
        with self._lock:
            self.played = {}
            most = 1.0
            for lane in self._lanes.values():
                if self._fill(together, lane, most, ended):
                    most = DUCKED
        for track in ended if self._on_end is not None else ():
            assert self._on_end is not None
            self._on_end(track)
        block: Samples = np.clip(np.rint(together), -32768, 32767).astype(np.int16)
        return block

    def _fill(self, together: Floats, lane: deque[Track], most: float, ended: list[Track]) -> bool:
        """Add a lane's sound; whether there is any."""
        at = 0
        while lane:
            track = lane[0]
            sound = track.take(together.size - at, most)
            if sound.size:
                self.played[track] = sound.size
            together[at : at + sound.size] += sound
            at += sound.size
            if not track.over:
                break
            ended.append(lane.popleft())
        return at > 0
