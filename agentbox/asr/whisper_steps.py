"""A Whisper model's decoder, walked under sentences (see `constrain.one_by_one`).

The merged graph does not share one sound between the rows of a batch, and a copy of it for each row would take 36 MB
with `whisper-base`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from agentbox.asr.constrain.one_by_one import FreeWay, OneByOne, Way
from agentbox.asr.constrain.spelling import BpeSpeller, BpeTable
from agentbox.asr.logits import Floats
from agentbox.asr.whisper_graphs import Cache, WhisperGraphs
from agentbox.asr.whisper_tokens import Vocabulary

BEAM = 4
"""Hypotheses at a time; each costs a run for each token (some 50 ms with `whisper-base`)."""


class WhisperSound:
    """One window of sound after the encoder, and how it was read freely."""

    def __init__(self, audio_s: float, first: Sequence[int], encoded: Cache) -> None:
        """`first`: prompt and marks."""
        self.audio_s = audio_s
        self.first = tuple(first)
        self.encoded = encoded
        self.free = FreeWay()
        self.last: Cache | None = None
        """Where the free reading stands; what was there before is in it too."""


def steps_of(graphs: WhisperGraphs, vocabulary: Vocabulary) -> OneByOne[WhisperSound]:
    """What `constrain.beam` walks with."""
    pieces = vocabulary.pieces
    return OneByOne(BpeTable(pieces), vocabulary.end, partial(BpeSpeller, pieces), partial(_run, graphs))


def _run(graphs: WhisperGraphs, sound: WhisperSound, way: Way, before: Cache | None) -> tuple[Floats, Cache]:
    if before is None and way and sound.last is not None and sound.free.logits_after(way[:-1]) is not None:
        before = sound.last.until(len(sound.first) + len(way) - 1)
    if before is None:
        rows, cache = graphs.begin([*sound.first, *way], sound.encoded)
        return rows[-1].copy(), cache
    logits, cache = graphs.step(way[-1], before)
    return logits.copy(), cache
