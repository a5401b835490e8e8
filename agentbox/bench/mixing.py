"""Speech in noise, mixed as Picovoice's public benchmarks do it: the ratio is that of the loudest frames."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Sound: TypeAlias = NDArray[np.float32]

_FRAME = 512


def mix(speech: Sound, noise: Sound, snr_db: float, rng: np.random.Generator) -> Sound:
    """`speech` with a random stretch of `noise` under it, both float32 [n]; the sum divided by twice its peak.

    The energies of the loudest frames of 512 samples are `snr_db` apart (speech-to-intent-benchmark: mixer).
    """
    if noise.size <= speech.size:
        noise = np.tile(noise, speech.size // max(noise.size, 1) + 2)
    start = int(rng.integers(0, noise.size - speech.size))
    under = noise[start : start + speech.size].astype(np.float64)
    scale = np.sqrt(loudest(speech) / (loudest(under) * 10 ** (snr_db / 10) + 1e-12))
    both = speech + under * scale
    return np.asarray(both / (2 * max(float(np.abs(both).max()), 1e-9)), dtype=np.float32)


def loudest(sound: NDArray[np.floating]) -> float:
    """Energy (sum of squares) of the loudest frame; a shorter sound is repeated to one."""
    whole = sound[: sound.size // _FRAME * _FRAME] if sound.size >= _FRAME else np.resize(sound, _FRAME)
    return float(np.square(whole.reshape(-1, _FRAME), dtype=np.float64).sum(axis=1).max())
