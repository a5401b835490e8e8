"""Reading freely what a model with CTC outputs wrote: a score for each token and a blank at every frame of sound.

Commands are scored on the same frames (`constrain.ctc`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from agentbox.asr.constrain.ctc import Logprobs, forward_logprobs
from agentbox.asr.logits import Floats, best_of_rows, normalised
from agentbox.asr.tokens import TokenTable


@dataclass(frozen=True, slots=True)
class CtcFrames:
    """Sound after such a model: what `constrain.ctc` finds and scores sentences on."""

    logprobs: Logprobs
    """[frames, tokens]."""
    blank: int
    frame_ms: int

    @classmethod
    def of(cls, logits: Floats, blank: int, frame_ms: int) -> CtcFrames:
        """`logits`: [frames, tokens], normalised or not; used up."""
        return cls(normalised(logits), blank, frame_ms)

    def logprobs_of(self, ways: Sequence[Sequence[int]], abort: Callable[[], bool] | None = None) -> list[float]:
        """log P(tokens | sound) for each of `ways` (see `constrain.ctc.forward_logprobs`)."""
        return [float(one) for one in forward_logprobs(self.logprobs, ways, self.blank)]


@dataclass(frozen=True, slots=True)
class Path:
    """The likeliest way through the frames, repeats and blanks taken out."""

    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]
    """Natural logarithm of each token's probability, at the frame of its run where it is likeliest."""
    frames: tuple[int, ...]
    """Where each token's run begins."""

    def words(self, table: TokenTable) -> Path:
        """Without the tokens that are no text."""
        kept = [at for at, token in enumerate(self.tokens) if not table.is_special(token)]
        return Path(
            tuple(self.tokens[at] for at in kept),
            tuple(self.logprobs[at] for at in kept),
            tuple(self.frames[at] for at in kept),
        )


def greedy(logits: Floats, blank: int) -> Path:
    """The likeliest token at each frame; `logits`: [frames, tokens], normalised or not."""
    tokens, logprobs = best_of_rows(logits)
    if not len(tokens):
        return Path((), (), ())
    starts = np.flatnonzero(np.concatenate([[True], tokens[1:] != tokens[:-1]]))
    highest = np.maximum.reduceat(logprobs, starts)
    said = tokens[starts] != blank
    return Path(tuple(tokens[starts][said].tolist()), tuple(highest[said].tolist()), tuple(starts[said].tolist()))
