"""Names scored by models that can say at once how likely a whole text is: CTC outputs, a transducer, or a decoder that
takes all of a text in one run; and by those that score all tokens of a reading at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Generic, TypeAlias

from agentbox.asr.constrain.spelling import Speller
from agentbox.asr.engine import Aborted, Recognition
from agentbox.asr.hotwords.evidence import FRAMES, Weights
from agentbox.asr.hotwords.scoring import Abort, Encode, Sound, Spell, changes, respelled
from agentbox.asr.logits import Floats
from agentbox.asr.tokens import TokenTable

Logprobs: TypeAlias = Callable[[Sound, Sequence[Sequence[int]], Abort], Sequence[float]]
"""log P(tokens | sound) of each of several texts. Raises `Aborted`, `ModelError` `model_failed`."""


class TextScorer(Generic[Sound]):
    """See `Rescorer`."""

    def __init__(
        self,
        table: TokenTable,
        logprobs: Logprobs[Sound],
        *,
        weights: Weights = FRAMES,
        spell: Spell | None = None,
        shouts: bool = False,
    ) -> None:
        """`spell`: the text of tokens, where it is not what the table says. `shouts`: the model knows only capitals."""
        self.weights = weights
        self.spell = spell or table.decode
        self._table = table
        self._logprobs = logprobs
        self._shouts = shouts

    @cached_property
    def _encode(self) -> Encode:
        speller = Speller(self._table)  # a table of its own: only for those who have names
        return (lambda text: speller.encode(text.upper())) if self._shouts else speller.encode

    def gains(
        self,
        sound: Sound,
        read: Recognition,
        texts: Sequence[str],
        least: Sequence[float],
        abort: Abort = None,
    ) -> list[float]:
        """See `Rescorer`; none is given up."""
        if abort is not None and abort():
            raise Aborted
        spelled = respelled(read, texts, self.spell, self._table, self._encode)
        known = [tokens for tokens in spelled if tokens is not None]
        if not known:
            return [-math.inf] * len(texts)
        own, *others = self._logprobs(sound, [read.tokens, *known], abort)
        totals = iter(others)
        return [-math.inf if tokens is None else next(totals) - own for tokens in spelled]


class RowScorer:
    """See `Rescorer`; for a model that counts the tokens first and scores all of them at once: only texts of as many
    tokens can be scored, which among Chinese names are those of as many characters."""

    weights = FRAMES

    def __init__(self, table: TokenTable, spell: Spell) -> None:
        """`spell`: the text of tokens."""
        self._table = table
        self.spell = spell

    @cached_property
    def _numbers(self) -> dict[str, int]:
        """Of the tokens that are one character."""
        texts = (self._table.text_of(token).decode("utf-8", "ignore") for token in range(len(self._table)))
        return {text: token for token, text in enumerate(texts) if len(text) == 1}

    def gains(
        self,
        sound: Floats,
        read: Recognition,
        texts: Sequence[str],
        least: Sequence[float],
        abort: Abort = None,
    ) -> list[float]:
        """See `Rescorer`. `sound`: [tokens, vocabulary], normalised or not: of two tokens in one place the logarithms
        of their probabilities differ as their scores do."""
        gains = []
        for text, (first, end, new) in zip(texts, changes(read, texts, self.spell), strict=True):
            tokens = [self._numbers.get(character, -1) for character in new]
            spelled = (*read.tokens[:first], *tokens, *read.tokens[end:])
            known = len(tokens) == end - first and -1 not in tokens
            if known and self.spell(spelled).casefold() == text.casefold():
                rows = range(first, end)
                gains.append(float(sound[rows, tokens].sum() - sound[rows, read.tokens[first:end]].sum()))
            else:
                gains.append(-math.inf)
        return gains
