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

    Free text is not gone into: what may stand there is not known before it is said.
    """
    number = count()
    waiting: list[tuple[float, int, Context, State]] = [(0.0, next(number), (), network.start(roots))]
    seen: set[tuple[State, Context]] = set()
    learnt: dict[Context, set[int]] = {}
    while waiting and len(learnt) < most:
        batch = [heappop(waiting) for _ in range(min(_BATCH, len(waiting)))]
        prior.learn([(context, state.asked) for _, _, context, state in batch])
        for cost, _, context, state in batch:
            learnt.setdefault(context, set()).update(state.asked.tolist())
            if not state.tokens.size:
                continue
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
    return learnt
