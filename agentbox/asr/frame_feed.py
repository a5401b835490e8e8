"""The filter bank over sound that is not all there yet."""

from __future__ import annotations

import numpy as np

from agentbox.asr.engine import Samples
from agentbox.asr.features import FRAME_SAMPLES, SHIFT_SAMPLES, Fbank, Features

HEAD_SAMPLES = FRAME_SAMPLES // 2 - SHIFT_SAMPLES // 2
"""How far the first frame begins before the sound."""


class FrameFeed:
    """Frames around multiples of the shift (Kaldi's `snip_edges` false) from sound that comes in pieces."""

    def __init__(self, fbank: Fbank) -> None:
        """`fbank`: with `snip_edges`; what lies before the sound is mirrored here."""
        self._fbank = fbank
        self._pending: Samples = np.zeros(0, dtype=np.float32)
        """Sound from the beginning of the next frame on."""
        self._begun = False

    def accept(self, samples: Samples) -> None:
        self._pending = np.concatenate([self._pending, samples])
        if not self._begun and self._pending.size >= HEAD_SAMPLES:
            # The first frame begins before the sound, which is mirrored there.
            self._pending = np.concatenate([self._pending[:HEAD_SAMPLES][::-1], self._pending])
            self._begun = True

    def take(self, count: int) -> Features | None:
        """The next `count` frames, [count, bins]; null while some of their sound is missing."""
        needed = (count - 1) * SHIFT_SAMPLES + FRAME_SAMPLES
        if not self._begun or self._pending.size < needed:
            return None
        features = self._fbank(self._pending[:needed])
        self._pending = self._pending[count * SHIFT_SAMPLES :]
        return features

    def copy(self) -> FrameFeed:
        """Another one that goes on from here."""
        other = FrameFeed(self._fbank)
        other._pending, other._begun = self._pending, self._begun
        return other
