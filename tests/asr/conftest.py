"""The real models and real recordings of the tests of the `asr` room."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray

from agentbox.asr.catalogue import Model
from agentbox.asr.load import load_engine
from agentbox.asr.moonshine import Moonshine
from agentbox.asr.pull import ensure

DATA = Path(__file__).parents[2].parent / "shared" / "data"

BECKETT = {
    "name": "spoken-sample",
    "kind": "speech",
    "family": "moonshine",
    "about": "the recordings in the default model's wheel",
    "languages": [],
    "licence": "MIT",
    "files": {
        "beckett.wav": {
            "bytes": 318978,
            "sha256": "e5a26b3d29e5b0bc8dbd72c11d16a3808a4ec0ac45b21f12a27d2a2fe5c5ae61",
        },
        "two_cities.wav": {
            "bytes": 4260326,
            "sha256": "f3348494d77cb74a02862f5e685ed09faf3e75832c5cc5c80703282c2cd8b52e",
        },
    },
    "sources": [
        {
            "kind": "wheel",
            "package": "moonshine-voice==0.1.0",
            "platform": "manylinux_2_34_x86_64",
            "folder": "moonshine_voice/assets",
        }
    ],
}


@pytest.fixture(scope="session")
def engine(models_dir: Path) -> Moonshine:
    """The default model."""
    loaded = load_engine("moonshine-tiny-en", "en", models_dir)
    assert isinstance(loaded, Moonshine)
    return loaded


@pytest.fixture(scope="session")
def recordings(models_dir: Path) -> dict[str, NDArray[np.float32]]:
    """`beckett` (10 s) and `two_cities` (44 s) read aloud: float32 [n], 16 kHz."""
    folder = ensure(msgspec.convert(BECKETT, Model), models_dir)
    return {name: read(folder / f"{name}.wav") for name in ("beckett", "two_cities")}


def read(path: Path) -> NDArray[np.float32]:
    """Mono, 16 kHz."""
    sound, rate = soundfile.read(path, dtype="float32", always_2d=True)
    mono: NDArray[np.float32] = sound.mean(axis=1, dtype=np.float32)
    return mono if rate == 16_000 else np.asarray(soxr.resample(mono, rate, 16_000), dtype=np.float32)
