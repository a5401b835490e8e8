"""The voices, each loaded once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from agentbox.asr.load import load_engine
from agentbox.bench.speech import written
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
    return partial(written, load_engine("moonshine-tiny-en", "en", models_dir))
