"""Sound files of every kind, good and bad, become 16 kHz mono or a coded error."""

from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile

from agentbox.audio.files import duration_s, read_file
from agentbox.errors import InputError


def tone(path: Path, *, rate_hz: int = 16000, channels: int = 1, seconds: float = 1.0, subtype: str = "PCM_16") -> Path:
    wave = 0.5 * np.sin(2 * np.pi * 440 * np.arange(int(rate_hz * seconds)) / rate_hz)
    soundfile.write(path, np.repeat(wave[:, None], channels, axis=1), rate_hz, subtype=subtype)
    return path


def read(path: Path) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    return np.concatenate(list(read_file(path)))


@pytest.mark.parametrize("rate_hz", [8000, 11025, 16000, 44100, 48000, 96000])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_any_rate_and_channel_count(tmp_path: Path, rate_hz: int, channels: int) -> None:
    samples = read(tone(tmp_path / "tone.wav", rate_hz=rate_hz, channels=channels))
    assert samples.dtype == np.int16
    assert samples.size == pytest.approx(16000, abs=2)
    spectrum = np.abs(np.fft.rfft(samples[2000:14000]))
    assert np.argmax(spectrum) * 16000 / 12000 == pytest.approx(440, abs=2)
    assert np.abs(samples[2000:14000]).max() == pytest.approx(16384, rel=0.02)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_24", "PCM_32", "FLOAT", "ULAW"])
def test_any_sample_format(tmp_path: Path, subtype: str) -> None:
    samples = read(tone(tmp_path / "tone.wav", subtype=subtype))
    assert np.abs(samples).max() == pytest.approx(16384, rel=0.05)


def test_sixteen_bit_at_sixteen_kilohertz_comes_through_bit_for_bit(tmp_path: Path) -> None:
    original = np.random.default_rng(1).integers(-32768, 32767, 20_001, dtype=np.int16)
    soundfile.write(tmp_path / "x.flac", original, 16000)
    assert np.array_equal(read(tmp_path / "x.flac"), original)
    assert duration_s(tmp_path / "x.flac") == pytest.approx(1.25, abs=0.001)


def test_not_a_number_becomes_silence(tmp_path: Path) -> None:
    wave = np.array([0.1, np.nan, np.inf, -np.inf], dtype=np.float32)
    soundfile.write(tmp_path / "x.wav", wave, 16000, subtype="FLOAT")
    assert read(tmp_path / "x.wav").tolist() == [3277, 0, 32767, -32768]


def write_header(path: Path, *, channels: int, rate_hz: int = 16000) -> None:
    body = b"\0" * 320
    chunk = struct.pack("<HHIIHH", 1, channels, rate_hz, rate_hz * 2 * channels, 2 * channels, 16)
    path.write_bytes(
        b"RIFF" + struct.pack("<I", 36 + len(body)) + b"WAVEfmt " + struct.pack("<I", 16) + chunk
        + b"data" + struct.pack("<I", len(body)) + body
    )  # fmt: skip


def test_bad_files_have_their_codes(tmp_path: Path) -> None:
    empty = tmp_path / "empty.wav"
    empty.touch()
    text = tmp_path / "notes.wav"
    text.write_text("not a sound at all\n" * 100)
    no_channel = tmp_path / "no-channel.wav"
    write_header(no_channel, channels=0)
    no_frames = tmp_path / "no-frames.wav"
    soundfile.write(no_frames, np.zeros(0), 16000)
    header_only = tmp_path / "header.wav"
    header_only.write_bytes(tone(tmp_path / "good.wav").read_bytes()[:20])
    expected = {
        tmp_path / "none.wav": "file_missing",
        tmp_path: "file_missing",
        empty: "file_empty",
        text: "file_not_audio",
        no_channel: "file_not_audio",
        no_frames: "file_empty",
        header_only: "file_not_audio",
    }
    for path, code in expected.items():
        with pytest.raises(InputError) as caught:
            list(read_file(path))
        assert caught.value.code == code, path.name
        assert caught.value.todo


def test_a_truncated_file_gives_what_it_has(tmp_path: Path) -> None:
    whole = tone(tmp_path / "whole.wav", seconds=2).read_bytes()
    cut = tmp_path / "cut.wav"
    cut.write_bytes(whole[: len(whole) // 2])
    assert read(cut).size == pytest.approx(16000, abs=200)


def test_a_damaged_file_gives_the_sound_before_the_damage_and_an_error(tmp_path: Path) -> None:
    noise = np.random.default_rng(2).integers(-9000, 9000, 80_000, dtype=np.int16)
    soundfile.write(tmp_path / "whole.flac", noise, 16000)
    data = bytearray((tmp_path / "whole.flac").read_bytes())
    half = len(data) // 2
    (tmp_path / "cut.flac").write_bytes(data[:half])
    got: list[int] = []
    with pytest.raises(InputError) as caught:
        got.extend(block.size for block in read_file(tmp_path / "cut.flac"))
    assert caught.value.code == "file_damaged"
    assert sum(got) > 16_000


def test_three_hours_take_no_more_memory_than_a_minute(tmp_path: Path) -> None:
    path = tmp_path / "long.flac"
    minute = np.zeros(8000 * 60, dtype=np.int16)
    with soundfile.SoundFile(path, "w", 8000, 1, subtype="PCM_16") as out:
        for _ in range(180):
            out.write(minute)
    assert duration_s(path) == 3 * 3600
    tracemalloc.start()
    total = sum(block.size for block in read_file(path, block_ms=1000))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert total == pytest.approx(3 * 3600 * 16000, abs=16000)
    assert peak < 8_000_000
