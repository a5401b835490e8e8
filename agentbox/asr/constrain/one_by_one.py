"""Walking a decoder under sentences one hypothesis at a time, where rows of a batch would cost as much as runs.

Where a hypothesis goes as the free reading went, the scores are known and nothing is run: of a command that was nearly
read right only the part that differs costs anything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

import numpy as np

from agentbox.asr import guards
from agentbox.asr.constrain.model import Spells, Table
from agentbox.asr.logits import Floats

Way: TypeAlias = tuple[int, ...]
"""Tokens after the prompt."""

_MOST_KEPT = 40
"""Tokens of the free reading of which the scores are kept (0.2 MB each with 50,000 tokens in the vocabulary): no
sentence is longer but for its free text."""


class FreeWay:
    """The free reading's tokens, and the scores after each."""

    def __init__(self) -> None:
        self._said: Way = ()
        self._logits: list[Floats] = []

    def begin(self, logits: Floats) -> None:
        """`logits`: for the first token, [vocabulary]."""
        self._said, self._logits = (), [logits]

    def went(self, token: int, logits: Floats) -> None:
        """It went on with `token`; `logits`: for the one after."""
        if len(self._said) < _MOST_KEPT:
            self._said += (token,)
            self._logits.append(logits)

    def logits_after(self, way: Way) -> Floats | None:
        """The scores where it came through; else null."""
        return self._logits[len(way)] if self._logits and way == self._said[: len(way)] else None


class Walked(Protocol):
    """A sound that was read freely."""

    @property
    def audio_s(self) -> float: ...

    @property
    def free(self) -> FreeWay: ...


W = TypeVar("W", bound=Walked)


@dataclass(frozen=True, slots=True)
class Ways(Generic[W]):
    """See `constrain.model.Batch`."""

    sound: W
    ways: tuple[Way, ...]
    logits: tuple[Floats, ...]
    at: tuple[Any, ...]
    """What `Runs` keeps of each; null where the free reading came through."""

    def rows(self, indices: Sequence[int]) -> Ways[W]:
        def picked(all_of: tuple[Any, ...]) -> tuple[Any, ...]:
            return tuple(all_of[row] for row in indices)

        return Ways(self.sound, picked(self.ways), picked(self.logits), picked(self.at))


Runs: TypeAlias = Callable[[W, Way, Any], tuple[Floats, Any]]
"""Runs the decoder: the logits after a whole way, [vocabulary], and what it wants to keep for ways that go on from it.
It is told what it kept of the way without its last token, null for nothing. Raises `ModelError` `model_failed`."""


class OneByOne(Generic[W]):
    """See `constrain.model.StepModel`."""

    tokens_per_second = guards.DENSE_TOKENS_PER_SECOND

    def __init__(self, table: Table, end: int, speller: Callable[[], Spells], runs: Runs[W]) -> None:
        self.table = table
        self.end = end
        self.speller = speller
        self._runs = runs

    def begin_after(self, sound: W, tokens: Sequence[int]) -> tuple[Floats, Ways[W]]:
        way = tuple(tokens)
        logits, at = sound.free.logits_after(way), None
        if logits is None:
            logits, at = self._runs(sound, way, None)
        return logits[None], Ways(sound, (way,), (logits,), (at,))

    def step(self, tokens: Sequence[int], state: Ways[W]) -> tuple[Floats, Ways[W]]:
        ways = tuple((*way, int(token)) for way, token in zip(state.ways, tokens, strict=True))
        found = tuple(map(partial(self._after, state.sound), ways, state.at))
        logits = tuple(one for one, _ in found)
        return np.stack(logits), Ways(state.sound, ways, logits, tuple(at for _, at in found))

    def _after(self, sound: W, way: Way, before: Any) -> tuple[Floats, Any]:
        known = sound.free.logits_after(way)
        return (known, None) if known is not None else self._runs(sound, way, before)
