"""How late the box hears itself: the time from its speaker to its microphone, told by the sounds themselves.

Cross-correlation of whitened spectra (GCC-PHAT: Knapp and Carter, "The generalized correlation method for estimation of
time delay", 1976), averaged over half-second stretches in which the box speaks.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agentbox.messages import SAMPLE_RATE_HZ

Floats = NDArray[np.float32]

LEAST_MS = -60
MOST_MS = 400
"""Between these it is looked for. Less than 0: the clocks of speaker and microphone do not agree."""

_STRETCH = SAMPLE_RATE_HZ // 2
_SIZE = 32_768
_BAND_HZ = (200.0, 4000.0)
_KEPT = 0.7
"""Of the average, from one stretch to the next."""

_CLEAR = 9.0
"""A peak so many times the usual height is one: without an echo the highest of noise is at 4 to 6."""

_SAME = SAMPLE_RATE_HZ // 500
"""Two looks that differ by no more (2 ms) agree; one alone is not believed."""

_LOUD = 1e-3
"""Root mean square, of 1, from which the box is heard at all."""


class EchoDelay:
    """`feed` both sounds on one clock, as long as the box speaks; `samples` is the delay, null while it is unknown."""

    def __init__(self) -> None:
        self.samples: int | None = None
        self.looked_s = 0.0
        """How much of the box's own sound was looked at."""
        self._last: int | None = None
        self._before = MOST_MS * SAMPLE_RATE_HZ // 1000
        self._after = -LEAST_MS * SAMPLE_RATE_HZ // 1000
        self._near: list[Floats] = []
        self._far: list[Floats] = []
        self._length = 0
        self._average: NDArray[np.complex128] = np.zeros(_SIZE // 2 + 1, dtype=np.complex128)
        frequencies = np.fft.rfftfreq(_SIZE, 1 / SAMPLE_RATE_HZ)
        self._band = (frequencies >= _BAND_HZ[0]) & (frequencies <= _BAND_HZ[1])

    def feed(self, near: Floats, far: Floats) -> None:
        """What the microphone heard, and what the speaker played at the same times, equally long, from -1 to 1."""
        self._near.append(near)
        self._far.append(far)
        self._length += near.size
        if self._length >= self._before + _STRETCH + self._after:
            self._look(np.concatenate(self._near), np.concatenate(self._far))

    def restart(self) -> None:
        """What comes next does not follow what came before."""
        self._near, self._far, self._length = [], [], 0

    def _look(self, near: Floats, far: Floats) -> None:
        # The stretch of the microphone's sound is correlated with all of the speaker's that may be heard in it.
        heard = near[self._before : self._before + _STRETCH]
        played = far[: self._before + _STRETCH + self._after]
        kept = self._before + self._after
        self._near, self._far, self._length = [near[-kept:]], [far[-kept:]], kept
        if np.sqrt(np.square(played).mean()) < _LOUD:
            return
        cross = np.fft.rfft(heard, _SIZE) * np.conj(np.fft.rfft(played, _SIZE))
        cross = np.where(self._band, cross / np.maximum(np.abs(cross), 1e-12), 0.0)
        self._average = _KEPT * self._average + (1 - _KEPT) * cross
        likeness = np.fft.irfft(self._average, _SIZE)
        # At a lag of -n samples, `heard` is what was played n samples after the beginning of `played`.
        lags = np.arange(-(self._before + self._after), 1)
        values = likeness[lags]
        best = int(np.argmax(values))
        usual = float(np.sqrt(np.square(values).mean()))
        self.looked_s += _STRETCH / SAMPLE_RATE_HZ
        if values[best] <= _CLEAR * max(usual, 1e-12):
            return
        found = self._before + int(lags[best])
        if self._last is not None and abs(found - self._last) <= _SAME:
            self.samples = found
        self._last = found
