"""Names scored by a decoder that writes token by token: it is made to write them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Generic

from agentbox.asr.constrain.model import E, S, Spells, StepModel
from agentbox.asr.engine import Aborted, Recognition
from agentbox.asr.hotwords.evidence import SCORED
from agentbox.asr.hotwords.scoring import Abort, alike, respelled
from agentbox.asr.logits import log_softmax


class StepScorer(Generic[E, S]):
    """See `Rescorer`."""

    weights = SCORED
    text_is_enough = False

    def __init__(self, model: StepModel[E, S]) -> None:
        self._model = model

    @cached_property
    def _speller(self) -> Spells:
        return self._model.speller()  # a table of its own: only for those who have names

    def spell(self, tokens: Sequence[int]) -> str:
        return self._model.table.decode(tokens)

    def gains(
        self,
        sound: E,
        read: Recognition,
        texts: Sequence[str],
        least: Sequence[float],
        abort: Abort = None,
    ) -> list[float]:
        """See `Rescorer`. All texts go through the decoder as one batch, from the first token in which one differs; one
        run for each token, some 3 ms."""
        spelled = respelled(read, texts, self.spell, self._model.table, [self._speller.encode])
        gains = [-math.inf] * len(texts)
        known = [(at, ways[0]) for at, ways in enumerate(spelled) if ways]
        if not known:
            return gains
        same = min(alike(read.tokens, tokens) for _, tokens in known)
        already = sum(read.token_logprobs[same:])
        tails = [read.tokens[same:], *(tokens[same:] for _, tokens in known)]
        floors = [-math.inf, *(already + least[at] for at, _ in known)]
        totals = self._follow(sound, read.tokens[:same], tails, floors, abort)
        for (at, _), total in zip(known, totals[1:], strict=True):
            gains[at] = total - totals[0]
        return gains

    def _follow(
        self,
        sound: E,
        before: Sequence[int],
        tails: Sequence[Sequence[int]],
        floors: Sequence[float],
        abort: Abort,
    ) -> list[float]:
        """log P(tail and the end | sound, `before`) of each; the first, which is what was read, is followed no longer
        than one of the others is."""
        end = self._model.end
        totals = [0.0] * len(tails)
        live = list(range(len(tails)))
        logits, state = self._model.begin_after(sound, before)
        rows = [0] * len(tails)
        at = 0
        while live:
            if abort is not None and abort():
                raise Aborted
            logprobs = log_softmax(logits)
            further: list[int] = []
            kept: list[int] = []
            for tail, row in zip(live, rows, strict=True):
                token = tails[tail][at] if at < len(tails[tail]) else end
                totals[tail] += float(logprobs[row, token])
                if totals[tail] < floors[tail]:
                    totals[tail] = -math.inf
                elif token != end:
                    further.append(tail)
                    kept.append(row)
            if all(map(math.isinf, totals[1:])):
                break
            live, rows, at = further, list(range(len(further))), at + 1
            if live:
                logits, state = self._model.step([tails[tail][at - 1] for tail in live], state.rows(kept))
        return totals
