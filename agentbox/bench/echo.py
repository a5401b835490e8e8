"""Benchmark of hearing while speaking: the box's own speech comes back into its microphone by way of a room.

The room is a drawn impulse response of exponential decay, a delay and a level; all clocks are those of the sound, as
the speaker and the microphone tell them, so that half an hour takes a minute.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import soxr
from numpy.typing import NDArray

from agentbox.audio.echo import Echo
from agentbox.audio.mixer import RATE_HZ
from agentbox.audio.segment import Samples
from agentbox.messages import SAMPLE_RATE_HZ

REVERBERATION_S = 0.3
"""Time in which the room's sound decays by 60 dB: a furnished living room."""

NOISE = 10.0
"""Of the microphone itself, amplitude of int16 (-70 dBFS)."""

BLOCK_MS = 96
PLAYED_MS = 20
AHEAD_S = 0.06
"""A block is given to the speaker so long before it is heard."""

LINGER_S = 0.5
"""The speaker goes on so long after the last sound (`output.LINGER_S`)."""

_RATIO = RATE_HZ / SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True)
class Room:
    """Between the speaker and the microphone."""

    delay_ms: float
    level_db: float
    """How loud the box comes back, against what it plays."""
    told_ms: float = 4.0
    """Standard deviation by which the microphone's times are told wrongly."""
    seed: int = 1

    def echo(self, played: Samples) -> NDArray[np.float32]:
        """What comes back of `played` (24 kHz), at 16 kHz, as long as that."""
        draw = np.random.default_rng(self.seed)
        far = soxr.resample(played.astype(np.float32), RATE_HZ, SAMPLE_RATE_HZ)
        length = int(SAMPLE_RATE_HZ * REVERBERATION_S)
        response = draw.standard_normal(length) * np.exp(-6.9 * np.arange(length) / length)
        response[0] = 3.0
        response *= 10 ** (self.level_db / 20) / np.sqrt(np.square(response).sum())
        size = 1 << int(np.ceil(np.log2(far.size + length)))
        wet = np.fft.irfft(np.fft.rfft(far, size) * np.fft.rfft(response, size), size)[: far.size]
        delay = int(self.delay_ms * SAMPLE_RATE_HZ / 1000)
        return np.concatenate([np.zeros(delay), wet])[: far.size].astype(np.float32)


def heard(echo: Echo, room: Room, played: Samples, others: NDArray[np.float32] | None = None) -> Iterator[Sounds]:
    """What the microphone hears of `played` (24 kHz) and of `others` (16 kHz, as long), block by block."""
    draw = np.random.default_rng(room.seed + 1)
    near = room.echo(played)
    near += draw.normal(0, NOISE, near.size).astype(np.float32)
    if others is not None:
        near[: others.size] += others[: near.size]
    microphone = np.clip(np.rint(near), -32768, 32767).astype(np.int16)
    speaker = _blocks(played)
    given = next(speaker, None)
    size = BLOCK_MS * SAMPLE_RATE_HZ // 1000
    for first in range(0, microphone.size - size + 1, size):
        captured_s = (first + size) / SAMPLE_RATE_HZ
        while given is not None and given[1] - AHEAD_S <= captured_s:
            echo.played(*given)
            given = next(speaker, None)
        block = microphone[first : first + size]
        yield Sounds(block, echo.cleaned(block, captured_s + draw.normal(0, room.told_ms / 1000)))


@dataclass(frozen=True, slots=True)
class Sounds:
    """A block as the microphone gave it, and what was made of it (some samples may come with the next one)."""

    raw: Samples
    clean: Samples


def _blocks(played: Samples) -> Iterator[tuple[Samples, float]]:
    """What the speaker is given, and when its end is heard; nothing while it is closed."""
    size = PLAYED_MS * RATE_HZ // 1000
    silent = LINGER_S
    for first in range(0, played.size - size + 1, size):
        block = played[first : first + size]
        silent = 0.0 if block.any() else silent + PLAYED_MS / 1000
        if silent < LINGER_S:
            yield block, (first + size) / RATE_HZ


def spaced(sounds: Sequence[Samples], seed: int = 1) -> Samples:
    """One after the other, with 0.2 to 4 s between."""
    draw = np.random.default_rng(seed)
    parts: list[Samples] = []
    for sound in sounds:
        parts += [sound, np.zeros(int(RATE_HZ * draw.uniform(0.2, 4.0)), dtype=np.int16)]
    return np.concatenate(parts)
