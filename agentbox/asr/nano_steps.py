"""Fun-ASR-Nano's language model, walked under sentences (see `constrain.one_by_one`).

There is one cache of keys and values, 0.2 MB a row: it is set back to where two hypotheses part, and what differs goes
through the model in one run.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from agentbox.asr.constrain.one_by_one import FreeWay, OneByOne, Way
from agentbox.asr.constrain.spelling import BpeSpeller, BpeTable
from agentbox.asr.logits import Floats
from agentbox.asr.nano_llm import LlmState

if TYPE_CHECKING:
    from agentbox.asr.nano import Nano

BEAM = 2
"""Hypotheses at a time. A run takes some 84 ms however few rows it has, since it reads all weights: a command of ten
tokens of which the last six differ from the free reading costs at most twelve runs, a second."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """Sound and prompt after the encoder and the language model, to be decoded as often as wanted."""

    begun: LlmState
    logits: Floats
    """For the first token."""
    audio_s: float
    free: FreeWay = field(default_factory=FreeWay)
    """How it was read freely."""
    written: list[int] = field(default_factory=list)
    """Tokens of which there are rows after those of the prompt, though `begun` does not count them."""


def steps_of(model: Nano, end: int) -> OneByOne[Encoding]:
    """What `constrain.beam` walks with."""
    return OneByOne(BpeTable(model.table), end, partial(BpeSpeller, model.table, bare=True), partial(_run, model, end))


def _run(model: Nano, end: int, sound: Encoding, way: Way, _: None) -> tuple[Floats, None]:
    room = model.room_after(sound)
    if len(way) > room:  # nothing more can be said
        logits = np.full(model.vocabulary, -np.inf, dtype=np.float32)
        logits[end] = 0.0
        return logits, None
    return model.after(sound, way), None
