"""Sound files and standard input as blocks of 16 kHz mono int16, a few at a time: a three-hour file takes no more
memory than a short one."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from agentbox.audio.segment import Samples
from agentbox.errors import InputError
from agentbox.messages import SAMPLE_RATE_HZ


class Converter:
    """Any rate and channel count to 16 kHz mono int16, block by block (soxr, high quality).

    One or two channels are averaged; of more, only the first is used: microphone arrays put their processed
    signal there, and averaging the raw ones would comb-filter the voice.
    """

    def __init__(self, rate_hz: int, channels: int) -> None:
        self._channels = channels
        self._resampler = None
        if rate_hz != SAMPLE_RATE_HZ:
            self._resampler = soxr.ResampleStream(rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32", quality="HQ")

    def convert(self, block: NDArray[np.float32], *, last: bool = False) -> Samples:
        """`block`: float32 [frames, channels], -1..1. `last` flushes what the resampler holds back."""
        mono = block[:, 0] if self._channels > 2 else block.mean(axis=1, dtype=np.float32)
        if self._resampler is not None:
            mono = self._resampler.resample_chunk(np.ascontiguousarray(mono), last=last)
        # A damaged float file can hold NaN; the models would answer NaN from then on.
        clean = np.nan_to_num(mono, nan=0.0, posinf=1.0, neginf=-1.0)
        samples: Samples = np.clip(np.rint(clean * 32768.0), -32768, 32767).astype(np.int16)
        return samples


BLOCK_MS = 96
"""How much sound is read at a time."""

_BEGINNINGS = (
    b"RIFF",
    b"RF64",
    b"fLaC",
    b"OggS",
    b"FORM",
    b"caff",
    b".snd",
    b"ID3",
)
"""How sound files begin: WAV, FLAC, OGG, AIFF, CAF, AU and MP3. MP3 may also begin with a frame (`_is_mp3`)."""

_HEAD_BYTES = 1500
"""So much is looked at to tell a file from raw sound: more than a frame of MP3 and the beginning of the next."""

_PIPE_BYTES = 1 << 20

_MP3_KBITS = {
    True: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    False: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""Bit rates of a frame's header, from 1 on: of MPEG-1, and of the lower sample rates (ISO 11172-3, 13818-3)."""


def read_file(path: Path, block_ms: int = BLOCK_MS) -> Iterator[Samples]:
    """The file's sound in blocks of about `block_ms`.

    Raises `InputError`: `file_missing`, `file_unreadable`, `file_empty`, `file_not_audio`, `file_damaged` (the sound
    before the damage was given).
    """
    with _open(path) as sound:
        yield from _blocks(sound, path.name, block_ms)


def read_pipe(pipe: BinaryIO, name: str = "standard input", block_ms: int = BLOCK_MS) -> Iterator[Samples]:
    """The same for what comes through a pipe: a sound file, known by how it begins, or else raw 16 kHz mono s16le,
    which is given as it comes. A file is kept on disk (`$TMPDIR`) until it is read: its form is read to and fro.

    Raises `InputError`: `file_unreadable`, `file_empty`, `file_not_audio`, `file_damaged`.
    """
    try:
        head = pipe.read(_HEAD_BYTES)
        if not head:
            raise InputError("file_empty", f"{name} is empty (0 bytes).", "Pipe a sound file into it.")
        if not _begins_a_file(head):
            yield from _raw(pipe, head, block_ms)
            return
        with tempfile.TemporaryFile() as file:
            file.write(head)
            while data := pipe.read(_PIPE_BYTES):
                file.write(data)
            file.seek(0)
            with _sound_in(file, name) as sound:
                yield from _blocks(sound, name, block_ms)
    except OSError as error:
        raise InputError(
            "file_unreadable",
            f"{name} cannot be read: {error.strerror}.",
            "A sound file from a pipe needs room in the folder for temporary files (TMPDIR).",
        ) from error


def _begins_a_file(head: bytes) -> bool:
    # MP4 (M4A) cannot be read here; taken for raw sound it would be noise, and nobody told why.
    return head.startswith(_BEGINNINGS) or head[4:8] == b"ftyp" or _is_mp3(head)


