"""Which tokens a Whisper model may write next, as its makers' own program has it (openai/whisper: decoding.py).

Times come in pairs: one begins a stretch of words and one ends it, and none is earlier than the one before.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from agentbox.asr.whisper_tokens import Vocabulary

Floats = NDArray[np.float32]


class Rules:
    """For one model; with marks of time among the words, or without."""

    def __init__(self, vocabulary: Vocabulary, size: int, *, times: bool) -> None:
        """`size`: how many tokens the graph scores."""
        self._vocabulary = vocabulary
        self._times = times
        self._never = np.zeros(size, dtype=bool)
        self._never[[token for token in vocabulary.suppressed if token < size]] = True
        marks = [token for token in vocabulary.pieces.special.values() if token < size and token != vocabulary.end]
        self._never[[token for token in marks if token < vocabulary.first_time]] = True
        self._never[vocabulary.first_time :] = not times
        self._not_first = self._never.copy()
        self._not_first[[token for token in vocabulary.begin_suppressed if token < size]] = True

    def apply(self, logits: Floats, said: Sequence[int]) -> None:
        """Take out of `logits`, [vocabulary], what may not follow `said`, the tokens after the prompt: they become
        minus infinity."""
        logits[self._not_first if not said else self._never] = -np.inf
        if self._times:
            self._apply_times(logits, said)

    def _apply_times(self, logits: Floats, said: Sequence[int]) -> None:
        first, end = self._vocabulary.first_time, self._vocabulary.end
        if not said:
            logits[:first] = -np.inf
            logits[first + self._vocabulary.latest_first_time + 1 :] = -np.inf
            return
        last_is_time = said[-1] >= first
        if last_is_time:
            if len(said) < 2 or said[-2] >= first:
                logits[first:] = -np.inf  # the pair is whole: now words, or the end
            else:
                logits[:end] = -np.inf  # the stretch has ended: the next one begins, or all ends
                logits[end + 1 : first] = -np.inf
        times = [token for token in said if token >= first]
        if times:
            # A stretch has a length; what begins at the end of the one before may begin at the same time.
            earliest = times[-1] if last_is_time and said[-2:-1] and said[-2] < first else times[-1] + 1
            logits[first:earliest] = -np.inf
        if _log_sum(logits[first:]) > logits[:first].max(initial=-np.inf):
            logits[:first] = -np.inf


def _log_sum(logits: Floats) -> float:
    """The logarithm of the sum of the exponentials."""
    highest = float(logits.max(initial=-np.inf))
    if not math.isfinite(highest):
        return highest
    return highest + math.log(float(np.exp(logits - highest).sum()))
