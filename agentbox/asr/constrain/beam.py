"""Beam search under a network, from one encoding of the sound: all hypotheses go through the decoder as one batch.

Probabilities are over the model's whole vocabulary, not over the tokens the grammar allows: a sentence that the sound
does not hold stays improbable, however little else may be said. What the model would expect without the sound is taken
out (`prior`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple

import numpy as np

from agentbox.asr.constrain.keys import longer, whole
from agentbox.asr.constrain.model import E, S, StepModel
from agentbox.asr.constrain.network import Alike, Network, State
from agentbox.asr.constrain.prior import Context, Expectation, context_of
from agentbox.asr.engine import Aborted
from agentbox.asr.logits import Floats, Ints, log_softmax

PRIOR_WEIGHT = 0.55
"""How much of the prior is taken out where the model is not sure of what it hears. 0.5 to 0.7 did as well on the drink
orders in noise; with a prior of the whole sentence, not of three tokens' context, 0.6 to 1.0."""

LEAST_PRIOR_WEIGHT = 0.1
"""The same where it is sure: then its expectation does no harm, and rare words gain nothing by being rare."""

UNSURE, SURE = 0.85, 0.98
"""Mean probability of the free reading's tokens at which the model counts as unsure and as sure. The drink orders have
0.79 at 6 dB and 0.86 in the clean (medians)."""

MARGIN = 7.0
"""Hypotheses this far (natural logarithm) below the best whole sentence are given up."""

PASSED = 15.0
"""What is less probable by this (natural logarithm) than the best whole sentence, by the sound alone, is given up: so
much no later word makes good. Else free text that spells "L. L. L." would gain without end by how rare that is. Of 210
commands, in noise and without, the right one was behind an earlier end by 0.0 (median) and at most 13.4."""

LIVE_MARGIN = 8.0
"""Hypotheses this far below the best one of as many tokens are given up: clear speech needs few."""


NEAR = 3.0
"""Hypotheses further than this behind the best one are looked up with the last token alone as the prior's context: such
contexts are few, and soon all known. Most that is new was brought by those far behind: of the drink orders at 6 dB 49
contexts each with three tokens and 30 so, in the clean 23 and 6; 148 of 160 were understood, not 146, and 158, not 157.
"""


@dataclass(frozen=True, slots=True)
class Limits:
    """When a search is given up."""

    behind: float = 20.0
    behind_by_token: float = 2.5
    """What is so far behind the free reading (natural logarithm; and by token) is no command, and it does not matter
    which."""
    rows: int = 1_000_000
    """How often one hypothesis may go on by one token, all together."""


PATIENCE_TOKENS = 10
"""When so many tokens have brought no better whole sentence, none is waited for: free text that goes round and round
loses little by the token."""

LONG_TOKENS, LONG_BEAM = 40, 4
"""After so many tokens so few hypotheses are followed: no sentence is as long but for its free text, and what a step
costs in time and memory grows with its tokens."""

_MOST_PRIORS = 64
"""Contexts whose figures are kept with a state."""


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A sentence of the grammar, or the beginning of one."""

    tokens: tuple[int, ...]
    score: float
    """log P(tokens | sound) - weight x log P(tokens); of several spellings of the same words added up."""
    logprob: float
    """log P(tokens | sound) of these very tokens, the end included where it has ended."""
    key: bytes
    """The same for all spellings of the same words (see `keys`)."""


@dataclass(frozen=True, slots=True)
class _Live:
    tokens: tuple[int, ...]
    score: float
    logprob: float
    key: bytes
    state: State


class _Ways(NamedTuple):
    """What one hypothesis can go on with."""

    own: Floats
    """By token that the state tells: its log-probability."""
    scores: Floats
    """The same with the hypothesis's score, the prior taken out."""
    free: Floats | None
    """By token of the vocabulary: the log-probability of those that only free text can go on with, else -inf."""
    best: float
    """The best score of all."""


