"""How sure it is that a command was meant, from what decoding found: a probability, fitted on recordings.

The evidence is how much worse the sound fits the command than its free reading (the log-likelihood ratio by token), how
far the next other meaning is behind, and whether the free reading says the same. `benchmarks/fit_confidence.py` fitted
the weights by logistic regression on the scores in `benchmarks/confidence-scores.csv`, and prints how well they do on
recordings they were not fitted on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

Outcome = Literal["act", "ask", "none"]

ACT = 0.5
"""From this probability on the box acts."""

ASK = 0.3
"""From this one on it asks."""

_MOST_RATIO = 4.0
_MOST_LOSS = 8.0
_MOST_MARGIN = 8.0


class Evidence(NamedTuple):
    """What decoding found out about the likeliest meaning."""

    ratio: float
    """(log P(free reading | sound) - log P(command | sound)) / tokens of the longer of the two."""
    loss: float
    """The same of the scores, from which the model's own expectation of language is taken out, by token of the
    command: what is left of the sound unsaid counts."""
    margin: float
    """How far the next other meaning's score is behind; infinite where there is none."""
    gain: float
    """The command's score by token: how much likelier the sound made it."""
    tokens: int
    same_words: bool
    """The free reading has the same letters."""


def terms(evidence: Evidence) -> tuple[float, ...]:
    """What the weights are for."""
    ratio = min(max(evidence.ratio, 0.0), _MOST_RATIO)
    return (
        1.0,
        ratio,
        ratio * ratio,
        min(max(evidence.loss, -1.0), _MOST_LOSS),
        min(evidence.margin, _MOST_MARGIN),
        evidence.gain,
        1.0 / max(evidence.tokens, 1),
        float(evidence.same_words),
    )


WEIGHTS = (0.233, -0.29, -1.166, -1.061, 0.401, 1.199, -0.014, -0.134)


PLAIN_WEIGHTS = (-0.5, -3.0, 0.0, 0.0, 0.5, 0.0, 0.0, 0.0)
"""For models whose own expectation of language is not taken out of the scores: `loss` says what `ratio` says, and
`gain` only how hard the sound was to hear."""


def probability(evidence: Evidence, weights: Sequence[float] = WEIGHTS) -> float:
    """The probability, 0..1, that the likeliest meaning was meant."""
    total = math.fsum(weight * term for weight, term in zip(weights, terms(evidence), strict=True))
    return 1 / (1 + math.exp(-max(-50.0, min(total, 50.0))))


def outcome(confidence: float) -> Outcome:
    """What to do about a command held for this probable."""
    return "act" if confidence >= ACT else "ask" if confidence >= ASK else "none"
