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

MOST_CONTEXTS, MOST_ALONE = 1_500, 1_500

_BATCH = 16
_WIDEST = 8
"""Continuations of one beginning that are followed."""


def warm(
    network: Network, prior: Prior, roots: Sequence[str], most: int = MOST_CONTEXTS
) -> Generator[None, None, set[Context]]:
    """Learn the prior along the likeliest sentences of `roots`, in small pieces; gives the contexts.

    Each source of sentences (the first part of a root's name) has its share: an owner's few sentences are said more
    often than most of the many built-in ones. Free text is not gone into: what may stand there is not known before it
    is said. Beside `most` contexts on the way there is each token that may go on there, as a context of its own: what
    is heard amiss is looked up by that (`beam.NEAR`).
    """
    sources: dict[str, list[str]] = {}
    for root in roots:
        sources.setdefault(root.partition(".")[0], []).append(root)
    learnt: set[Context] = set()
    tokens: set[int] = set()
    for number, some in enumerate(sources.values(), start=1):
        yield from _along(network, prior, network.start(some), learnt, tokens, most * number // len(sources))
    # The lower its number, the commoner a token is.
    alone = sorted({(token,) for token in tokens} - learnt)[:MOST_ALONE]
    for first in range(0, len(alone), _BATCH):
        prior.learn(alone[first : first + _BATCH])
        yield
    return learnt.union(alone)


def _along(
    network: Network, prior: Prior, start: State, learnt: set[Context], tokens: set[int], most: int
) -> Generator[None, None, None]:
    """Go along the sentences from `start` on until `most` contexts are learnt; adds to `learnt`, and to `tokens` those
    that may go on."""
    number = count()
    waiting: list[tuple[float, int, Context, State]] = [(0.0, next(number), (), start)]
    seen: set[tuple[State, Context]] = set()
    while waiting and len(learnt) < most:
        batch = [heappop(waiting) for _ in range(min(_BATCH, len(waiting)))]
        contexts = [context for _, _, context, _ in batch]
        prior.learn(contexts)
        learnt.update(contexts)
        for cost, _, context, state in batch:
            if not state.tokens.size:
                continue
            tokens.update(state.tokens.tolist())
            logprobs = prior.logprobs(context, state.tokens)
            likely = np.argsort(logprobs)[::-1][:_WIDEST]
            total = float(np.logaddexp.reduce(logprobs))
            for at in likely.tolist():
                token = int(state.tokens[at])
                after = network.step(state, token)
                if after is None or after.free:
                    continue
                place = (after, context_of((*context, token)))
                if place not in seen:
                    seen.add(place)
                    heappush(waiting, (cost + total - float(logprobs[at]), next(number), place[1], after))
        yield
