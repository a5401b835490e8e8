"""What a voice is to the rest of the house: words in, sound out, and what it can do said beforehand."""

from __future__ import annotations

from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from agentbox.languages import covers

Samples: TypeAlias = NDArray[np.int16]
"""Mono sound of `Voice.sample_rate_hz`, shape [n]."""

NOTHING: Samples = np.zeros(0, dtype=np.int16)


class Voice(Protocol):
    """Says one sentence at a time. Used by one thread at a time, not necessarily always the same."""

    name: str
    languages: tuple[str, ...]
    """BCP-47 tags; `en` covers `en-GB`."""
    sample_rate_hz: int

    def say(self, text: str, pace: float = 1.0) -> Samples:
        """The sound of one sentence; empty where nothing in it can be said. Raises `ModelError` `voice_failed`."""
        ...

    def close(self) -> None:
        """Let go of what it holds; nothing is said afterwards."""
        ...


def speaks(voice: Voice, language: str) -> bool:
    """Whether `voice` knows `language` (BCP-47)."""
    return any(covers(tag, language) for tag in voice.languages)
