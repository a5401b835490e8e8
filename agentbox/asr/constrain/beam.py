"""Beam search under a network, from one encoding of the sound: all hypotheses go through the decoder as one batch.

Probabilities are over the model's whole vocabulary, not over the tokens the grammar allows: a sentence that the sound
does not hold stays improbable, however little else may be said. What the model would expect without the sound is taken
out (`prior`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from agentbox.asr.constrain.network import Network, State
from agentbox.asr.constrain.prior import Prior, context_of
from agentbox.asr.engine import Aborted
from agentbox.asr.moonshine import Encoding, Floats, Ints, Moonshine, log_softmax
from agentbox.asr.tokens import END

PRIOR_WEIGHT = 0.55
"""How much of the prior is taken out. 0.5 to 0.7 did as well on the drink orders; without a prior of three tokens'
context but of the whole sentence, 0.6 to 1.0."""

FREE_PRIOR = -2.0
"""In free text every token counts as this likely beforehand: any word may come there, and it is not worth knowing."""

MARGIN = 7.0
"""Hypotheses this far (natural logarithm) below the best whole sentence are given up."""


LIVE_MARGIN = 8.0
"""Hypotheses this far below the best one of as many tokens are given up: clear speech needs few."""


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A sentence of the grammar, or the beginning of one."""

    tokens: tuple[int, ...]
    score: float
    """log P(tokens | sound) - `PRIOR_WEIGHT` x log P(tokens); of several spellings of the same words added up."""
    logprob: float
    """log P(tokens | sound) of these very tokens, the end included where it has ended."""
    key: str
    """Letters and digits alone: the same for all spellings of the same words."""


@dataclass(frozen=True, slots=True)
class _Live:
    tokens: tuple[int, ...]
    score: float
    logprob: float
    key: str
    state: State


@dataclass(slots=True)
class Search:
    """One decoding. `steps` and `learnt` (contexts of the prior that were new) tell what it cost."""

    model: Moonshine
    network: Network
    prior: Prior
    beam: int
    steps: int = 0
    rows: int = 0
    learnt: int = 0

    def run(
        self,
        encoding: Encoding,
        start: State,
        cap: int,
        *,
        said: Sequence[int] = (),
        abort: Callable[[], bool] | None = None,
    ) -> list[Hypothesis]:
        """The sentences from the network's state `start` on that the sound may hold, the likeliest first.

        `cap`: the most tokens a sentence may have. `said`: tokens that were said before it (a wake phrase).
        Raises `Aborted`, `ModelError` `model_failed`.
        """
        live = [_Live((), 0.0, 0.0, "", start)]
        done: dict[str, Hypothesis] = {}
        best = -math.inf
        logits, state = self.model.begin_after(encoding, said)
        while live:
            if abort is not None and abort():
                raise Aborted
            priors = self._learn(live)
            self.steps += 1
            self.rows += len(live)
            logprobs = log_softmax(logits)
            for row, prior, one in zip(logprobs, priors, live, strict=True):
                if one.state.accepts:
                    ended = self._ended(one, float(row[END]), float(prior[-1]))
                    _merge(done, ended)
                    best = max(best, ended.score)
            live, rows = self._extended(live, logprobs, priors, best - MARGIN)
            if not live or len(live[0].tokens) > cap:
                break
            logits, state = self.model.step([one.tokens[-1] for one in live], state.rows(rows))
        return sorted(done.values(), key=lambda hypothesis: -hypothesis.score)

    def _learn(self, live: list[_Live]) -> list[Floats]:
        """The prior of all tokens that may follow each hypothesis, the end included (`State.asked`)."""
        asked = [(context_of(one.tokens), one.state) for one in live]
        missing = [(context, state.asked) for context, state in asked if context not in state.prior]
        if missing:
            self.learnt += self.prior.learn(missing)
        for context, state in asked:
            if context not in state.prior:
                state.prior[context] = self.prior.logprobs(context, state.asked)
        return [state.prior[context] for context, state in asked]

    def _ended(self, one: _Live, logprob: float, prior: float) -> Hypothesis:
        return Hypothesis(one.tokens, one.score + logprob - PRIOR_WEIGHT * prior, one.logprob + logprob, one.key)

    def _extended(
        self, live: list[_Live], logprobs: Floats, priors: list[Floats], least: float
    ) -> tuple[list[_Live], list[int]]:
        """The best continuations, one for each text so far, and the rows they come from."""
        candidates: list[tuple[float, float, int, int]] = []
        for row, one in enumerate(live):
            candidates += self._continued(one, logprobs[row], priors[row], row)
        candidates.sort(reverse=True)
        least = max(least, candidates[0][0] - LIVE_MARGIN) if candidates else least
        chosen: list[_Live] = []
        rows: list[int] = []
        seen: set[str] = set()
        for score, logprob, row, token in candidates:
            if score < least or len(chosen) == self.beam:
                break
            one = live[row]
            key = one.key + self.network.letters[token]
            if key in seen:
                continue
            state = self.network.step(one.state, token)
            if state is not None:
                seen.add(key)
                rows.append(row)
                chosen.append(_Live((*one.tokens, token), score, logprob, key, state))
        return chosen, rows

    def _continued(self, one: _Live, logprobs: Floats, prior: Floats, row: int) -> list[tuple[float, float, int, int]]:
        tokens = one.state.tokens
        own = logprobs[tokens]
        scores = one.score + own - PRIOR_WEIGHT * prior[: tokens.size]
        if one.state.free:
            free = self.network.tokens_of[one.state.free]
            free = free[~np.isin(free, tokens)]
            best = free[_best(logprobs[free], 2 * self.beam)]
            tokens = np.concatenate((tokens, best))
            own = np.concatenate((own, logprobs[best]))
            scores = np.concatenate((scores, one.score + logprobs[best] - PRIOR_WEIGHT * FREE_PRIOR))
        best = _best(scores, 2 * self.beam)
        return [
            (score, one.logprob + logprob, row, token)
            for score, logprob, token in zip(
                scores[best].tolist(), own[best].tolist(), tokens[best].tolist(), strict=True
            )
        ]


def _best(values: Floats, count: int) -> Ints:
    """The indices of the `count` greatest values, in no order."""
    return np.argpartition(values, -count)[-count:] if values.size > count else np.arange(values.size)


def _merge(done: dict[str, Hypothesis], new: Hypothesis) -> None:
    known = done.get(new.key)
    if known is None:
        done[new.key] = new
        return
    better = max(known, new, key=lambda hypothesis: hypothesis.score)
    score = float(np.logaddexp(known.score, new.score))
    done[new.key] = Hypothesis(better.tokens, score, better.logprob, new.key)
