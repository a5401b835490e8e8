"""The linear part of an echo, taken out without harm to what others say at the same time.

A partitioned-block frequency-domain Kalman filter (Enzner and Vary, "Frequency-domain adaptive Kalman filter for
acoustic echo control in hands-free telephones", Signal Processing 86, 2006): it learns the way from the speaker to the
microphone, the less the more others speak, and needs nobody to tell it when they do.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agentbox.messages import SAMPLE_RATE_HZ

BLOCK = SAMPLE_RATE_HZ // 100
"""Samples that it takes at once."""

LENGTH_MS = 160
"""Of the way through the room that it learns; the rest of the reverberation stays."""

_PARTS = LENGTH_MS * SAMPLE_RATE_HZ // 1000 // BLOCK
_STAYS = 0.9999
"""How much of a block's way is that of the one before."""

_UNSURE = 0.01
"""Variance of the way, to begin with."""

_SMOOTH = 0.9


class EchoFilter:
    """Takes blocks of `BLOCK` samples of 16 kHz, from -1 to 1."""

    def __init__(self) -> None:
        bins = BLOCK + 1
        self._way: NDArray[np.complex128] = np.zeros((_PARTS, bins), dtype=np.complex128)
        self._variance = np.full((_PARTS, bins), _UNSURE)
        self._played: NDArray[np.complex128] = np.zeros((_PARTS, bins), dtype=np.complex128)
        self._last = np.zeros(BLOCK)
        self._noise = np.full(bins, 1e-6)
        """Of everything but the echo: the power of what is left."""

    def block(self, near: NDArray[np.floating], far: NDArray[np.floating]) -> NDArray[np.float64]:
        """What is left of the microphone's `near`; `far`: what was played, not later than it is heard."""
        self._played = np.roll(self._played, 1, axis=0)
        self._played[0] = np.fft.rfft(np.concatenate([self._last, far]))
        self._last = far.astype(np.float64)
        echo = np.fft.irfft((self._played * self._way).sum(axis=0))[BLOCK:]
        left = near.astype(np.float64) - echo
        error = np.fft.rfft(np.concatenate([np.zeros(BLOCK), left]))
        power = np.abs(self._played) ** 2
        self._noise = _SMOOTH * self._noise + (1 - _SMOOTH) * np.abs(error) ** 2
        # Half of a transform's length is new: that is where the halves come from.
        step = self._variance / ((power * self._variance).sum(axis=0) / 2 + self._noise + 1e-10)
        change = np.fft.irfft(step * np.conj(self._played) * error, axis=1)
        change[:, BLOCK:] = 0.0
        self._way += np.fft.rfft(change, axis=1)
        drift = (1 - _STAYS**2) * np.abs(self._way) ** 2
        self._variance = _STAYS**2 * (1 - step * power / 2) * self._variance + drift
        return left
