"""What is no speech never becomes words: silence, hum, clicks, music, a kitchen; quiet and loud."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from agentbox.asr.engine import Engine
from agentbox.asr.load import load_engine
from agentbox.audio.files import read_file
from agentbox.audio.vad import SileroVad
from agentbox.daemon.transcribe import transcribe_file

Wave = NDArray[np.float64]

SECONDS = 12
TIME: Wave = np.arange(16_000 * SECONDS) / 16_000
RANDOM = np.random.default_rng(5)


@pytest.fixture(scope="module")
def engine(models_dir: Path) -> Engine:
    return load_engine("moonshine-tiny-en", "en", models_dir)


@pytest.fixture(scope="module")
def vad(models_dir: Path) -> SileroVad:
    return SileroVad(models_dir / "silero-vad-16k" / "silero_vad_16k_op15.onnx")


def hum() -> Wave:
    """Mains hum with its harmonics."""
    return sum((np.sin(2 * np.pi * 50 * n * TIME) / n for n in range(1, 12)), np.zeros_like(TIME))


def clicks() -> Wave:
    """Short bursts at irregular times: keys, a switch, a dripping tap."""
    wave = np.zeros_like(TIME)
    for start in RANDOM.integers(0, wave.size - 800, 60):
        wave[start : start + 400] += RANDOM.normal(0, 1, 400) * np.exp(-np.arange(400) / 60)
    return wave


def music() -> Wave:
    """A tune of plucked chords with vibrato: tonal, changing, in the range of voices."""
    wave = np.zeros_like(TIME)
    for beat, root in enumerate([220.0, 261.6, 196.0, 246.9, 220.0, 293.7] * 4):
        since = np.clip(TIME - beat * 0.5, 0, None)
        loud = np.where(beat * 0.5 <= TIME, np.exp(-3 * since), 0)
        for tone in (1.0, 1.25, 1.5, 2.0):
            wave += loud * np.sin(2 * np.pi * root * tone * TIME + 0.3 * np.sin(2 * np.pi * 5 * TIME))
    return wave


def wind() -> Wave:
    """Noise that swells and falls."""
    return np.convolve(RANDOM.normal(0, 1, TIME.size), np.hanning(80), "same") * (1.2 + np.sin(2 * np.pi * 0.4 * TIME))


def silence() -> Wave:
    return np.zeros_like(TIME)


@pytest.mark.parametrize("sound", [silence, hum, clicks, music, wind])
@pytest.mark.parametrize("peak", [0.02, 0.2, 0.9])
def test_sound_that_is_no_speech_gives_no_words(
    sound: Callable[[], Wave], peak: float, engine: Engine, vad: SileroVad, tmp_path: Path
) -> None:
    wave = sound()
    soundfile.write(tmp_path / "sound.wav", peak * wave / max(1e-9, float(np.abs(wave).max())), 16_000)
    assert transcribe_file(tmp_path / "sound.wav", engine, vad, "en").text == ""


@pytest.mark.parametrize("gain", [0.1, 1.0, 3.0])
def test_a_real_kitchen_gives_no_words(gain: float, engine: Engine, vad: SileroVad, data: Path, tmp_path: Path) -> None:
    kitchen = np.concatenate(list(read_file(data / "commands" / "kitchen-noise.flac"))) / 32768.0
    soundfile.write(tmp_path / "kitchen.wav", np.clip(gain * kitchen, -1, 1), 16_000)
    assert transcribe_file(tmp_path / "kitchen.wav", engine, vad, "en").text == ""


def test_speech_in_the_same_kitchen_does(engine: Engine, vad: SileroVad, data: Path, tmp_path: Path) -> None:
    kitchen = np.concatenate(list(read_file(data / "commands" / "kitchen-noise.flac")))[:160_000].astype(np.float64)
    order = data / "commands" / "audio" / "0ec187f5-4dd7-43f8-818a-2136bf66d94e.flac"
    speech = np.concatenate(list(read_file(order))).astype(np.float64)
    mixed = kitchen * (np.abs(speech).max() / np.abs(kitchen).max() / 4)
    mixed[: speech.size] += speech
    soundfile.write(tmp_path / "mixed.wav", mixed / np.abs(mixed).max() * 0.8, 16_000)
    assert "coffee" in transcribe_file(tmp_path / "mixed.wav", engine, vad, "en").text.lower()
