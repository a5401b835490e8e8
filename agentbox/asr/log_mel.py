"""Whisper's view of sound: how strong each of 80 or 128 bands is every 10 ms, over half a minute.

The definition is openai/whisper's (whisper/audio.py): windows of 25 ms (Hann) around multiples of 10 ms, the sound
mirrored at its beginning, mel bands as librosa makes them (Slaney's scale and areas), the logarithm cut off at 8
decades below the strongest. Tests hold the numbers against onnx-asr.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from agentbox.asr.engine import Samples
from agentbox.asr.features import FRAME_SAMPLES, SHIFT_SAMPLES, Features
from agentbox.messages import SAMPLE_RATE_HZ

WINDOW_S = 30
"""The model sees so much at once; what is missing is silence."""

FRAMES = WINDOW_S * SAMPLE_RATE_HZ // SHIFT_SAMPLES

_FLOOR = 1e-10
_DECADES = 8.0


def log_mel(samples: Samples, bands: int = 80) -> Features:
    """The first half minute of `samples`, [bands, `FRAMES`]: the logarithm, scaled to about -1..1.5."""
    sound = samples[: WINDOW_S * SAMPLE_RATE_HZ].astype(np.float64)
    half = FRAME_SAMPLES // 2
    # Frames that begin past the sound's end hear only the silence after it; the last ones of a full half minute are
    # mirrored like the first.
    count = min(FRAMES, -(-(sound.size + half) // SHIFT_SAMPLES))
    padded = np.zeros(count * SHIFT_SAMPLES + (half if count < FRAMES else 0), dtype=np.float64)
    padded[: sound.size] = sound
    padded = np.pad(padded, (half, half if count == FRAMES else 0), mode="reflect")
    frames = sliding_window_view(padded, FRAME_SAMPLES)[: count * SHIFT_SAMPLES : SHIFT_SAMPLES]
    power = np.square(np.abs(np.fft.rfft(frames * _hann(), FRAME_SAMPLES)))
    levels = np.full((bands, FRAMES), np.log10(_FLOOR))
    levels[:, :count] = np.log10(np.maximum(_bands(bands) @ power.T, _FLOOR))
    scaled: Features = ((np.maximum(levels, levels.max() - _DECADES) + 4.0) / 4.0).astype(np.float32)
    return scaled


@functools.cache
def _hann() -> NDArray[np.float64]:
    """Periodic."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAME_SAMPLES) / FRAME_SAMPLES)


@functools.cache
def _bands(count: int) -> NDArray[np.float64]:
    """Weights of the spectrum's lines in the bands, [count, lines]: triangles of the same area."""
    lines = np.arange(FRAME_SAMPLES // 2 + 1) * SAMPLE_RATE_HZ / FRAME_SAMPLES
    edges = _to_hz(np.linspace(0.0, _to_mel(SAMPLE_RATE_HZ / 2), count + 2))[:, None]
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (lines - left) / (centre - left), (right - lines) / (right - centre)
    return np.maximum(0.0, np.minimum(rising, falling)) * 2.0 / (right - left)


_LINEAR_HZ = 200.0 / 3.0
"""Slaney's scale is linear below 1 kHz, with so many Hz to a mel ..."""

_STEP = np.log(6.4) / 27.0
"""... and logarithmic above, with so much of a natural logarithm to a mel."""

_KNEE = 1000.0 / _LINEAR_HZ


def _to_mel(hz: float) -> float:
    return hz / _LINEAR_HZ if hz < 1000.0 else float(_KNEE + np.log(hz / 1000.0) / _STEP)


def _to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(mel < _KNEE, mel * _LINEAR_HZ, 1000.0 * np.exp(_STEP * (np.maximum(mel, _KNEE) - _KNEE)))
