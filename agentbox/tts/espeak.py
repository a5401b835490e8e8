"""espeak-ng: a voice for nearly every language, understandable and robotic, where there is no better one.

It is a program of its own under the GPL, run as one: nothing of it is linked. The text goes in on standard input, where
no list of processes shows it.
"""

from __future__ import annotations

import shutil
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
        tag = language.lower()
        self._voice = _NAMES.get(tag) or _NAMES.get(tag.split("-")[0]) or tag.split("-")[0]
        self.name = f"espeak-{self._voice}"
        self.languages: tuple[str, ...] = (language,)
        if shutil.which(PROGRAM) is None or not self.say("1").size:
            raise ModelError(
                "voice_missing",
                f"There is no voice for the language {language!r} on this machine.",
                "Run: sudo apt-get install espeak-ng",
            )

    def say(self, text: str, pace: float = 1.0) -> Samples:
        command = [PROGRAM, "-v", self._voice, "-s", str(round(WORDS_PER_MINUTE * pace)), "--stdin", "--stdout"]
        try:
            # The path is the owner's own; there is no shell.
            done = subprocess.run(command, input=text.encode(), capture_output=True, timeout=_LIMIT_S, check=True)  # noqa: S603
        except subprocess.CalledProcessError:
            return NOTHING
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ModelError(
                "voice_failed", f"The voice {self.name} did not answer.", "Run: agentbox doctor"
            ) from error
        # A header for sound of unknown length, then the samples.
        return np.frombuffer(done.stdout[_HEADER_BYTES:][: (len(done.stdout) - _HEADER_BYTES) // 2 * 2], dtype="<i2")

    def close(self) -> None:
        """Nothing is held."""
