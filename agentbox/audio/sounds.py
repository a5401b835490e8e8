"""The short sounds that mark an answer, made from sine tones: nothing to ship, nothing to license."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from agentbox.audio.segment import Samples
from agentbox.messages import SoundName

RATE_HZ = 16_000


class Note(NamedTuple):
    frequency_hz: float
    length_ms: int


_NOTES: dict[SoundName, tuple[Note, ...]] = {
    "heard": (Note(880.0, 70),),
    "done": (Note(660.0, 70), Note(880.0, 110)),
    "failed": (Note(440.0, 110), Note(330.0, 160)),
    "question": (Note(660.0, 80), Note(0.0, 40), Note(990.0, 130)),
    "timer": (Note(988.0, 120), Note(0.0, 60), Note(988.0, 120), Note(0.0, 60), Note(1319.0, 260)),
}
LEVEL = 0.2
FADE_MS = 8
"""Faded in and out, or each note would begin and end with a click."""


def sound(name: SoundName) -> Samples:
    """The sound's samples, 16 kHz mono int16."""
    return np.concatenate([_tone(note) for note in _NOTES[name]])


def _tone(note: Note) -> Samples:
    count = RATE_HZ * note.length_ms // 1000
    wave = np.sin(2 * np.pi * note.frequency_hz * np.arange(count) / RATE_HZ)
    fade = np.minimum(1.0, np.arange(count) / (RATE_HZ * FADE_MS / 1000))
    return (wave * fade * fade[::-1] * LEVEL * 32767).astype(np.int16)
