"""Filter bank features as Kaldi computes them, and what the models of the FunASR family make of them.

The definitions are Kaldi's (feat/feature-window.cc, feat/mel-computations.cc); tests hold the numbers against
kaldi-native-fbank. Without dither: the same sound always gives the same words.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from agentbox.asr.engine import Samples
from agentbox.messages import SAMPLE_RATE_HZ

Features: TypeAlias = NDArray[np.float32]
"""Shape [frames, width]."""

FRAME_SAMPLES = SAMPLE_RATE_HZ * 25 // 1000
SHIFT_SAMPLES = SAMPLE_RATE_HZ // 100
_FFT = 512
_PREEMPHASIS = 0.97
_FLOOR = float(np.finfo(np.float32).eps)


@dataclass(frozen=True, slots=True)
class Fbank:
    """Which filter bank a model was trained on."""

    bins: int = 80
    low_hz: float = 20.0
    high_hz: float = 0.0
    """Counted from half of the sample rate where it is not above 0."""
    window: Literal["hamming", "povey"] = "hamming"
    snip_edges: bool = True
    """Only whole frames; else frames lie around multiples of the shift, and the sound is mirrored at its ends."""
    scale: float = 32768.0
    """The sound's samples, of -1 to 1, times this."""

    def frames(self, samples: int) -> int:
        """How many frames so many samples make."""
        if self.snip_edges:
            return max(0, 1 + (samples - FRAME_SAMPLES) // SHIFT_SAMPLES)
        return (samples + SHIFT_SAMPLES // 2) // SHIFT_SAMPLES

    def __call__(self, samples: Samples) -> Features:
        """Logarithms of the energies in the bins, [frames, bins]: 25 ms each, every 10 ms."""
        sound = samples.astype(np.float64) * self.scale
        count = self.frames(sound.size)
        if not count:
            return np.zeros((0, self.bins), dtype=np.float32)
        if not self.snip_edges:
            sound = _mirrored(sound, count)
        frames = sliding_window_view(sound, FRAME_SAMPLES)[::SHIFT_SAMPLES][:count]
        frames = frames - frames.mean(axis=1, keepdims=True)
        before = np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
        frames = (frames - _PREEMPHASIS * before) * _window(self.window)
        power = np.square(np.abs(np.fft.rfft(frames, _FFT)))[:, : _FFT // 2]
        energies = power @ _mel(self.bins, self.low_hz, self.high_hz)
        features: Features = np.log(np.maximum(energies, _FLOOR)).astype(np.float32)
        return features


def stacked(features: Features, size: int = 7, shift: int = 6, *, padded: bool = True) -> Features:
    """Low frame rate: every `shift` frames one row of `size` frames side by side, [rows, size * width].

    `padded`: as FunASR does (frontends/wav_frontend.py), the first row is centred on the first frame, and the last
    frame is repeated until all are in a row. Else only rows that are whole.
    """
    count, width = features.shape
    if not count:
        return np.zeros((0, size * width), dtype=np.float32)
    if padded:
        rows = -(-count // shift)
        left = (size - 1) // 2
        right = max(0, (rows - 1) * shift + size - left - count)
        features = np.concatenate([features[:1].repeat(left, 0), features, features[-1:].repeat(right, 0)])
    else:
        rows = max(0, (count - size) // shift + 1)
    starts = np.arange(rows) * shift
    stack: Features = features[starts[:, None] + np.arange(size)].reshape(rows, size * width)
    return stack


def _mirrored(sound: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """All samples of `count` frames, of which the first begins before the sound."""
    first = SHIFT_SAMPLES // 2 - FRAME_SAMPLES // 2
    at = np.arange(first, first + (count - 1) * SHIFT_SAMPLES + FRAME_SAMPLES)
    # Short sounds are mirrored more than once.
    period = 2 * sound.size
    at = np.mod(at, period)
    return sound[np.where(at < sound.size, at, period - 1 - at)]


@functools.cache
def _window(name: str) -> NDArray[np.float64]:
    at = 2 * np.pi * np.arange(FRAME_SAMPLES) / (FRAME_SAMPLES - 1)
    if name == "hamming":
        return 0.54 - 0.46 * np.cos(at)
    return (0.5 - 0.5 * np.cos(at)) ** 0.85


def _to_mel(hz: NDArray[np.float64] | float) -> NDArray[np.float64]:
    return 1127.0 * np.log1p(np.asarray(hz) / 700.0)


@functools.cache
def _mel(bins: int, low_hz: float, high_hz: float) -> NDArray[np.float64]:
    """Weights of the spectrum's lines in the bins, [lines, bins]: triangles in mel."""
    high_hz = high_hz if high_hz > 0 else SAMPLE_RATE_HZ / 2 + high_hz
    edges = np.linspace(_to_mel(low_hz), _to_mel(high_hz), bins + 2)
    lines = _to_mel(np.arange(_FFT // 2) * SAMPLE_RATE_HZ / _FFT)[:, None]
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (lines - left) / (centre - left), (right - lines) / (right - centre)
    return np.maximum(0.0, np.minimum(rising, falling))
