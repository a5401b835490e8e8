"""espeak-ng: a voice for nearly every language, understandable and robotic, where there is no better one.

It is a program of its own under the GPL, run as one: nothing of it is linked. The text goes in on standard input, where
no list of processes shows it.
"""

from __future__ import annotations

import contextlib
import subprocess

import numpy as np

from agentbox.errors import ModelError
from agentbox.tts.engine import NOTHING, Samples

PROGRAM = "espeak-ng"
WORDS_PER_MINUTE = 165
"""At pace 1; its own 175 is hurried."""

_LIMIT_S = 20.0
_HEADER_BYTES = 44
_NAMES = {"zh": "cmn", "zh-hk": "yue", "en": "en-us"}
"""Of languages that it calls otherwise."""


class EspeakVoice:
    """See `engine.Voice`. Raises `ModelError` `voice_missing` where the program is not installed or does not know
    `language` (BCP-47)."""

    sample_rate_hz = 22_050

    def __init__(self, language: str) -> None:
        self._voice = _found(language)
        self.name = f"espeak-{self._voice}"
        self.languages: tuple[str, ...] = (language,)

    def say(self, text: str, pace: float = 1.0) -> Samples:
        if not any(map(str.isalnum, text)):
            return NOTHING
        try:
            sound = _run(self._voice, text, round(WORDS_PER_MINUTE * pace))
        except (OSError, subprocess.SubprocessError) as error:
            raise ModelError(
                "voice_failed", f"The voice {self.name} did not answer.", "Run: agentbox doctor"
            ) from error
        # A header for sound of unknown length, then the samples.
        return np.frombuffer(sound[_HEADER_BYTES:][: max(0, len(sound) - _HEADER_BYTES) // 2 * 2], dtype="<i2")

    def close(self) -> None:
        """Nothing is held."""


def _found(language: str) -> str:
    """The name by which espeak-ng knows `language`: the country's own way of speaking, or else the language's."""
    tag = language.lower()
    primary = tag.split("-")[0]
    names = [_NAMES.get(tag, "cmn")] if primary == "zh" else [_NAMES.get(tag, tag), _NAMES.get(primary, primary)]
    for name in dict.fromkeys(names):
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            if len(_run(name, "1", WORDS_PER_MINUTE)) > _HEADER_BYTES:
                return name
    raise ModelError(
        "voice_missing",
        f"There is no voice for the language {language!r} on this machine.",
        "Run: sudo apt-get install espeak-ng",
    )


def _run(voice: str, text: str, words_per_minute: int) -> bytes:
    """Raises `OSError`, `subprocess.SubprocessError`."""
    command = [PROGRAM, "-v", voice, "-s", str(words_per_minute), "--stdin", "--stdout"]
    # Double brackets would be read as phonemes.
    plain = text.replace("[[", "[ [").encode("utf-8", "replace")
    # There is no shell, and the name of the program is ours.
    return subprocess.run(command, input=plain, capture_output=True, timeout=_LIMIT_S, check=True).stdout  # noqa: S603
