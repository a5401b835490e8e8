"""Names scored by models that can say at once how likely a whole text is: CTC outputs, a transducer, or a decoder that
takes all of a text in one run; and by those that score all tokens of a reading at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import chain, islice
from typing import Generic, TypeAlias

import numpy as np

from agentbox.asr.constrain.sentences import Sound
from agentbox.asr.constrain.spelling import Speller
from agentbox.asr.engine import Aborted, Recognition
from agentbox.asr.hotwords.evidence import FRAMES, Weights
from agentbox.asr.hotwords.scoring import Abort, Encode, Spell, changes, respelled
from agentbox.asr.logits import Floats
from agentbox.asr.tokens import TokenTable

TextLogprobs: TypeAlias = Callable[[Sound, Sequence[Sequence[int]], Abort], Sequence[float]]
"""log P(tokens | sound) of each of several texts. Raises `Aborted`, `ModelError` `model_failed`."""


class TextScorer(Generic[Sound]):
    """See `Rescorer`."""

    text_is_enough = True

    def __init__(
        self, table: TokenTable, logprobs: TextLogprobs[Sound], weights: Weights, spell: Spell | None = None
    ) -> None:
        """`spell`: the text of tokens, where it is not what the table says."""
        self.weights = weights
        self.spell = spell or table.decode
        self._table = table
        self._logprobs = logprobs

    @cached_property
    def _cuts(self) -> list[Encode]:
        """Not every tokenizer cuts words as byte-pair encoding does. Another cut is another way to write the same text:
        how likely they are adds up."""
        speller = Speller(self._table)  # a table of its own: only for those who have names
        return [speller.encode, speller.longest_first]

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
        spelled = respelled(read, texts, self.spell, self._table, self._cuts)
        if not any(spelled):
            return [-math.inf] * len(texts)
        own, *others = self._logprobs(sound, [read.tokens, *chain.from_iterable(spelled)], abort)
        scores = iter(others)
        return [float(np.logaddexp.reduce([*islice(scores, len(ways)), -math.inf])) - own for ways in spelled]


class RowScorer:
    """See `Rescorer`; for a model that counts the tokens first and scores all of them at once: only texts of as many
    tokens can be scored, which among Chinese names are those of as many characters."""

    weights = FRAMES
    text_is_enough = True

    def __init__(self, table: TokenTable, spell: Spell) -> None:
        """`spell`: the text of tokens."""
        self._table = table
        self.spell = spell

    @cached_property
    def _numbers(self) -> dict[str, int]:
        """Of the tokens that are one character."""
        texts = (self._table.text_of(token).decode("utf-8", "ignore") for token in range(len(self._table)))
        return {text.casefold(): token for token, text in enumerate(texts) if len(text) == 1}

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
            tokens = [self._numbers.get(character, -1) for character in new.casefold() if character != " "]
            spelled = (*read.tokens[:first], *tokens, *read.tokens[end:])
            known = len(tokens) == end - first and -1 not in tokens
            if known and self.spell(spelled).casefold() == text.casefold():
                rows = range(first, end)
                gains.append(float(sound[rows, tokens].sum() - sound[rows, read.tokens[first:end]].sum()))
            else:
                gains.append(-math.inf)
        return gains
