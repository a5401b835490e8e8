#!/usr/bin/env python3
"""Makes agentbox/samples/commands.flac, the spoken sample that `deploy/try.sh` plays to a box with no microphone.

    python3 -m venv /tmp/voice && /tmp/voice/bin/pip install hibari-tts==0.2.1 soundfile soxr
    /tmp/voice/bin/python deploy/make_sample.py

Voice: hibari-tts 0.2.1 ("heart", American English), Apache-2.0, distilled from Kokoro-82M (af_heart), Apache-2.0.
Nothing in it is a recording of a person. The same text and seed give the same sound on the same versions.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
import soxr
from hibari import SAMPLE_RATE, Hibari

SAMPLE_RATE_HZ = 16_000
SPEED = 0.96
"""A little slower than the voice's own pace, as people speak to a machine."""
SPEECH_PEAK = 0.5
ROOM_TONE_DBFS = -66.0
"""Level (RMS) of the noise under everything: a quiet room. Digital silence would be a sound no microphone gives."""

SCRIPT: list[tuple[str, float]] = [
    ("", 1.2),
    ("What time is it?", 1.8),
    ("Set a pizza timer for ten minutes.", 1.8),
    ("Remind me in ten seconds to turn off the oven.", 1.8),
    ("Add milk to the shopping list.", 1.8),
    # The reminder rings in this long pause, and goes on until it is told to stop.
    ("What's on the shopping list?", 5.0),
    ("Stop.", 2.4),
    # No command: the box must let it pass.
    (
        "I was thinking about the garden the other day. The roses did much better this year than the last, "
        "and the neighbors said it was probably all the rain we had in the spring.",
        2.4,
    ),
    ("What timers are running?", 1.8),
    ("Cancel the pizza timer.", 1.8),
    ("Remove milk from the shopping list.", 2.0),
]
"""What is said, and the seconds of quiet after it."""


def room_tone(samples: int, random: np.random.Generator) -> np.ndarray:
    """Noise that falls by about 3 dB an octave (pink), as in a quiet room; shaped in the frequency domain."""
    spectrum = np.fft.rfft(random.standard_normal(samples))
    frequency_hz = np.fft.rfftfreq(samples, 1 / SAMPLE_RATE_HZ)
    spectrum /= np.sqrt(np.maximum(frequency_hz, 50.0))
    noise = np.fft.irfft(spectrum, samples)
    return noise * 10 ** (ROOM_TONE_DBFS / 20) / np.sqrt(np.mean(noise**2))


def speak(voice: Hibari, text: str) -> np.ndarray:
    sound = soxr.resample(voice(text, seed=0, speed=SPEED), SAMPLE_RATE, SAMPLE_RATE_HZ)
    return sound * (SPEECH_PEAK / np.abs(sound).max())


def main() -> None:
    voice = Hibari()
    parts: list[np.ndarray] = []
    at = 0.0
    for text, pause_s in SCRIPT:
        sound = speak(voice, text) if text else np.zeros(0)
        if text:
            print(f"{at:6.2f} s - {at + len(sound) / SAMPLE_RATE_HZ:6.2f} s  {text}")
        parts += [sound, np.zeros(round(pause_s * SAMPLE_RATE_HZ))]
        at += len(sound) / SAMPLE_RATE_HZ + pause_s
    mixed = np.concatenate(parts)
    mixed += room_tone(len(mixed), np.random.default_rng(0))
    target = Path(__file__).resolve().parents[1] / "agentbox" / "samples" / "commands.flac"
    target.parent.mkdir(exist_ok=True)
    soundfile.write(target, mixed, SAMPLE_RATE_HZ, subtype="PCM_16", compression_level=1.0)
    print(f"{target}: {at:.1f} s, {target.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
