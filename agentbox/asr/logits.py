"""From a model's scores to tokens and how likely they are."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]
Ints: TypeAlias = NDArray[np.int64]

_ROWS = 32
"""Rows that are worked on at once: 8 MB for the largest vocabularies, where a long utterance has 100 MB of scores."""


def log_softmax(logits: Floats) -> Floats:
    """Logarithms of the probabilities that `logits` [batch, vocabulary] stand for."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    logprobs: Floats = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return logprobs


def normalised(logits: Floats) -> Floats:
    """`log_softmax` in place: what comes back is `logits`, changed."""
    for at in range(0, len(logits), _ROWS):
        logits[at : at + _ROWS] = log_softmax(logits[at : at + _ROWS])
    return logits


def best_of_rows(logits: Floats) -> tuple[Ints, Floats]:
    """The likeliest token of each row of `logits` [rows, vocabulary], and the logarithm of its probability: [rows]."""
    tokens = logits.argmax(axis=1)
    highest: Floats = logits[np.arange(len(logits)), tokens]
    logprobs = np.zeros(len(logits), dtype=np.float32)
    for at in range(0, len(logits), _ROWS):
        shifted = logits[at : at + _ROWS] - highest[at : at + _ROWS, None]
        logprobs[at : at + _ROWS] = -np.log(np.exp(shifted).sum(axis=1))
    return tokens, logprobs


def best_of_those_left(logits: Floats, left: Floats) -> tuple[int, float]:
    """The likeliest token of those that are left, and the logarithm of its probability among all of them; NaN where
    there is none. Both [vocabulary]."""
    token, highest = int(left.argmax()), logits.max()
    if left[token] == -np.inf:
        return token, math.nan
    return token, float(logits[token] - highest) - math.log(float(np.exp(logits - highest).sum()))
