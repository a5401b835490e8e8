"""The voices, each loaded once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soxr

from agentbox.asr.load import load_engine
from agentbox.messages import SAMPLE_RATE_HZ
from agentbox.tts.engine import Samples
from agentbox.tts.hibari import HibariVoice

Hear = Callable[[Samples, int], str]


@pytest.fixture(scope="session")
def voice_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("voices")


@pytest.fixture(scope="session")
def voice(voice_cache: Path) -> HibariVoice:
    return HibariVoice(voice_cache)


@pytest.fixture(scope="session")
def hear(models_dir: Path) -> Hear:
    """What our own ears make of a voice's sound, at its rate."""
    engine = load_engine("moonshine-tiny-en", "en", models_dir)

    def heard(sound: Samples, rate_hz: int) -> str:
        quiet = np.zeros(SAMPLE_RATE_HZ // 4, dtype=np.float32)
        speech = soxr.resample(sound.astype(np.float32) / 32768.0, rate_hz, SAMPLE_RATE_HZ)
        return engine.transcribe(np.concatenate([quiet, speech, quiet]), language="en").text

    return heard
