"""Benchmarks of the speech engine: words wrong on real recordings, and time against sherpa-onnx (memory: see memory).

The recordings are the Asterisk prompts of Debian's packages asterisk-core-sounds-en-g722 (G.722, 16 kHz) and
asterisk-core-sounds-en (what is said): one professional speaker, studio sound, CC-BY-SA-3.0. PyAV decodes them and
sherpa-onnx is the engine compared with; both come with `pip install agentbox[bench]`.
"""

from __future__ import annotations

import gzip
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from agentbox.asr.engine import Engine
from agentbox.bench.sherpa import extra_missing, sherpa_decoder
from agentbox.bench.words import Errors, word_errors
from agentbox.errors import InputError
from agentbox.messages import SAMPLE_RATE_HZ

Sound: TypeAlias = NDArray[np.float32]

PROMPTS = Path("/usr/share/asterisk/sounds/en_US_f_Allison")
PROMPT_TEXTS = Path("/usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz")

LONGEST_S = 20.0
"""Longer recordings would have to be cut first, which is not what is measured here."""


@dataclass(frozen=True, slots=True)
class Clip:
    """A recording and what is said in it; `samples` is float32 [n], 16 kHz."""

    name: str
    samples: Sound
    text: str

    @property
    def seconds(self) -> float:
        return len(self.samples) / SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True)
class Accuracy:
    """What an engine made of many clips."""

    clips: int
    errors: Errors
    perfect: int
    """Clips without a wrong word."""
    suppressed: int
    """Clips whose words a guard threw away."""
    audio_s: float
    decode_s: float
    worst: list[tuple[str, str, str]]
    """Name, what is said, what was heard, of the clips with most errors."""

    @property
    def rtf(self) -> float:
        """Seconds of decoding per second of sound."""
        return self.decode_s / self.audio_s


@dataclass(frozen=True, slots=True)
class Speed:
    """Both engines on the same clips, in turns, one thread each: medians over clips and rounds, milliseconds."""

    clips: int
    rounds: int
    ours_ms: float
    sherpa_ms: float
    ratio: float
    """Median of ours / theirs, clip by clip."""


# Recordings


def prompts(folder: Path = PROMPTS, texts: Path = PROMPT_TEXTS, *, shortest_s: float = 0.0) -> list[Clip]:
    """The Asterisk prompts that say words and are not longer than `LONGEST_S`, by name.

    Raises `InputError` `file_missing` where the Debian packages are not installed, `extra_missing` without PyAV.
    """
    if not folder.is_dir() or not texts.is_file():
        raise InputError(
            "file_missing",
            f"There are no recordings in {folder}.",
            "Run: apt-get install asterisk-core-sounds-en asterisk-core-sounds-en-g722",
        )
    said = _read_texts(texts)
    clips = []
    for path in sorted(folder.rglob("*.g722")):
        text = said.get(str(path.relative_to(folder).with_suffix("")), "")
        # G.722 is 64 kbit/s, whatever is said: 8000 bytes a second.
        if shortest_s <= path.stat().st_size / 8000 <= LONGEST_S and word_errors(text, "").words:
            clips.append(Clip(path.stem, _read_g722(path), text))
    return clips


def _read_texts(path: Path) -> dict[str, str]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        pairs = [line.split(":", 1) for line in lines if ":" in line and not line.startswith(";")]
    return {name.strip(): text.strip() for name, text in pairs}


def _read_g722(path: Path) -> Sound:
    try:
        import av
    except ImportError as error:
        raise extra_missing("PyAV") from error
    with av.open(str(path), format="g722") as container:
        frames = [frame.to_ndarray().reshape(-1) for frame in container.decode(audio=0)]
    return np.concatenate(frames).astype(np.float32) / 32768.0


def recordings(paths: Sequence[Path]) -> list[Clip]:
    """Sound files of the user's, without texts."""
    clips = []
    for path in paths:
        sound, rate = soundfile.read(path, dtype="float32", always_2d=True)
        mono = sound.mean(axis=1, dtype=np.float32)
        samples = mono if rate == SAMPLE_RATE_HZ else soxr.resample(mono, rate, SAMPLE_RATE_HZ)
        clips.append(Clip(path.stem, np.asarray(samples[: int(LONGEST_S * SAMPLE_RATE_HZ)], np.float32), ""))
    return clips


# What is measured


def accuracy(engine: Engine, clips: Sequence[Clip], language: str = "en", worst: int = 5) -> Accuracy:
    """Decode `clips` and count the words that are wrong."""
    total = Errors(0, 0)
    found: list[tuple[Errors, tuple[str, str, str]]] = []
    suppressed = 0
    decode_s = 0.0
    for clip in clips:
        heard = engine.transcribe(clip.samples, language=language)
        errors = word_errors(clip.text, heard.text)
        total += errors
        suppressed += heard.suppressed is not None
        decode_s += heard.decode_ms / 1000
        found.append((errors, (clip.name, clip.text, heard.text)))
    found.sort(key=lambda item: item[0].edits, reverse=True)
    return Accuracy(
        clips=len(clips),
        errors=total,
        perfect=sum(errors.edits == 0 for errors, _ in found),
        suppressed=suppressed,
        audio_s=sum(clip.seconds for clip in clips),
        decode_s=decode_s,
        worst=[row for errors, row in found[:worst] if errors.edits],
    )


def speed(engine: Engine, model_folder: Path, clips: Sequence[Clip], rounds: int = 3, language: str = "en") -> Speed:
    """Decode every clip with `engine` (one thread) and with sherpa-onnx on the same files, in turns.

    The first round warms up and is not counted. Raises `InputError` `extra_missing` without sherpa-onnx.
    """
    sherpa = sherpa_decoder(model_folder)
    ours: list[float] = []
    theirs: list[float] = []
    for number in range(rounds + 1):
        for index, clip in enumerate(clips):
            turns: list[tuple[list[float], Callable[[], object]]] = [
                (ours, lambda clip=clip: engine.transcribe(clip.samples, language=language)),  # type: ignore[misc]
                (theirs, lambda clip=clip: sherpa(clip.samples)),  # type: ignore[misc]
            ]
            for times, decode in turns if (number + index) % 2 else reversed(turns):
                started = time.perf_counter()
                decode()
                elapsed_ms = (time.perf_counter() - started) * 1000
                if number:
                    times.append(elapsed_ms)
    return Speed(
        clips=len(clips),
        rounds=rounds,
        ours_ms=statistics.median(ours),
        sherpa_ms=statistics.median(theirs),
        ratio=statistics.median(a / b for a, b in zip(ours, theirs, strict=True)),
    )