@dataclass(slots=True)
class Search(Generic[E, S]):
    """One decoding. `steps` and `learnt` (contexts of the prior that were new) tell what it cost."""

    model: StepModel[E, S]
    network: Network
    prior: Expectation
    beam: int
    weight: float = PRIOR_WEIGHT
    limits: Limits = Limits()
    steps: int = 0
    rows: int = 0
    learnt: int = 0

    def run(
        self,
        encoding: E,
        start: State,
        cap: int,
        *,
        said: Sequence[int] = (),
        free_logprob: float | None = None,
        abort: Callable[[], bool] | None = None,
    ) -> list[Hypothesis]:
        """The sentences from the network's state `start` on that the sound may hold, the likeliest first.

        `cap`: the most tokens a sentence may have. `said`: tokens that were said before it (a wake phrase).
        `free_logprob`: log P(free reading | sound); the search is given up when no sentence can come near it any more.
        Raises `Aborted`, `ModelError` `model_failed`.
        """
        live = [_Live((), 0.0, 0.0, b"", start)]
        done: dict[bytes, Hypothesis] = {}
        best, best_logprob, best_at = -math.inf, -math.inf, 0
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
                    ended = self._ended(one, float(row[self.model.end]), float(prior[-1]))
                    _merge(done, ended)
                    if ended.score > best:
                        best, best_logprob, best_at = ended.score, ended.logprob, self.steps
            live, rows = self._extended(live, logprobs, priors, best - MARGIN, best_logprob - PASSED)
            if not live or len(live[0].tokens) > cap or self._hopeless(live, free_logprob):
                break
            if self.rows + len(live) > self.limits.rows:
                break
            if live[0].score < best and self.steps - best_at >= PATIENCE_TOKENS:
                break
            logits, state = self.model.step([one.tokens[-1] for one in live], state.rows(rows))
        return sorted(done.values(), key=lambda hypothesis: -hypothesis.score)

    def _hopeless(self, live: Sequence[_Live], free_logprob: float | None) -> bool:
        if free_logprob is None:
            return False
        behind = free_logprob - max(one.logprob for one in live)
        return behind > self.limits.behind + self.limits.behind_by_token * len(live[0].tokens)

    def _learn(self, live: list[_Live]) -> list[Floats]:
        """The prior of all tokens that may follow each hypothesis, the end included (`State.asked`)."""
        near = max(one.score for one in live) - NEAR
        asked = [(context_of(one.tokens if one.score >= near else one.tokens[-1:]), one.state) for one in live]
        found = [state.prior.get(context) for context, state in asked]
        self.learnt += self.prior.learn(
            context for (context, _), known in zip(asked, found, strict=True) if known is None
        )
        return [
            self._worked_out(context, state) if known is None else known
            for (context, state), known in zip(asked, found, strict=True)
        ]

    def _worked_out(self, context: Context, state: State) -> Floats:
        prior = _alike(self.prior.logprobs(context, state.asked), state.spelled_alike)
        if len(state.prior) >= _MOST_PRIORS:
            # After free text a state may be met in any context.
            state.prior.clear()
        state.prior[context] = prior
        return prior

    def _ended(self, one: _Live, logprob: float, prior: float) -> Hypothesis:
        return Hypothesis(one.tokens, one.score + logprob - self.weight * prior, one.logprob + logprob, whole(one.key))

    def _extended(
        self, live: list[_Live], logprobs: Floats, priors: list[Floats], least: float, least_logprob: float
    ) -> tuple[list[_Live], list[int]]:
        """The best continuations, one for each text so far, and the rows they come from."""
        ways = [self._ways_on(one, *at) for one, *at in zip(live, logprobs, priors, strict=True)]
        least = max(least, max(way.best for way in ways) - LIVE_MARGIN)
        candidates: list[tuple[float, float, int, int]] = []
        for row, (one, way) in enumerate(zip(live, ways, strict=True)):
            candidates += self._worth_it(one, way, least, row)
        candidates = sorted((of for of in candidates if of[1] >= least_logprob), reverse=True)
        most = self.beam if len(live[0].tokens) < LONG_TOKENS else min(self.beam, LONG_BEAM)
        chosen: list[_Live] = []
        rows: list[int] = []
        seen: set[bytes] = set()
        for score, logprob, row, token in candidates:
            if len(chosen) == most:
                break
            one = live[row]
            key = longer(one.key, self.network.keys[token])
            if key in seen:
                continue
            state = self.network.step(one.state, token)
            if state is not None:
                seen.add(key)
                rows.append(row)
                chosen.append(_Live((*one.tokens, token), score, logprob, key, state))
        return chosen, rows

    def _ways_on(self, one: _Live, logprobs: Floats, prior: Floats) -> _Ways:
        tokens = one.state.tokens
        own = logprobs[tokens]
        scores = one.score + own - self.weight * prior[: tokens.size]
        best = float(scores.max(initial=-math.inf))
        free = None
        if one.state.free:
            # Nothing is taken out in free text: the model's own expectation is the best there is, and a word of the
            # sentences is rather heard as such. Were there something to gain by the token, it would go round and round.
            is_free = self.network.is_of[one.state.free]
            free = np.where(is_free, logprobs[: is_free.size], np.float32(-np.inf))
            free[tokens[tokens < free.size]] = -np.inf
            best = max(best, one.score + float(free.max()))
        return _Ways(own, scores, free, best)

    def _worth_it(self, one: _Live, way: _Ways, least: float, row: int) -> list[tuple[float, float, int, int]]:
        """Score, logprob, row and token of the best ways on that reach `least`."""
        at = np.flatnonzero(way.scores >= least)
        tokens, own, scores = one.state.tokens[at], way.own[at], way.scores[at]
        if way.free is not None:
            freely = np.flatnonzero(way.free >= least - one.score)
            logprobs = way.free[freely]
            tokens, own = np.concatenate((tokens, freely)), np.concatenate((own, logprobs))
            scores = np.concatenate((scores, one.score + logprobs))
        best = _best(scores, 2 * self.beam)
        return [
            (score, one.logprob + logprob, row, token)
            for score, logprob, token in zip(
                scores[best].tolist(), own[best].tolist(), tokens[best].tolist(), strict=True
            )
        ]


def prior_weight(confidence: float) -> float:
    """How much of the prior is taken out, by the free reading's mean probability (0..1)."""
    unsure = min(max((SURE - confidence) / (SURE - UNSURE), 0.0), 1.0)
    return LEAST_PRIOR_WEIGHT + (PRIOR_WEIGHT - LEAST_PRIOR_WEIGHT) * unsure


def _best(values: Floats, count: int) -> Ints:
    """The indices of the `count` greatest values, in no order."""
    return np.argpartition(values, -count)[-count:] if values.size > count else np.arange(values.size)


def _alike(prior: Floats, groups: Alike) -> Floats:
    """The prior with the same figure, the greatest, for tokens that are one word in several letter cases.

    Else "Timer" would be worth more than "timer" for being written less often.
    """
    if groups.lengths.size:
        most = np.maximum.reduceat(prior[groups.places], groups.starts)
        prior[groups.places] = np.repeat(most, groups.lengths)
    return prior


def _merge(done: dict[bytes, Hypothesis], new: Hypothesis) -> None:
    known = done.get(new.key)
    if known is None:
        done[new.key] = new
        return
    better = max(known, new, key=lambda hypothesis: hypothesis.score)
    score = float(np.logaddexp(known.score, new.score))
    done[new.key] = Hypothesis(better.tokens, score, better.logprob, new.key)
