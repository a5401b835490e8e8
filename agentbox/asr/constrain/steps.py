"""Holding a sound against sentences with a decoder that writes token by token (see `beam`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Generic

import msgspec

from agentbox import caches
from agentbox.asr.constrain.decoder import BEAM, GrammarDecoder
from agentbox.asr.constrain.model import E, S, StepModel
from agentbox.asr.constrain.prior import Kept, NoPrior, Prior
from agentbox.asr.constrain.sentences import Held, Sentences
from agentbox.asr.constrain.warm import warm
from agentbox.asr.engine import Recognition
from agentbox.speech_grammar import SpeechGrammar

if TYPE_CHECKING:
    from agentbox.asr.moonshine import Moonshine

_KIND = "priors"
"""The kind of file that keeps what was worked out (see `caches`)."""


class StepSentences(Generic[E, S]):
    """See `SentenceDecoder`."""

    def __init__(
        self,
        model: StepModel[E, S],
        *,
        cache: Path | None = None,
        prior_of: Callable[[], Prior] | None = None,
        fingerprint: str = "",
        scored_by: Moonshine | None = None,
        beam: int = BEAM,
    ) -> None:
        """`prior_of`: makes a prior, null for a model whose prior takes too long; what is found out about it is kept in
        `cache` under the model's `fingerprint`. `beam`: the most hypotheses at a time."""
        self.scored_by = scored_by
        self.learns = prior_of is not None
        self._model = model
        self._cache, self._fingerprint = cache, fingerprint
        self._prior_of = prior_of
        self._beam = beam
        self._decoders: dict[str, tuple[GrammarDecoder[E, S], Prior | None]] = {}
        """By the language of their sentences, each with a prior of its own: what a prior keeps for good is what belongs
        to one grammar."""

    def hold(
        self,
        sentences: Sentences,
        read: Recognition,
        sound: E,
        text: str,
        *,
        under_way: bool = False,
        abort: Callable[[], bool] | None = None,
    ) -> Held:
        """See `SentenceDecoder`."""
        decoder, _ = self._ready(sentences.grammar)
        before = self._tokens_before(read.tokens, read.text[: sentences.after])
        tokens, logprobs = read.tokens[before:], read.token_logprobs[before:]
        decoded = decoder.decode(
            sound,
            sentences.roots,
            said=read.tokens[:before],
            free_logprob=sum(logprobs),
            free=tokens,
            confidence=read.confidence or 0.0,
            under_way=under_way,
            abort=abort,
        )
        if under_way:
            return Held(learnt=decoded.learnt)
        confidence = read.confidence or 0.0 if decoded.candidates else None
        return Held(decoded.candidates, decoder.free_reading(text, tokens, logprobs, confidence), decoded.learnt)

    def _tokens_before(self, tokens: Sequence[int], said: str) -> int:
        """How many tokens `said`, the beginning of the free reading, takes; a space at its end belongs to the rest."""
        table, wanted = self._model.table, len(said.rstrip())
        return next((n for n in range(len(tokens)) if len(table.decode(tokens[:n])) >= wanted), len(tokens))

    def prepare(self, sentences: Sentences) -> Iterator[None]:
        """See `SentenceDecoder`. What was found is kept in the cache."""
        decoder, prior = self._ready(sentences.grammar)
        yield
        if prior is None:
            yield from decoder.network.spell_all()
            return
        name = caches.digest(self._fingerprint, *sentences.roots, msgspec.msgpack.encode(sentences.grammar))
        kept = caches.read(self._cache, _KIND, name, Kept) if self._cache is not None else None
        if kept is not None:
            prior.restore(kept)
            return
        prior.keep((yield from warm(decoder.network, prior, sentences.roots)))
        decoder.network.forget()  # states take much memory and little time
        if self._cache is not None:
            caches.write(self._cache, _KIND, name, prior.dump())

    def _ready(self, grammar: SpeechGrammar) -> tuple[GrammarDecoder[E, S], Prior | None]:
        """With a prior for each language: what is kept in it is of the sentences of one."""
        known = self._decoders.get(grammar.language)
        if known is not None and known[0].network.grammar is grammar:
            return known
        new = self._prior_of if known is None else None
        prior = new() if new is not None else known[1] if known is not None else None
        decoder = GrammarDecoder(self._model, grammar, NoPrior() if prior is None else prior, self._beam)
        self._decoders[grammar.language] = decoder, prior
        return decoder, prior
