"""A grammar made ready for one model: what `Listener.hear` decodes under, beside the free reading."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Generic, NamedTuple

import numpy as np

from agentbox.asr import guards
from agentbox.asr.constrain.beam import LONG_TOKENS, Hypothesis, Limits, Search, prior_weight
from agentbox.asr.constrain.model import E, S, StepModel
from agentbox.asr.constrain.network import Network
from agentbox.asr.constrain.prior import Context, Expectation, context_of
from agentbox.asr.constrain.reading import read
from agentbox.speech_grammar import Candidate, FreeReading, SpeechGrammar

BEAM = 12
"""Most hypotheses at a time; on clear speech two or three are left (see `beam.LIVE_MARGIN`)."""

MAX_CANDIDATES = 8

_SPARE_TOKENS = 12
"""Sentences may have so many tokens more than speech has at the free reading's cap: an owner may speak fast."""

_MORE_THAN_FREE = 24
"""They may have so many more than the free reading has, or a quarter more: in noise it may miss half of a command, but
half a minute of talk has no more words than it found."""

_MORE_THAN_BEGUN = 2
"""The same where the sound is only the beginning of a sentence: how it goes on is not to be heard yet, and to follow
all that may come took longer than the whole sentence."""

_BEHIND, _BEHIND_BY_TOKEN = 6.0, 1.5
"""See `beam.Limits`. Of 36 commands the right one was at most 0.6 a token behind what `whisper-base` read freely."""

_ROWS, _ROWS_BY_TOKEN = 20, 3
"""The same: free text goes on and on at little cost. Without a limit talk that was no command took 40 s and more."""


class Decoded(NamedTuple):
    """What a decoding under a grammar gave, and what it cost."""

    candidates: tuple[Candidate, ...]
    steps: int
    learnt: int
    """Contexts of the prior that were met for the first time, at some 2 ms each."""


class GrammarDecoder(Generic[E, S]):
    """Decodes under one grammar with one model. Belongs to the inference thread."""

    def __init__(self, model: StepModel[E, S], grammar: SpeechGrammar, prior: Expectation, beam: int = BEAM) -> None:
        self.prior = prior
        self.beam = beam
        self._model = model
        self.network = Network(grammar, model.speller(), model.table, model.end)

    def decode(
        self,
        encoding: E,
        roots: Sequence[str],
        *,
        said: Sequence[int] = (),
        free_logprob: float | None = None,
        free: Sequence[int] | None = None,
        confidence: float = 0.0,
        under_way: bool = False,
        abort: Callable[[], bool] | None = None,
    ) -> Decoded:
        """The sentences of `roots` that the sound may hold, the likeliest first.

        `said` and `free_logprob`: see `Search.run`. `free`: the tokens of the free reading; `confidence`: its mean
        probability. `under_way`: more is being said.
        Raises `Aborted`, `ModelError` `model_failed`.
        """
        search = Search(
            self._model, self.network, self.prior, self.beam, self._weight(confidence), self._limits(free or ())
        )
        cap = guards.token_cap(encoding.audio_s, self._model.tokens_per_second) + _SPARE_TOKENS
        start = self.network.start(roots)
        if free is not None:
            more = _MORE_THAN_BEGUN if under_way else max(_MORE_THAN_FREE, len(free) // 4)
            cap = min(cap, len(free) + more)
            # Most hypotheses begin as the free reading does: learnt in one run of the model, not in one for each token.
            search.learnt += self.prior.learn(_contexts(free[:LONG_TOKENS]))
        hypotheses = search.run(encoding, start, cap, said=said, free_logprob=free_logprob, abort=abort)
        candidates = tuple(self._candidate(one, roots) for one in hypotheses[:MAX_CANDIDATES])
        return Decoded(candidates, search.steps, search.learnt)

    def _limits(self, free: Sequence[int]) -> Limits:
        """Where there is no prior a token costs much, and scores are those of the sound alone."""
        return Limits() if self.prior.share else Limits(_BEHIND, _BEHIND_BY_TOKEN, _ROWS + _ROWS_BY_TOKEN * len(free))

    def free_reading(
        self, text: str, tokens: Sequence[int], logprobs: Sequence[float], confidence: float | None
    ) -> FreeReading:
        """A free reading scored as the candidates are; without its prior (`confidence` null) where there are none to
        compare it with."""
        logprob = sum(logprobs)
        if confidence is None:
            return FreeReading(text, logprob, logprob, len(tokens), plain=not self.prior.share)
        contexts = _contexts(tokens)
        self.prior.learn(contexts)
        prior = sum(
            float(self.prior.logprobs(context, np.array([token]))[0])
            for context, token in zip(contexts, tokens, strict=True)
        )
        return FreeReading(text, logprob - self._weight(confidence) * prior, logprob, len(tokens), not self.prior.share)

    def _weight(self, confidence: float) -> float:
        return self.prior.share * prior_weight(confidence)

    def _candidate(self, hypothesis: Hypothesis, roots: Iterable[str]) -> Candidate:
        return Candidate(
            readings=tuple(read(self.network, hypothesis.tokens, roots)),
            text=self._model.table.decode(hypothesis.tokens),
            score=hypothesis.score,
            logprob=hypothesis.logprob,
            tokens=len(hypothesis.tokens),
        )


def _contexts(tokens: Sequence[int]) -> list[Context]:
    """What counts for each of `tokens`."""
    return [context_of(tuple(tokens[:at])) for at in range(len(tokens))]
