"""How likely a transducer holds it that a sound says given tokens.

The forward algorithm (Graves: "Sequence Transduction with Recurrent Neural Networks", 2012, section 2.4), with at most
one token in each frame, as such a model is searched here and by sherpa-onnx, and with a predictor that knows only the
last tokens (Ghodsi et al.: "RNN-Transducer with Stateless Prediction Network", 2020).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from agentbox.asr.engine import Aborted
from agentbox.asr.logits import Floats, log_softmax

MARGIN = 25.0
"""A place along a way's tokens is not followed where it is less likely than another by so much (natural logarithm): the
joiner's rows cost more than all the rest. What is out of the question as a name may get a score too low by it."""


class Transducer(Protocol):
    """The two graphs that it takes beside the encoder. Both raise `ModelError` `model_failed`."""

    @property
    def no_tokens(self) -> tuple[int, ...]:
        """The context that an utterance begins with."""
        ...

    @property
    def silent_tokens(self) -> Sequence[int]:
        """The blank, and what else writes nothing."""
        ...

    def predict(self, contexts: Sequence[Sequence[int]], /) -> Floats:
        """float32 [contexts, width]"""
        ...

    def join(self, rows: Floats, predicted: Floats, /) -> Floats:
        """The logits for each pair of two of [n, width]: [n, vocabulary]."""
        ...


def forward_logprobs(
    model: Transducer,
    rows: Sequence[Floats],
    ways: Sequence[Sequence[int]],
    abort: Callable[[], bool] | None = None,
) -> list[float]:
    """log P(tokens | sound) for each of `ways`, [tokens], or a little less (see `MARGIN`); -inf for more of them than
    there are frames. `rows`: what the encoder gave, each [width].

    One run of the joiner for each frame: ways that have said the same lately share its rows. Raises `Aborted`,
    `ModelError` `model_failed`.
    """
    if not ways:
        return []
    longest = max(map(len, ways))
    numbers: dict[tuple[int, ...], int] = {}
    contexts = np.zeros((len(ways), longest + 1), dtype=np.int64)
    following = np.zeros((len(ways), longest + 1), dtype=np.int64)
    for way, tokens in enumerate(ways):
        context = model.no_tokens
        for at, token in enumerate((*tokens, None)):
            contexts[way, at] = numbers.setdefault(context, len(numbers))
            if token is not None:
                following[way, at] = token
                context = (*context[1:], token)
    predicted = model.predict([*numbers])
    said = np.full(contexts.shape, -math.inf)
    said[:, 0] = 0.0
    beyond = np.arange(longest + 1) > np.array([len(tokens) for tokens in ways])[:, None]
    for row in rows:
        if abort is not None and abort():
            raise Aborted
        said[(said < said.max(axis=1, keepdims=True) - MARGIN) | beyond] = -math.inf
        live = said > -math.inf
        needed, inverse = np.unique(contexts[live], return_inverse=True)
        logprobs = log_softmax(model.join(np.repeat(row[None], len(needed), axis=0), predicted[needed]))
        nothing = np.logaddexp.reduce(logprobs[:, list(model.silent_tokens)], axis=1)
        stayed, went = said.copy(), np.full(said.shape, -math.inf)
        stayed[live] += nothing[inverse]
        went[live] = said[live] + logprobs[inverse, following[live]]
        said = stayed
        said[:, 1:] = np.logaddexp(said[:, 1:], went[:, :-1])
    return [float(said[way, len(tokens)]) for way, tokens in enumerate(ways)]
