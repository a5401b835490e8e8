"""Goes through the sentences of a grammar before anybody says one, so that the first is decoded as fast as the next.

What takes time the first time is the prior after a context (some 2 ms) and a state of the network (up to some 10 ms).
The likeliest beginnings by the prior itself come first; what was worked out can be kept on disk.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from heapq import heappop, heappush
from itertools import count

import numpy as np

from agentbox.asr.constrain.network import Network, State
from agentbox.asr.constrain.prior import Context, Prior, context_of

MOST_CONTEXTS = 1_500

_BATCH = 16
_WIDEST = 8
"""Continuations of one beginning that are followed."""


def warm(
    network: Network, prior: Prior, roots: Sequence[str], most: int = MOST_CONTEXTS
) -> Generator[None, None, dict[Context, set[int]]]:
    """Learn the prior along the likeliest sentences of `roots`, in small pieces; gives the contexts and their tokens.

    Each source of sentences (the first part of a root's name) has its share: an owner's few sentences are said more
    often than most of the many built-in ones. Free text is not gone into: what may stand there is not known before it
    is said.
    """
    sources: dict[str, list[str]] = {}
    for root in roots:
        sources.setdefault(root.partition(".")[0], []).append(root)
    learnt: dict[Context, set[int]] = {}
    for number, some in enumerate(sources.values(), start=1):
        yield from _along(network, prior, (some, roots), learnt, most * number // len(sources))
    return learnt


def _along(
    network: Network,
    prior: Prior,
    roots: tuple[Sequence[str], Sequence[str]],
    learnt: dict[Context, set[int]],
    most: int,
) -> Generator[None, None, None]:
    """Go along the sentences of some roots until `most` contexts are learnt, with all that all roots ask for there."""
    number = count()
    some, every = (network.start(of) for of in roots)
    waiting: list[tuple[float, int, Context, State, State]] = [(0.0, next(number), (), some, every)]
    seen: set[tuple[State, Context]] = set()
    while waiting and len(learnt) < most:
        batch = [heappop(waiting) for _ in range(min(_BATCH, len(waiting)))]
        prior.learn([(context, whole.asked) for _, _, context, _, whole in batch])
        for cost, _, context, state, whole in batch:
            learnt.setdefault(context, set()).update(whole.asked.tolist())
            if not state.tokens.size:
                continue
            # After punctuation the two may differ by a hyphen.
            tokens = np.intersect1d(state.tokens, whole.asked)
            logprobs = prior.logprobs(context, tokens)
            likely = np.argsort(logprobs)[::-1][:_WIDEST]
            total = float(np.logaddexp.reduce(logprobs))
            for at in likely.tolist():
                token = int(tokens[at])
                after, whole_after = network.step(state, token), network.step(whole, token)
                if after is None or whole_after is None or after.free:
                    continue
                place = (after, context_of((*context, token)))
                if place not in seen:
                    seen.add(place)
                    waits = (cost + total - float(logprobs[at]), next(number), place[1], after, whole_after)
                    heappush(waiting, waits)
        yield
