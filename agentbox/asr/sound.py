"""What no engine decodes: too little sound, and values that are no numbers."""

from __future__ import annotations

import numpy as np

from agentbox.asr.engine import Recognition, Samples
from agentbox.errors import InputError
from agentbox.messages import SAMPLE_RATE_HZ

MIN_SAMPLES = SAMPLE_RATE_HZ // 10
"""Shorter sound holds no word, and models fail on it."""


def too_short(samples: int) -> Recognition | None:
    """What is said of so many samples where they are too few; null where they are not."""
    if samples >= MIN_SAMPLES:
        return None
    return Recognition("", suppressed="too_short", audio_ms=samples * 1000 // SAMPLE_RATE_HZ)


def check_finite(samples: Samples) -> None:
    """Raises `InputError` `audio_not_finite`."""
    if not np.isfinite(samples).all():
        raise InputError("audio_not_finite", "The sound holds values that are no numbers.", "Check the file.")
