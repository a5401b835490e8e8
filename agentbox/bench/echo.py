"""Benchmark of hearing while speaking: the box's own speech comes back into its microphone by way of a room.

The room is a drawn impulse response of exponential decay, a delay and a level; all clocks are those of the sound, as
the speaker and the microphone tell them, so that half an hour takes a minute.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import soxr
from numpy.typing import NDArray

from agentbox.asr.engine import Engine
from agentbox.asr.listener import Listener
from agentbox.audio.ear import Ear
from agentbox.audio.echo import Echo
from agentbox.audio.mixer import RATE_HZ
from agentbox.audio.segment import Ended, Samples, Stirred
from agentbox.audio.vad import SileroVad
from agentbox.bench.commands import Clip, is_right
from agentbox.bench.recordings import as_floats, read_sound
from agentbox.config import Audio
from agentbox.daemon.transcribe import recognize
from agentbox.intents.understand import Understander
from agentbox.messages import JSON, SAMPLE_RATE_HZ

REVERBERATION_S = 0.3
"""Time in which the room's sound decays by 60 dB: a furnished living room."""

NOISE = 10.0
"""Of the microphone itself, amplitude of int16 (-70 dBFS)."""

BLOCK_MS = 96
PLAYED_MS = 20
AHEAD_S = 0.06
"""A block is given to the speaker so long before it is heard."""

FALLS_SILENT_MS = 100
"""From when the box notices that somebody speaks until it is silent (`agentbox bench speech` measures it)."""

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
        yield Sounds(block, *echo.cleaned(block, captured_s + draw.normal(0, room.told_ms / 1000)))


@dataclass(frozen=True, slots=True)
class Sounds:
    """A block as the microphone gave it, and what `Echo` made of it (some samples may come with the next one)."""

    raw: Samples
    words: Samples
    presence: Samples


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


@dataclass(slots=True)
class Alone:
    """The box speaks, and nobody else does."""

    minutes: float = 0.0
    interruptions: int = 0
    """How often it would have fallen silent."""
    transcripts: int = 0
    """How often it heard words."""
    erle_db: float = 0.0
    """Echo return loss enhancement: the energy in the microphone against what is left of it (its noise included)."""


def alone(played: Samples, room: Room, vad: SileroVad, engine: Engine) -> Alone:
    """The box's own voice in a room, as a box hears it that was just started."""
    ear, told = Ear(Audio(), vad), Alone(played.size / RATE_HZ / 60)
    raw = clean = 0.0
    for sounds in heard(Echo(), room, played):
        raw += float(np.square(sounds.raw.astype(np.float64)).sum())
        clean += float(np.square(sounds.presence.astype(np.float64)).sum())
        for event in ear.hear(sounds.words, sounds.presence):
            told.interruptions += isinstance(event, Stirred)
            if isinstance(event, Ended):
                told.transcripts += bool(engine.transcribe(as_floats(event.samples), language="en").text)
    told.erle_db = 10 * np.log10(raw / max(clean, 1.0))
    return told


@dataclass(slots=True)
class Over:
    """Commands spoken while the box speaks, as loud as it is in its own microphone."""

    clips: int = 0
    noticed: int = 0
    """So often the box fell silent while the command was spoken."""
    understood: int = 0
    in_silence: int = 0
    """Understood where the box does not speak."""
    throughout: int = 0
    """Understood where it does not fall silent."""


def over(
    clips: Sequence[Clip],
    played: Samples,
    room: Room,
    vad: SileroVad,
    listener: Listener,
    understander: Understander,
) -> Over:
    """Each clip amidst the box's own voice, `room.delay_ms` away, which falls silent when it notices."""
    sounds = [as_floats(read_sound(clip.path)) for clip in clips]
    length = sum(sound.size for sound in sounds) + (len(sounds) + 5) * SAMPLE_RATE_HZ
    own = np.resize(played, length * RATE_HZ // SAMPLE_RATE_HZ)
    loudness = _loudness(room.echo(own))
    others = np.zeros(length, dtype=np.float32)
    places: list[slice] = []
    at = 4 * SAMPLE_RATE_HZ
    for sound in sounds:
        places.append(slice(at, at + sound.size))
        others[places[-1]] = sound * (loudness / _loudness(sound))
        at += sound.size + SAMPLE_RATE_HZ
    throughout, starts = _heard(own, room, others, vad)
    interrupted = own.copy()
    told = Over(len(clips))
    for place in places:
        noticed = next((start for start in starts if place.start <= start < place.stop), None)
        if noticed is not None:
            told.noticed += 1
            silent = (noticed + FALLS_SILENT_MS * SAMPLE_RATE_HZ // 1000, place.stop + SAMPLE_RATE_HZ // 2)
            interrupted[slice(*(sample * RATE_HZ // SAMPLE_RATE_HZ for sample in silent))] = 0
    spoken, _ = _heard(interrupted, room, others, vad)
    noise = np.random.default_rng(room.seed).normal(0, NOISE, length).astype(np.float32)
    in_silence = np.clip(np.rint(others + noise), -32768, 32767).astype(np.int16)
    for clip, place in zip(clips, places, strict=True):
        stretch = slice(place.start - SAMPLE_RATE_HZ // 4, place.stop + SAMPLE_RATE_HZ // 2)
        understood = [
            _understood(sound[stretch], clip.label, vad, listener, understander)
            for sound in (spoken, in_silence, throughout)
        ]
        told.understood += understood[0]
        told.in_silence += understood[1]
        told.throughout += understood[2]
    return told


def _heard(own: Samples, room: Room, others: NDArray[np.float32], vad: SileroVad) -> tuple[Samples, list[int]]:
    """All that the box hears, and the samples at which it notices that somebody speaks."""
    ear, blocks, starts = Ear(Audio(), vad), [], []
    for sounds in heard(Echo(), room, own, others):
        blocks.append(sounds.words)
        starts += [ear.position for event in ear.hear(sounds.words, sounds.presence) if isinstance(event, Stirred)]
    return np.concatenate(blocks), starts


def _understood(
    sound: Samples, label: Mapping[str, JSON] | None, vad: SileroVad, listener: Listener, understander: Understander
) -> bool:
    size = BLOCK_MS * SAMPLE_RATE_HZ // 1000
    blocks = (sound[first : first + size] for first in range(0, sound.size, size))
    found = recognize(blocks, listener, vad, understander)
    return found.decision.outcome == "act" and is_right(found, label)


def _loudness(sound: NDArray[np.float32]) -> float:
    """Of its louder half: pauses do not count."""
    frames = np.square(sound[: sound.size // 320 * 320].reshape(-1, 320)).mean(axis=1)
    return float(np.sqrt(np.sort(frames)[frames.size // 2 :].mean()))
