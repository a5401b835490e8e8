"""Takes what the box plays out of what its microphone hears, so that it does not listen to itself.

Two things come out. What tells whether anybody speaks has no echo left at all: WebRTC's canceller (AEC3, by the package
pywebrtc-audio) has taken out the rest as well, and with it much of what was said over it. What tells what they say has
lost the linear part of the echo alone, and nothing of theirs (`echo_filter`): nearly all commands as loud as the box
itself, spoken over it, are understood in it, and half of them in the other (`agentbox bench echo`).

What both need from here is the two sounds on one clock, the played one a little ahead, and no jumps between them.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
import soxr
from numpy.typing import NDArray

from agentbox.audio.echo_delay import EchoDelay
from agentbox.audio.echo_filter import BLOCK as FRAME
from agentbox.audio.echo_filter import EchoFilter
from agentbox.audio.mixer import RATE_HZ as PLAYED_RATE_HZ
from agentbox.audio.segment import Samples
from agentbox.messages import SAMPLE_RATE_HZ

LEAD_MS = 30
"""The canceller is shown what was played so long before it comes back. It finds a delay by itself, but from some 70 ms
on it may lose it for good (measured over half an hour; agentbox bench echo), so that it is found here."""

MOVED_MS = 10
"""A delay that differs by more is another one: the box was moved, or its speaker changed. Unless the filter goes on
taking the echo out: where two ways through the room are equally loud, now the one is found and now the other."""

NO_ECHO_S = 4.0
"""Of the box's own sound: whoever has not heard it come back by then does not hear it at all (a headset)."""

TAIL_MS = 400
"""A room sounds on for so long after the speaker."""

LEARN_S = 1.5
"""So much of the box's own sound it takes to learn the way through the room, once the delay is known: until then the
microphone is not listened to while the box is heard."""

KEPT_S = 4.0
"""Of what was played: more than a microphone's sound is ever late."""

RESIDUE = 0.003
"""Of the energy (-25 dB): what the canceller leaves less of is the rest of an echo, and nobody's voice."""

USUAL_FRAMES = 100
"""What the linear filter usually leaves of the box's own sound is the middle one of so many frames (1 s of its being
heard); whoever speaks is above it before they change it."""

OVER_USUAL = 4.0
"""Only what it leaves so many times more of is somebody's ..."""

WORKS = 0.1
"""A filter that usually leaves less of the box's sound knows the way through the room."""

MOST_RESIDUE = 0.2
"""... but what it leaves a fifth of always may be: where people talk on over the box, the usual is their talk."""

LOUD = 1e-6
"""Mean square, of 1, from which a frame tells about the filter and not about the microphone's own noise."""

JUMP = 160
"""Samples that the two clocks may drift apart before they are set anew: the filter follows slow drift by itself, and
must begin anew after each jump."""

_GUESSES = 63
"""Of the last so many guesses at the microphone's clock (6 s) the middle one counts: its times come late and early."""

_LOST = 5
"""So many in a row that say the same, and not what was believed: sound was lost, and the clock is another one."""

Floats = NDArray[np.float32]


Way = Literal["cancelled", "half_duplex", "none"]
"""How the box keeps from hearing itself."""


class Canceller(Protocol):
    """As pywebrtc-audio's: float32 of 16 kHz in multiples of `FRAME`, between -1 and 1."""

    def process(self, near: Any, far: Any) -> Any: ...


class Heard(NamedTuple):
    """The microphone's sound without the box's own; both are int16 of 16 kHz, equally long."""

    words: Samples
    """For understanding what is said: others' voices are whole in it, and some echo may be left."""
    presence: Samples
    """For telling whether anybody speaks: no echo is left in it."""


class _Piece(NamedTuple):
    first: int
    """On the clock of the played sound, in samples of 16 kHz."""
    samples: Floats


def webrtc() -> Canceller | None:
    """WebRTC's canceller, or null where its package is not installed."""
    with contextlib.suppress(ImportError):
        from pywebrtc_audio import AudioProcessor

        canceller: Canceller = AudioProcessor(SAMPLE_RATE_HZ, 1, echo_cancellation=True, high_pass_filter=True)
        return canceller
    return None


