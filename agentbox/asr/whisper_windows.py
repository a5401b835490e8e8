"""Half a minute at a time: where longer sound is cut, when the words of a window were said, several windows as one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from agentbox.asr import guards
from agentbox.asr.engine import Recognition, Samples
from agentbox.asr.log_mel import WINDOW_S
from agentbox.asr.whisper_tokens import TIME_STEP_MS
from agentbox.messages import SAMPLE_RATE_HZ

_CUT_S = 5
"""Sound of more than half a minute is cut where it is quietest in the last seconds."""


def times_of(said: Sequence[int], end: int, first_time: int) -> tuple[int, ...]:
    """When each token of text in `said` begins, in milliseconds: those between two marks of time share the time between
    them evenly. Empty where no mark is among them."""
    if not any(token >= first_time for token in said):
        return ()
    starts: list[int] = []
    waiting, begun = 0, 0
    for token in said:
        if token < end:
            waiting += 1
        elif token >= first_time:
            at = (token - first_time) * TIME_STEP_MS
            starts += [begun + (at - begun) * number // waiting for number in range(waiting)]
            waiting, begun = 0, at
    return (*starts, *[begun] * waiting)


def windows(samples: Samples) -> Iterator[tuple[int, int]]:
    """Where to cut `samples` into pieces of at most half a minute: where it is quietest for a tenth of a second."""
    begin = 0
    most, step = WINDOW_S * SAMPLE_RATE_HZ, SAMPLE_RATE_HZ // 10
    while samples.size - begin > most:
        tail = samples[begin + most - _CUT_S * SAMPLE_RATE_HZ : begin + most]
        loudness = np.square(tail.reshape(-1, step)).mean(axis=1)
        end = begin + most - tail.size + int(loudness.argmin()) * step + step // 2
        yield begin, end
        begin = end
    yield begin, samples.size


def together(parts: Sequence[Recognition]) -> Recognition:
    """Several windows' as one."""
    if len(parts) == 1:
        return parts[0]
    heard = [part for part in parts if part.text]
    logprobs = tuple(one for part in heard for one in part.token_logprobs)
    return Recognition(
        text=joined(parts),
        confidence=guards.mean_probability(logprobs),
        tokens=tuple(one for part in heard for one in part.tokens),
        token_logprobs=logprobs,
        token_ms=tuple(one for part in heard for one in part.token_ms),
        suppressed=None if heard else parts[0].suppressed,
        language=next((part.language for part in heard or parts if part.language), None),
        encode_ms=math.fsum(part.encode_ms for part in parts),
        decode_ms=math.fsum(part.decode_ms for part in parts),
    )


def joined(parts: Sequence[Recognition]) -> str:
    return " ".join(part.text for part in parts if part.text)


def after(before: str, partial: Callable[[str], None]) -> Callable[[str], None]:
    return lambda text: partial(f"{before} {text}".strip())
