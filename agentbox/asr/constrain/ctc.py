"""Commands from an engine with CTC outputs (a score for each token and a blank at every frame of sound).

Such an engine has no decoder to be led through a grammar. Sentences are found by prefix beam search under the grammar's
network, and then scored exactly: the forward algorithm adds up all the ways a sentence's tokens can lie along the
frames (Graves, Fernández, Gomez, Schmidhuber: "Connectionist Temporal Classification", 2006, section 4.1).
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from agentbox.asr.constrain.network import Ids, Network, State
from agentbox.asr.engine import Aborted

Logprobs: TypeAlias = NDArray[np.float32]
"""Shape [frames, tokens]: natural logarithms of probabilities; each row adds up to one."""

Scores: TypeAlias = NDArray[np.float64]
Prefix: TypeAlias = tuple[int, ...]

_NEVER = -math.inf

_SILENT = math.log(0.999)
"""Where the blank is so probable nothing begins."""

MARGIN = 12.0
"""What is less probable than the best by so much (natural logarithm) after a frame is not followed."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of the grammar, and how likely the sound holds it."""

    tokens: Prefix
    logprob: float
    """Of all alignments of these tokens together; another spelling of the same words is another sentence."""
    score: float
    """The same, less what free text costs."""


@dataclass(slots=True)
class _Way:
    """A prefix after some frames: how likely it is with a blank last, and with its own last token last."""

    state: State
    blank: float = _NEVER
    token: float = _NEVER
    free: int = 0
    """How many of its tokens only free text can be."""

    @property
    def total(self) -> float:
        return _log_add(self.blank, self.token)


def forward_logprob(logprobs: Logprobs, tokens: Sequence[int], blank: int) -> float:
    """The logarithm of the probability that the frames say exactly `tokens`; -inf where they cannot.

    `logprobs`: [frames, tokens], float32. Raises `ValueError` for a token that is the blank or past the scores.
    """
    return float(forward_logprobs(logprobs, [tokens], blank)[0])


def forward_logprobs(logprobs: Logprobs, candidates: Sequence[Sequence[int]], blank: int) -> Scores:
    """The same for several candidates at once: float64, shape [candidates].

    The recursion over `candidates` x positions runs once a frame: a position is a token or one of the blanks around
    them, and may be skipped where it is a blank between two different tokens.
    """
    size = logprobs.shape[1]
    count = len(candidates)
    lengths = np.array([len(tokens) for tokens in candidates], dtype=np.int64)
    longest = int(lengths.max(initial=0))
    labels = np.full((count, 2 * longest + 1), blank, dtype=np.int64)
    for row, tokens in enumerate(candidates):
        if any(not 0 <= token < size or token == blank for token in tokens):
            raise ValueError("a token is the blank or has no score")
        labels[row, 1 : 2 * len(tokens) : 2] = tokens
    if not count:
        return np.zeros(0)
    skips = np.zeros(labels.shape, dtype=bool)
    skips[:, 3::2] = labels[:, 3::2] != labels[:, 1:-2:2]
    ways = np.full(labels.shape, _NEVER)
    ways[:, 0] = 0.0  # before the first frame; entering the first token is a step from here
    one, two = np.full(labels.shape, _NEVER), np.full(labels.shape, _NEVER)
    # Of tens of thousands of tokens some dozens are needed.
    needed, labels = np.unique(labels, return_inverse=True)
    labels = labels.reshape(ways.shape)
    for frame in logprobs[:, needed].astype(np.float64):
        one[:, 1:] = ways[:, :-1]
        two[:, 2:] = np.where(skips[:, 2:], ways[:, :-2], _NEVER)
        ways = np.logaddexp(np.logaddexp(ways, one), two) + frame[labels]
    rows = np.arange(count)
    ends = ways[rows, 2 * lengths]
    return np.where(lengths > 0, np.logaddexp(ends, ways[rows, np.maximum(2 * lengths - 1, 0)]), ends)