class Echo:
    """`played` takes what goes to the speaker, in the speaker's thread; `cleaned` what the microphone heard, elsewhere.

    Without a canceller some echo stays in both: the box cannot tell by them alone whether somebody speaks.
    """

    def __init__(self, make: Callable[[], Canceller | None] = webrtc) -> None:
        self._make = make
        self._canceller = make()
        self._lock = threading.Lock()
        self._resampler = _resampler()
        self._pieces: deque[_Piece] = deque()
        self._given = 0
        """What the resampler took, at 24 kHz; it gives the same later, in bursts."""
        self._next = 0
        self._origin_s: float | None = None
        """When sample 0 of the played sound's clock was heard."""
        self._loud_until = 0
        """On the clock of the played sound: nothing is heard of it after that."""
        self._words_until = 0
        """The same for words: a short sound is nobody's speech, and need not be learnt to be known for one."""
        self._guesses: deque[float] = deque(maxlen=_GUESSES)
        """When the microphone's sample 0 was heard."""
        self._shift: int | None = None
        """From a sample of the microphone to that of the played sound which is shown with it."""
        self._near = 0
        self._delay = EchoDelay()
        self._filter = EchoFilter()
        self._presence = _Presence()
        self._used: int | None = None
        """The delay that the canceller works with, in samples; null: none is known yet."""
        self._learnt = 0
        """For how many samples the canceller has heard the box."""
        self._rest: Samples = np.zeros(0, dtype=np.int16)

    @property
    def cancels(self) -> bool:
        """Whether the box can hear others while it speaks."""
        return self._canceller is not None

    def played(self, block: Samples, heard_s: float, speech: bool = True) -> None:
        """The next block for the speaker, 24 kHz mono int16; `heard_s`: when its last sample is heard (monotonic);
        `speech`: there are words in it."""
        sound = block.astype(np.float32) / 32768.0
        with self._lock:
            if self._origin_s is None:
                self._origin_s = heard_s - block.size / PLAYED_RATE_HZ
            end = round((heard_s - self._origin_s) * SAMPLE_RATE_HZ)
            self._given += block.size
            if abs(end - self._given * SAMPLE_RATE_HZ // PLAYED_RATE_HZ) > JUMP:
                # The device was closed meanwhile, or ran dry.
                self._resampler = _resampler()
                self._given = end * PLAYED_RATE_HZ // SAMPLE_RATE_HZ
                self._next = end - block.size * SAMPLE_RATE_HZ // PLAYED_RATE_HZ
            far = self._resampler.resample_chunk(sound)
            self._pieces.append(_Piece(self._next, far))
            self._next += far.size
            if block.any():
                self._loud_until = end + TAIL_MS * SAMPLE_RATE_HZ // 1000
                self._words_until = self._loud_until if speech else self._words_until
            while self._pieces[0].first < self._next - KEPT_S * SAMPLE_RATE_HZ:
                self._pieces.popleft()

    def audible(self, now_s: float) -> bool:
        """Whether the box was heard at a moment of the monotonic clock, or still sounds on in the room."""
        with self._lock:
            return self._origin_s is not None and round((now_s - self._origin_s) * SAMPLE_RATE_HZ) < self._loud_until

    def cleaned(self, block: Samples, captured_s: float) -> Heard:
        """The microphone's next block, 16 kHz mono int16, without the box's own sound.

        `captured_s`: when its last sample was heard (monotonic). While the box is silent it is given back as it is,
        else in whole frames of 10 ms, the rest with the next one.
        """
        near = np.concatenate([self._rest, block]) if self._rest.size else block
        self._guess(captured_s - (self._near + near.size) / SAMPLE_RATE_HZ)
        if not self.audible(captured_s - block.size / SAMPLE_RATE_HZ):
            self._near += near.size
            self._rest = self._rest[:0]
            self._delay.restart()
            return Heard(near, near)
        whole = near.size // FRAME * FRAME
        self._rest, near = near[whole:].copy(), near[:whole]
        if not whole:
            return Heard(near, near)
        words, presence = self._cancelled(near.astype(np.float32) / 32768.0)
        self._near += whole
        return Heard(_as_int16(words), _as_int16(presence))

    def _cancelled(self, near: Floats) -> tuple[Floats, Floats]:
        self._set_clocks()
        self._delay.feed(near, self._shown(self._near, near.size))
        delay = self._used if self._delay.samples is None else self._delay.samples
        if delay is None:
            if self._delay.looked_s < NO_ECHO_S:
                return self._unlearnt(near)
            delay = 0
        most = MOVED_MS * SAMPLE_RATE_HZ // 1000
        if self._used is None or (abs(delay - self._used) > most and not self._presence.filter_works):
            self._used, self._learnt = delay, 0
            # What knows its old way for sure is slow to learn another.
            self._filter, self._canceller, self._presence = EchoFilter(), self._make(), _Presence()
        lead = LEAD_MS * SAMPLE_RATE_HZ // 1000
        far = self._shown(self._near - self._used + lead, near.size)
        words = presence = self._filtered(near, far)
        if self._canceller is not None:
            presence = np.asarray(self._canceller.process(near, far), dtype=np.float32)
            presence = self._presence.of(presence, words, near)
        if self._learnt < LEARN_S * SAMPLE_RATE_HZ:
            self._learnt += near.size if far.any() else 0
            return self._unlearnt(near)
        return words, presence

    def _unlearnt(self, near: Floats) -> tuple[Floats, Floats]:
        assert self._shift is not None
        with self._lock:
            speaks = self._near + self._shift < self._words_until
        heard = np.zeros_like(near) if speaks else near
        return heard, heard

    def _filtered(self, near: Floats, far: Floats) -> Floats:
        words = np.empty_like(near)
        for first in range(0, near.size, FRAME):
            frame = slice(first, first + FRAME)
            words[frame] = self._filter.block(near[frame], far[frame])
        return words

    def _guess(self, origin_s: float) -> None:
        self._guesses.append(origin_s)
        if len(self._guesses) > 2 * _LOST:
            latest = sorted(list(self._guesses)[-_LOST:])
            believed = sorted(self._guesses)[len(self._guesses) // 2]
            if latest[0] - believed > JUMP / SAMPLE_RATE_HZ or believed - latest[-1] > JUMP / SAMPLE_RATE_HZ:
                self._guesses = deque(latest, maxlen=_GUESSES)

    def _set_clocks(self) -> None:
        assert self._origin_s is not None
        near_s = sorted(self._guesses)[len(self._guesses) // 2]
        shift = round((near_s - self._origin_s) * SAMPLE_RATE_HZ)
        if self._shift is None or abs(shift - self._shift) > JUMP:
            self._shift = shift

    def _shown(self, near_first: int, count: int) -> Floats:
        """What was played, from the sample on that belongs to the microphone's `near_first`."""
        assert self._shift is not None
        first = near_first + self._shift
        far = np.zeros(count, dtype=np.float32)
        with self._lock:
            for piece in self._pieces:
                begin, end = max(piece.first, first), min(piece.first + piece.samples.size, first + count)
                if begin < end:
                    far[begin - first : end - first] = piece.samples[begin - piece.first : end - piece.first]
        return far


def _resampler() -> soxr.ResampleStream:
    # The better ones hold back 30 ms and more.
    return soxr.ResampleStream(PLAYED_RATE_HZ, SAMPLE_RATE_HZ, 1, dtype="float32", quality="LQ")


class _Presence:
    """Leaves what may be somebody's of the canceller's sound, frame by frame."""

    def __init__(self) -> None:
        self._usual: deque[float] = deque(maxlen=USUAL_FRAMES)

    def of(self, presence: Floats, words: Floats, near: Floats) -> Floats:
        """`presence` without the frames in which it is too little of `near` to be somebody.

        Nor is there more of anybody than `words` has: what the linear filter took out was the box's, though the
        canceller, whose own filter is shorter, at times leaves much more of a room that sounds on for long.
        """
        left, most, whole = (np.square(sound.reshape(-1, FRAME)).sum(axis=1) for sound in (presence, words, near))
        share = np.sqrt(np.minimum(1.0, most / np.maximum(left, 1e-12)))
        shares = most / np.maximum(whole, 1e-12)
        for frame, is_loud in enumerate(whole > LOUD * FRAME):
            if is_loud:
                self._usual.append(float(shares[frame]))
            if min(left[frame], most[frame]) < self._residue() * whole[frame]:
                share[frame] = 0.0
        return presence * np.repeat(share, FRAME).astype(np.float32)

    @property
    def filter_works(self) -> bool:
        usual = self._middle()
        return usual is not None and usual < WORKS

    def _residue(self) -> float:
        """What is less of the microphone's sound is nobody's."""
        usual = self._middle()
        return RESIDUE if usual is None else min(max(RESIDUE, OVER_USUAL * usual), MOST_RESIDUE)

    def _middle(self) -> float | None:
        return sorted(self._usual)[USUAL_FRAMES // 2] if len(self._usual) == USUAL_FRAMES else None


def _as_int16(sound: Floats) -> Samples:
    samples: Samples = np.clip(np.rint(sound * 32768.0), -32768, 32767).astype(np.int16)
    return samples
