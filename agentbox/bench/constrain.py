"""What decoding under the sentences costs: time beside free decoding, by beam; time to make a grammar ready; memory."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

from agentbox.asr.constrain import beam
from agentbox.asr.constrain.decoder import GrammarDecoder
from agentbox.asr.constrain.prior import Prior
from agentbox.asr.engine import Samples
from agentbox.asr.guards import mean_probability
from agentbox.asr.moonshine import Moonshine
from agentbox.bench.memory import pss_mb
from agentbox.intents.spoken import Spoken
from agentbox.intents.understand import Understander
from agentbox.messages import SAMPLE_RATE_HZ

LENGTH_S = 4.0
ROUNDS = 3

_FIRST = (
    "amber",
    "birch",
    "cedar",
    "dawn",
    "ember",
    "fern",
    "grove",
    "harbor",
    "indigo",
    "juniper",
    "kestrel",
    "linden",
)
_SECOND = (
    "attic",
    "balcony",
    "closet",
    "den",
    "entry",
    "foyer",
    "garage",
    "hallway",
    "island",
    "jetty",
    "kitchen",
    "loft",
)
_THIRD = ("lamp", "fan", "blind", "heater", "radio", "speaker", "socket", "valve", "sensor", "screen", "door", "light")


class Beam(NamedTuple):
    """A way to search: the most hypotheses, and how far behind the best one they may be."""

    width: int
    margin: float


BEAMS = (Beam(1, 99.0), Beam(4, 99.0), Beam(8, 99.0), Beam(12, beam.LIVE_MARGIN))
"""The last is how the box searches: as many hypotheses as are near the best one."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Medians over the clips, in milliseconds of one thread."""

    clips: int
    encode_ms: float
    free_ms: float
    """The free reading of an encoding."""
    first_ms: dict[Beam, float]
    """Under the grammar, encoding included, where nothing was met before."""
    again_ms: dict[Beam, float]
    """The same when the sentences' states and priors are known."""
    rows: dict[Beam, float]
    """Mean hypotheses at a time."""
    states_per_second: float
    """New states of the network, each with the tokens that may follow (a mask)."""


def four_seconds(clips: Sequence[Samples]) -> list[Samples]:
    """The clips cut or repeated to `LENGTH_S`."""
    size = int(LENGTH_S * SAMPLE_RATE_HZ)
    return [np.resize(clip, size).astype(np.float32) for clip in clips]


def cost(model: Moonshine, spoken: Spoken, clips: Sequence[Samples]) -> Cost:
    """Decode every clip freely and with each of `BEAMS`, in turns."""
    roots = spoken.active({})
    encode: list[float] = []
    free: list[float] = []
    first: dict[Beam, list[float]] = {one: [] for one in BEAMS}
    again: dict[Beam, list[float]] = {one: [] for one in BEAMS}
    rows: dict[Beam, list[float]] = {one: [] for one in BEAMS}
    for clip in clips:
        encode += [_ms(partial(model.encode, clip)) for _ in range(ROUNDS)]
        encoding = model.encode(clip)
        free += [_ms(partial(model.decode, encoding)) for _ in range(ROUNDS)]
        reading = model.decode(encoding)
        for one in BEAMS:
            decoder = GrammarDecoder(model, spoken.grammar, Prior(model))
            weight = beam.prior_weight(mean_probability(reading.logprobs) or 0.0)
            search = beam.Search(model, decoder.network, decoder.prior, one.width, weight)
            start = decoder.network.start(roots)
            run = partial(search.run, encoding, start, 40, free_logprob=sum(reading.logprobs))
            with _live_margin(one.margin):
                first[one].append(_ms(run))
                rows[one].append(search.rows / max(search.steps, 1))
                again[one] += [_ms(run) for _ in range(ROUNDS)]
    encode_ms = statistics.median(encode)
    return Cost(
        clips=len(clips),
        encode_ms=encode_ms,
        free_ms=statistics.median(free),
        first_ms={one: statistics.median(values) + encode_ms for one, values in first.items()},
        again_ms={one: statistics.median(values) + encode_ms for one, values in again.items()},
        rows={one: statistics.mean(values) for one, values in rows.items()},
        states_per_second=masks_per_second(model, spoken),
    )


def masks_per_second(model: Moonshine, spoken: Spoken, seconds: float = 1.0) -> float:
    """How many new states of the network are made in a second, breadth first from the start."""
    decoder = GrammarDecoder(model, spoken.grammar, Prior(model))
    waiting = [decoder.network.start(spoken.active({}))]
    begun = time.perf_counter()
    before = decoder.network.state_count
    while waiting and time.perf_counter() - begun < seconds:
        state = waiting.pop(0)
        following = (decoder.network.step(state, token) for token in state.tokens.tolist()[:16])
        waiting += [after for after in following if after is not None]
    return (decoder.network.state_count - before) / (time.perf_counter() - begun)


@dataclass(frozen=True, slots=True)
class Compile:
    """Making a grammar ready."""

    names: int
    graph_s: float
    """From the sentences to the graph of words."""
    network_s: float
    """From there to the first state in tokens."""
    cached_s: float
    """The graph from the cache instead."""
    memory_mb: float


def compiling(model: Moonshine, names: int, make: Callable[[Sequence[str]], Understander]) -> Compile:
    """Make the grammar of `make(names)` ready: built-in sentences, and what it adds, with so many names."""
    before = pss_mb()
    understander = make(list(itertools.islice(entity_names(), names)))
    spoken = understander.spoken
    begun = time.perf_counter()
    grammar = spoken.grammar
    graph_s = time.perf_counter() - begun
    begun = time.perf_counter()
    GrammarDecoder(model, grammar, Prior(model)).network.start(spoken.active({}))
    network_s = time.perf_counter() - begun
    again = make(list(itertools.islice(entity_names(), names))).spoken
    begun = time.perf_counter()
    _ = again.grammar
    return Compile(names, graph_s, network_s, time.perf_counter() - begun, pss_mb() - before)


def entity_names() -> Iterator[str]:
    """Names as a home has them, as many as are wanted; all different."""
    for words in itertools.product(("", *_FIRST, "upper", "lower", "old", "new"), _SECOND, _THIRD):
        yield " ".join(word for word in words if word)
    for number in itertools.count(1):
        for first, second, third in itertools.product(_FIRST, _SECOND, _THIRD):
            yield f"{first} {second} {third} {number}"


@contextmanager
def _live_margin(margin: float) -> Iterator[None]:
    usual, beam.LIVE_MARGIN = beam.LIVE_MARGIN, margin
    try:
        yield
    finally:
        beam.LIVE_MARGIN = usual


def _ms(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return (time.perf_counter() - begun) * 1000
