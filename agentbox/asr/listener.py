"""Hears a stretch of sound once and reads it twice: freely, and under the sentences that count at the moment."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, TypeAlias

import msgspec
import numpy as np

from agentbox import caches
from agentbox.asr.constrain.decoder import GrammarDecoder
from agentbox.asr.constrain.prior import Kept, Prior
from agentbox.asr.constrain.warm import warm
from agentbox.asr.engine import (
    NO_HINTS,
    Aborted,
    Engine,
    Hints,
    Recognition,
    Samples,
    Stream,
    StreamingEngine,
    can_stream,
)
from agentbox.asr.hotwords.correct import in_candidates
from agentbox.asr.hotwords.names import Names
from agentbox.asr.moonshine import Encoding, Moonshine
from agentbox.asr.sound import MIN_SAMPLES
from agentbox.asr.wake import PhraseScorer
from agentbox.asr.wakeful import Wakeful, with_phrase
from agentbox.messages import SAMPLE_RATE_HZ
from agentbox.speech_grammar import SpeechGrammar, is_spaced


class Sentences(NamedTuple):
    """What to decode under: a grammar, and its rules that count."""

    grammar: SpeechGrammar
    roots: tuple[str, ...]
    after: int = 0
    """How many characters of the free reading were said before them (a wake phrase)."""


NOVEL_CONTEXTS = 24
"""Contexts of the prior that an utterance may be the first to hold without being called novel: some 60 ms. A handful is
always new."""

UNDETERMINED = "und"
"""The language (BCP-47) of what may be spoken in any of several."""

PIECE_SAMPLES = SAMPLE_RATE_HZ // 4
"""After so much sound a stream that works off more can be called off."""

_KIND = "priors"
"""The kind of file that keeps what was worked out (see `caches`)."""

Ask: TypeAlias = Callable[[Recognition], Sentences | None]
"""Which sentences count for what was heard, judged by the free reading; null: nobody wants to know. Called in the
inference thread."""


class Listener:
    """An engine and the grammar it decodes under. Belongs to the inference thread."""

    def __init__(self, engine: Engine, cache: Path | None = None, languages: Sequence[str] = ()) -> None:
        """`cache`: a folder for what takes a while to work out. `languages`: all that may be spoken, where they are
        more than one."""
        self.engine = engine
        spoken = tuple(language for language in languages if engine.capabilities.speaks(language))
        self._hints = Hints(languages=spoken) if len(spoken) > 1 else NO_HINTS
        self._cache = cache
        self._decoders: dict[str, GrammarDecoder] = {}
        """By the language of their sentences, each with a prior of its own: what a prior keeps for good is what belongs
        to one grammar."""
        self._scorer: PhraseScorer | None = None
        self.names = Names()
        """The owner's."""
        self.novel = isinstance(engine, Moonshine)
        """In the last utterance decoded under sentences there was much that was not met before, which takes longer. It
        never is so where the engine cannot decode under sentences."""
        self._learnt = 0
        self._stream: Stream | None = None
        self._streamed: Samples = np.zeros(0, dtype=np.float32)
        """What the stream has heard."""
        self._stream_language = ""

    @property
    def streams(self) -> bool:
        """Whether the engine works while the owner speaks."""
        return can_stream(self.engine)

    def hear(
        self,
        samples: Samples,
        *,
        language: str,
        speech_ms: int | None = None,
        abort: Callable[[], bool] | None = None,
        ask: Ask | None = None,
        wakeful: Wakeful | None = None,
        under_way: bool = False,
        names: bool = True,
    ) -> Recognition:
        """As `Engine.transcribe`; with `ask`, the candidates under the sentences it names; with `wakeful`, the wake
        phrase it begins with. `under_way`: more is being said, and this only makes ready for it.

        `names`: the owner's are put right, unless `ask` finds nothing to do with the words.

        A streaming engine only hears what it has not heard yet (`partial`).
        """
        recognition = self._hear(samples, language, speech_ms, abort, ask, wakeful, under_way, names)
        return replace(recognition, engine=self.engine.name)

    def _hear(
        self,
        samples: Samples,
        language: str,
        speech_ms: int | None,
        abort: Callable[[], bool] | None,
        ask: Ask | None,
        wakeful: Wakeful | None,
        under_way: bool,
        names: bool,
    ) -> Recognition:
        if not isinstance(self.engine, Moonshine):
            read = self._read(samples, language, speech_ms, abort)
            if not names or not self.names.hotwords:
                return read
            sentences = ask(read) if ask is not None else None
            if ask is not None and sentences is None:
                return read
            return self.names.told(
                self.engine.capabilities,
                read,
                lambda told: self._read(samples, language, speech_ms, abort, told),
                after=sentences.after if sentences is not None else 0,
            )
        recognition, encoding = self.engine.listen(samples, speech_ms=speech_ms, abort=abort)
        if wakeful is not None and encoding is not None:
            scorer = self._scorer_of(self.engine, wakeful.phrases, language)
            wakeful.look(scorer, samples, encoding, last=True)
            recognition = with_phrase(
                self.engine, scorer, wakeful, recognition, encoding, speech_ms=speech_ms, abort=abort
            )
        if encoding is None:
            return recognition
        sentences = ask(recognition) if ask is not None else None
        named = recognition
        if names and (ask is None or sentences is not None):
            after = sentences.after if sentences is not None else 0
            named = self.names.scored(self.engine, recognition, encoding, after=after, abort=abort)
        if sentences is None or not sentences.roots:
            return named
        return self._under(sentences, recognition, named, encoding, under_way=under_way, abort=abort)

    def _under(
        self,
        sentences: Sentences,
        recognition: Recognition,
        named: Recognition,
        encoding: Encoding,
        *,
        under_way: bool,
        abort: Callable[[], bool] | None,
    ) -> Recognition:
        """`named`, which is `recognition` with names put right, and what it can be of the sentences."""
        assert isinstance(self.engine, Moonshine)
        decoder = self._ready(self.engine, sentences.grammar)
        before = self._tokens_before(recognition, sentences.after)
        started = time.perf_counter()
        decoded = decoder.decode(
            encoding,
            sentences.roots,
            said=recognition.tokens[:before],
            free_logprob=sum(recognition.token_logprobs[before:]),
            free=recognition.tokens[before:],
            confidence=recognition.confidence or 0.0,
            under_way=under_way,
            abort=abort,
        )
        self._learnt += decoded.learnt
        if under_way:
            return named
        self.novel, self._learnt = self._learnt > NOVEL_CONTEXTS, 0
        free = decoder.free_reading(
            named.text[sentences.after :],
            recognition.tokens[before:],
            recognition.token_logprobs[before:],
            recognition.confidence or 0.0 if decoded.candidates else None,
        )
        candidates = in_candidates(decoded.candidates, named.corrections)
        constrain_ms = (time.perf_counter() - started) * 1000
        language = sentences.grammar.language
        return replace(named, candidates=candidates, free=free, constrain_ms=constrain_ms, sentences_in=language)

    def partial(
        self,
        samples: Samples,
        *,
        language: str,
        speech_ms: int | None = None,
        abort: Callable[[], bool] | None = None,
    ) -> Recognition:
        """The words so far of an utterance under way, without scores where the engine streams. Raises as `hear`."""
        if not can_stream(self.engine):
            return self.hear(samples, language=language, speech_ms=speech_ms, abort=abort, names=False)
        started = time.perf_counter()
        text = self._fed(self.engine, samples, language, abort).partial(abort=abort)
        decode_ms = (time.perf_counter() - started) * 1000
        return Recognition(text, audio_ms=samples.size * 1000 // SAMPLE_RATE_HZ, decode_ms=decode_ms)

    def _read(
        self,
        samples: Samples,
        language: str,
        speech_ms: int | None,
        abort: Callable[[], bool] | None,
        told: tuple[str, ...] = (),
    ) -> Recognition:
        """By an engine that only reads; `told`: names that may have been said."""
        if can_stream(self.engine):
            return self._fed(self.engine, samples, language, abort).finish(speech_ms=speech_ms, abort=abort)
        hints = replace(self._hints, hotwords=told)
        return self.engine.transcribe(
            samples, language=self._wanted(language), speech_ms=speech_ms, abort=abort, hints=hints
        )

    def _wanted(self, language: str) -> str:
        """What an engine that can tell languages apart is told, where `language` is the box's own."""
        return UNDETERMINED if self._hints.languages else language

    def _fed(
        self, engine: StreamingEngine, samples: Samples, language: str, abort: Callable[[], bool] | None
    ) -> Stream:
        """A stream that has heard `samples` and no more. One that heard their beginning goes on from there, so it does
        not matter which partials were called off, or left out because the box was busy."""
        stream, heard = self._stream, self._streamed.size
        same = language == self._stream_language and np.array_equal(samples[:heard], self._streamed)
        if stream is None or not same:
            stream, heard = engine.open_stream(language=self._wanted(language), hints=self._hints), 0
            self._stream, self._streamed, self._stream_language = stream, samples[:0], language
        for start in range(heard, samples.size, PIECE_SAMPLES):
            if abort is not None and abort():
                raise Aborted
            end = min(start + PIECE_SAMPLES, samples.size)
            self._stream = None  # what fails half way is not gone on with
            stream.accept(samples[start:end])
            self._stream, self._streamed = stream, samples[:end]
        return stream

    def rest(self) -> None:
        """Nothing has been said for a while: nothing of it is kept, and the engine rests."""
        self._stream, self._streamed = None, np.zeros(0, dtype=np.float32)
        self.engine.rest()

    def look(self, samples: Samples, wakeful: Wakeful, language: str) -> str | None:
        """The wake phrase that an utterance under way begins with, once it is known."""
        if isinstance(self.engine, Moonshine) and samples.size >= MIN_SAMPLES:
            wakeful.look(self._scorer_of(self.engine, wakeful.phrases, language), samples)
        return wakeful.phrase

    def _scorer_of(self, model: Moonshine, phrases: tuple[str, ...], language: str) -> PhraseScorer:
        if self._scorer is None or self._scorer.phrases != phrases:
            self._scorer = PhraseScorer(model, phrases, spaced=is_spaced(language))
        return self._scorer

    def _tokens_before(self, recognition: Recognition, characters: int) -> int:
        """How many tokens the first `characters` of the free reading take; a space at their end belongs to the rest."""
        assert isinstance(self.engine, Moonshine)
        table, tokens = self.engine.table, recognition.tokens
        wanted = len(recognition.text[:characters].rstrip())
        return next((n for n in range(len(tokens)) if len(table.decode(tokens[:n])) >= wanted), len(tokens))

    def prepare(self, sentences: Sentences) -> Iterator[None]:
        """Make a grammar ready before it is needed, in small pieces; nothing where the engine cannot decode under one.

        What was found is kept in the cache.
        """
        if not isinstance(self.engine, Moonshine):
            return
        decoder = self._ready(self.engine, sentences.grammar)
        yield
        name = caches.digest(self.engine.fingerprint, *sentences.roots, msgspec.msgpack.encode(sentences.grammar))
        kept = caches.read(self._cache, _KIND, name, Kept) if self._cache is not None else None
        if kept is not None:
            decoder.prior.restore(kept)
            return
        decoder.prior.keep((yield from warm(decoder.network, decoder.prior, sentences.roots)))
        decoder.network.forget()  # states take much memory and little time
        if self._cache is not None:
            caches.write(self._cache, _KIND, name, decoder.prior.dump())

    def _ready(self, model: Moonshine, grammar: SpeechGrammar) -> GrammarDecoder:
        """With a prior for each language: what is kept in it is of the sentences of one."""
        decoder = self._decoders.get(grammar.language)
        if decoder is None or decoder.network.grammar is not grammar:
            prior = Prior(model) if decoder is None else decoder.prior
            self._decoders[grammar.language] = decoder = GrammarDecoder(model, grammar, prior)
        return decoder