def _is_mp3(head: bytes) -> bool:
    """Whether it begins with two frames. Of the sign of one alone, raw sound has some in ten thousand, and what comes
    from a microphone would be kept on disk for good instead of written down."""
    length = _mp3_frame(head)
    return length > 0 and _mp3_frame(head[length:]) > 0


def _mp3_frame(data: bytes) -> int:
    """The length in bytes of the frame of layer III whose header stands there; 0 where none does."""
    if len(data) < 4 or data[0] != 0xFF or data[1] & 0xE0 != 0xE0:
        return 0
    version, layer = data[1] >> 3 & 3, data[1] >> 1 & 3
    bits, rate = data[2] >> 4, data[2] >> 2 & 3
    if version == 1 or layer != 1 or bits in (0, 15) or rate == 3:
        return 0
    rate_hz = (44_100, 48_000, 32_000)[rate] >> {3: 0, 2: 1, 0: 2}[version]
    samples = 1152 if version == 3 else 576
    return samples // 8 * 1000 * _MP3_KBITS[version == 3][bits - 1] // rate_hz + (data[2] >> 1 & 1)


def _raw(pipe: BinaryIO, head: bytes, block_ms: int) -> Iterator[Samples]:
    rest = head
    size = SAMPLE_RATE_HZ * block_ms // 1000 * 2
    while data := pipe.read(size):
        data = rest + data
        whole = len(data) // 2 * 2
        rest = data[whole:]
        yield np.frombuffer(data[:whole], dtype="<i2").astype(np.int16)
    if len(rest) >= 2:
        yield np.frombuffer(rest[: len(rest) // 2 * 2], dtype="<i2").astype(np.int16)


def _blocks(sound: Any, name: str, block_ms: int) -> Iterator[Samples]:
    if sound.frames == 0:
        raise InputError("file_empty", f"{name} holds no sound.", "Record it again.")
    converter = Converter(sound.samplerate, sound.channels)
    frames = max(1, sound.samplerate * block_ms // 1000)
    try:
        while True:
            block = sound.read(frames, dtype="float32", always_2d=True)
            last = len(block) < frames
            samples = converter.convert(block, last=last)
            if samples.size:
                yield samples
            if last:
                return
    except soundfile.LibsndfileError as error:
        raise InputError(
            "file_damaged",
            f"{name} is damaged after {sound.tell() / sound.samplerate:.1f} s.",
            "Copy it again.",
        ) from error


def duration_s(path: Path) -> float:
    """The file's length in seconds, by its header. Raises as `read_file`."""
    with _open(path) as sound:
        return float(sound.frames) / float(sound.samplerate)


def _open(path: Path) -> Any:
    if path.is_dir():
        raise InputError("file_missing", f"{path} is a folder.", "Name a sound file in it.")
    if not path.is_file():
        raise InputError("file_missing", f"There is no file {path}.", "Check the path.")
    try:
        if path.stat().st_size == 0:
            raise InputError("file_empty", f"{path.name} is empty (0 bytes).", "Record it again.")
        with path.open("rb"):
            pass
        return _sound_in(os.fsencode(path), path.name)  # libsndfile's names are bytes; ours need not be UTF-8
    except OSError as error:
        raise InputError(
            "file_unreadable", f"{path.name} cannot be read: {error.strerror}.", "Check the file's permissions."
        ) from error


def _sound_in(file: Any, name: str) -> Any:
    """A path or an open file as sound. Raises `InputError` `file_not_audio`."""
    try:
        sound = soundfile.SoundFile(file)
    except (soundfile.LibsndfileError, TypeError, ValueError) as error:
        raise InputError(
            "file_not_audio",
            f"{name} is not a sound file that can be read.",
            "Use WAV, FLAC, OGG or MP3; for raw sound pipe 16 kHz mono s16le.",
        ) from error
    if sound.samplerate <= 0 or sound.channels <= 0:
        sound.close()
        raise InputError("file_not_audio", f"{name} declares no channel or no sample rate.", "Record it again.")
    return sound
