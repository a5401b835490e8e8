"""Sound that comes through a pipe: files, and raw sound."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from agentbox.audio.files import read_pipe
from agentbox.errors import InputError


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100_001])
def test_raw_sound_comes_whole_however_it_is_cut(size: int) -> None:
    data = np.random.default_rng(2).integers(1, 255, size, dtype=np.uint8).tobytes()
    found = b"".join(block.astype("<i2").tobytes() for block in read_pipe(io.BytesIO(data)))
    assert found == data[: size // 2 * 2]


@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG", "AIFF", "CAF", "AU", "MP3"])
def test_a_sound_file_through_a_pipe(form: str, tmp_path: Path) -> None:
    sound = np.random.default_rng(2).integers(-5000, 5000, 40_000, dtype=np.int16)
    soundfile.write(tmp_path / "x", sound, 48_000, format=form)
    with (tmp_path / "x").open("rb") as pipe:
        assert sum(block.size for block in read_pipe(pipe)) == pytest.approx(
            40_000 / 3, abs=1000 if form == "MP3" else 2
        )


@pytest.mark.parametrize(
    ("data", "code"), [(b"RIFFxxxxnonsense", "file_not_audio"), (b"fLaC", "file_not_audio"), (b"", "file_empty")]
)
def test_what_is_no_sound(data: bytes, code: str) -> None:
    with pytest.raises(InputError) as caught:
        list(read_pipe(io.BytesIO(data)))
    assert caught.value.code == code


@pytest.mark.parametrize("head", [b"\xff\xfb", b"\xff\xfb\x90\x00", b"\xff\xf3\x40\x00"])
def test_raw_sound_that_begins_as_a_frame_of_mp3_might(head: bytes) -> None:
    """A microphone's sound has no end: it must not wait for it on disk."""
    noise = np.random.default_rng(4).integers(-90, 90, 8000, dtype=np.int16).astype("<i2").tobytes()
    found = b"".join(block.astype("<i2").tobytes() for block in read_pipe(io.BytesIO(head + noise)))
    assert found == head + noise


@pytest.mark.parametrize("rate_hz", [8000, 16_000, 22_050, 44_100, 48_000])
def test_mp3_of_every_kind_is_known(rate_hz: int) -> None:
    made = io.BytesIO()
    soundfile.write(made, np.zeros(rate_hz, np.int16), rate_hz, format="MP3")
    assert sum(block.size for block in read_pipe(io.BytesIO(made.getvalue()))) == pytest.approx(16_000, abs=3000)


def test_a_film_is_no_raw_sound() -> None:
    with pytest.raises(InputError) as caught:
        list(read_pipe(io.BytesIO(b"\0\0\0\x20ftypM4A " + bytes(20_000))))
    assert caught.value.code == "file_not_audio"