def search(
    logprobs: Logprobs,
    network: Network,
    roots: Iterable[str],
    beam: int,
    blank: int,
    *,
    free_cost: float = 0.0,
    abort: Callable[[], bool] | None = None,
) -> list[Sentence]:
    """The likeliest sentences of the rules `roots`, the best first, at most `beam`; none where none fits the frames.

    `logprobs`: [frames, tokens], float32, in the numbers of the network's token table; `blank` is the number of the
    blank among them. `beam`: prefixes that are followed; whole sentences are kept besides as many more, so that the
    beginnings of longer ones cannot push them out. `free_cost`: what each token of free text must be likelier by than
    one of the sentences', else free text wins wherever the sound is not clear.

    Raises `Aborted` when `abort()` becomes true.
    """
    ways: dict[Prefix, _Way] = {(): _Way(network.start(roots), blank=0.0)}
    for frame in logprobs.astype(np.float64):
        if abort is not None and abort():
            raise Aborted
        ways = _pruned(_step(ways, _Frame(frame, network, 2 * beam, blank, free_cost), beam), beam)
    whole = [prefix for prefix, way in ways.items() if prefix and way.state.accepts]
    scores = forward_logprobs(logprobs, whole, blank)
    sentences = [
        Sentence(tokens, float(score), float(score) - free_cost * ways[tokens].free)
        for tokens, score in zip(whole, scores, strict=True)
    ]
    sentences = [sentence for sentence in sentences if sentence.logprob > _NEVER]
    return sorted(sentences, key=lambda sentence: (-sentence.score, sentence.tokens))[:beam]


class _Frame:
    """One frame, and what may go on in it."""

    def __init__(self, scores: Scores, network: Network, most: int, blank: int, free_cost: float) -> None:
        """`most`: tokens that a prefix is gone on with."""
        self.scores = scores
        self.network = network
        self.blank = blank
        self.free_cost = free_cost
        self.silent = bool(scores[blank] > _SILENT)
        self._most = most
        self._free: dict[int, list[int]] = {}

    def likely(self, state: State) -> list[tuple[int, bool]]:
        """The likeliest tokens that lead on from a state, and whether only free text can hold them."""
        own = self._best(state.tokens).tolist()
        if not state.free:
            return [(token, False) for token in own]
        known = set(state.tokens.tolist())
        return [
            *((token, False) for token in own),
            *((token, True) for token in self._freely(state.free) if token not in known),
        ]

    def _best(self, tokens: Ids) -> Ids:
        tokens = tokens[(tokens < len(self.scores)) & (tokens != self.blank)]
        if len(tokens) > self._most:
            tokens = tokens[np.argpartition(self.scores[tokens], -self._most)[-self._most :]]
        return tokens

    def _freely(self, kind: int) -> list[int]:
        """The likeliest tokens of free text, whichever state it is in."""
        found = self._free.get(kind)
        if found is None:
            found = self._free[kind] = self._best(self.network.tokens_of[kind]).tolist()
        return found


def _step(ways: dict[Prefix, _Way], frame: _Frame, beam: int) -> dict[Prefix, _Way]:
    """All prefixes after one more frame, and the `beam` likeliest new ones."""
    after = {prefix: _Way(way.state, free=way.free) for prefix, way in ways.items()}
    scores, blank = frame.scores, float(frame.scores[frame.blank])
    for prefix, way in ways.items():
        stay = after[prefix]
        stay.blank = way.total + blank
        if prefix:
            stay.token = way.token + float(scores[prefix[-1]])
    if frame.silent:
        return after
    least = max(way.total for way in after.values()) - MARGIN
    fresh: list[tuple[float, Prefix, int, bool]] = []
    for prefix, way in ways.items():
        total = way.total
        for token, free in frame.likely(way.state):
            # The same token twice needs a blank between.
            score = float(scores[token]) + (way.blank if prefix and token == prefix[-1] else total)
            score -= frame.free_cost * free
            known = after.get((*prefix, token))
            if known is not None:
                known.token = _log_add(known.token, score)
            elif score > least:
                fresh.append((score, prefix, token, free))
    # A state that was never met takes up to some 10 ms: only what may stay in the beam gets one.
    for score, prefix, token, free in heapq.nlargest(beam, fresh):
        way = ways[prefix]
        state = frame.network.step(way.state, token)
        if state is not None:
            after[(*prefix, token)] = _Way(state, token=score, free=way.free + free)
    return after


def _log_add(one: float, two: float) -> float:
    """As `numpy.logaddexp`, which takes ten times as long for two numbers."""
    high, low = (one, two) if one > two else (two, one)
    return high if low == _NEVER else high + math.log1p(math.exp(low - high))


def _pruned(ways: dict[Prefix, _Way], beam: int) -> dict[Prefix, _Way]:
    """The `beam` likeliest prefixes, and as many whole sentences."""
    ranked = sorted(ways, key=lambda prefix: -ways[prefix].total)
    least = ways[ranked[0]].total - MARGIN
    ranked = [prefix for prefix in ranked if ways[prefix].total >= least]
    whole = [prefix for prefix in ranked if ways[prefix].state.accepts]
    kept = dict.fromkeys((*ranked[:beam], *whole[:beam]))
    return {prefix: ways[prefix] for prefix in kept}
