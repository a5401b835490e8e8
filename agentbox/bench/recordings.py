"""Recordings for benchmarks: which sound files a folder has, and what is in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from agentbox.audio.files import read_file
from agentbox.audio.segment import Samples
from agentbox.errors import InputError

SOUND_SUFFIXES = (".flac", ".wav", ".ogg", ".mp3")


def sound_files(folder: Path) -> list[Path]:
    """All sound files under `folder`. Raises `InputError` `file_missing` where there is none."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SOUND_SUFFIXES)
    if not files:
        raise InputError("file_missing", f"There are no recordings at {folder}.", "Name a folder of sound files.")
    return files


def read_sound(path: Path) -> Samples:
    """int16 [n], 16 kHz. Raises what `read_file` raises."""
    return np.concatenate(list(read_file(path)))


def as_floats(samples: Samples) -> NDArray[np.float32]:
    """int16 sound as float32 in -1..1."""
    return np.asarray(samples, dtype=np.float32) / np.float32(32768)
