"""Hears a stretch of sound once and reads it twice: freely, and under the sentences that count at the moment."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from agentbox.asr.constrain.sentences import How, KeepsSound, Sentences, TakesSentences
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
from agentbox.asr.hotwords.scoring import Rescores
from agentbox.asr.sound import MIN_SAMPLES
from agentbox.asr.wake import PhraseScorer
from agentbox.asr.wakeful import Wakeful, with_phrase
from agentbox.messages import SAMPLE_RATE_HZ
from agentbox.speech_grammar import is_spaced

if TYPE_CHECKING:
    from agentbox.asr.moonshine import Moonshine

__all__ = ["Ask", "Listener", "Sentences"]

NOVEL_CONTEXTS = 24
"""Contexts of the prior that an utterance may be the first to hold without being called novel: some 60 ms. A handful is
always new."""

UNDETERMINED = "und"
"""The language (BCP-47) of what may be spoken in any of several."""

PIECE_SAMPLES = SAMPLE_RATE_HZ // 4
"""After so much sound a stream that works off more can be called off."""

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
        self._decoder = engine.sentence_decoder(cache) if isinstance(engine, TakesSentences) else None
        """Null where the engine only reads."""
        self._rescorer = engine.rescorer() if isinstance(engine, Rescores) else None
        self._phrases: PhraseScorer | None = None
        self.names = Names()
        """The owner's."""
        self.novel = self._decoder is not None and self._decoder.learns
        """In the last utterance decoded under sentences there was much that was not met before, which takes longer. It
        never is so where the engine cannot decode under sentences, or learns nothing by it."""
        self.partial_again_s = 0.0
        """When the next partial may begin (`time.monotonic`): an engine that hears all anew each time rests for as long
        as the last one took, else a slow one would do nothing else."""
        self._learnt = 0
        self._stream: Stream | None = None
        self._streamed: Samples = np.zeros(0, dtype=np.float32)
        """What the stream has heard."""
        self._opened_as: tuple[str, Hints] | None = None
        """In which language, and with what to help it."""

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
        hints: Hints = NO_HINTS,
    ) -> Recognition:
        """As `Engine.transcribe`, but for the languages of `hints`, which are the listener's own; with `ask`, the
        candidates under the sentences it names; with `wakeful`, the wake phrase it begins with. `under_way`: more
        is being said, and this only makes ready for it.

        `names`: the owner's are put right, unless `ask` finds nothing to do with the words.

        A streaming engine only hears what it has not heard yet (`partial`).
        """
        hints = replace(hints, languages=self._hints.languages)
        how = How(language=language, speech_ms=speech_ms, abort=abort, hints=hints)
        recognition = self._hear(samples, how, ask, wakeful, under_way, names)
        return replace(recognition, engine=self.engine.name)

    def _hear(
        self,
        samples: Samples,
        how: How,
        ask: Ask | None,
        wakeful: Wakeful | None,
        under_way: bool,
        names: bool,
    ) -> Recognition:
        recognition, sound = self._listened(samples, how)
        scorer = self._decoder.scored_by if self._decoder is not None and sound is not None else None
        if wakeful is not None and scorer is not None:
            phrases = self._scorer_of(scorer, wakeful.phrases, how.language)
            wakeful.look(phrases, samples, sound, last=True)
            recognition = with_phrase(
                scorer, phrases, wakeful, recognition, sound, speech_ms=how.speech_ms, abort=how.abort
            )
        if not self.names.hotwords and (sound is None or self._decoder is None):
            return recognition
        sentences = ask(recognition) if ask is not None else None
        named = recognition
        if names and (ask is None or sentences is not None):
            after = sentences.after if sentences is not None else 0
            if self._rescorer is not None and sound is not None:
                named = self.names.scored(self._rescorer, recognition, sound, after=after, abort=how.abort)
            else:
                again = partial(self._told, samples, how)
                named = self.names.told(self.engine.capabilities, recognition, again, after=after)
        if self._decoder is None or sound is None or sentences is None or not sentences.roots:
            return named
        return self._held(sentences, recognition, named, sound, under_way=under_way, abort=how.abort)

    def _listened(self, samples: Samples, how: How) -> tuple[Recognition, Any]:
        """What was read, and the sound to be held against sentences and names; null where it cannot be."""
        if can_stream(self.engine):
            stream = self._fed(self.engine, samples, how)
            return stream.finish(speech_ms=how.speech_ms, abort=how.abort), stream
        how = replace(how, language=self._wanted(how.language))
        if isinstance(self.engine, KeepsSound):
            return self.engine.read(samples, how)
        return self._transcribed(samples, how), None

    def _transcribed(self, samples: Samples, how: How) -> Recognition:
        return self.engine.transcribe(
            samples,
            language=how.language,
            speech_ms=how.speech_ms,
            abort=how.abort,
            hints=how.hints,
            partial=how.partial,
        )

    def _told(self, samples: Samples, how: How, names: tuple[str, ...]) -> Recognition:
        """Read once more, with names that may have been said."""
        hints = replace(how.hints, hotwords=names)
        how = replace(how, hints=hints, partial=None)
        if can_stream(self.engine):
            return self._listened(samples, how)[0]
        return self._transcribed(samples, replace(how, language=self._wanted(how.language)))

    def _held(
        self,
        sentences: Sentences,
        recognition: Recognition,
        named: Recognition,
        sound: Any,
        *,
        under_way: bool,
        abort: Callable[[], bool] | None,
    ) -> Recognition:
        """`named`, which is `recognition` with names put right, and what it can be of the sentences."""
        assert self._decoder is not None
        started = time.perf_counter()
        # Where it was read anew with names, the wake phrase may have come out otherwise.
        same = named.text[: sentences.after] == recognition.text[: sentences.after]
        text = (named if same else recognition).text[sentences.after :]
        held = self._decoder.hold(sentences, recognition, sound, text, under_way=under_way, abort=abort)
        self._learnt += held.learnt
        if under_way:
            return named
        self.novel, self._learnt = self._learnt > NOVEL_CONTEXTS, 0
        candidates = in_candidates(held.candidates, named.corrections)
        constrain_ms = (time.perf_counter() - started) * 1000
        language = sentences.grammar.language
        return replace(named, candidates=candidates, free=held.free, constrain_ms=constrain_ms, sentences_in=language)

    def partial(
        self,
        samples: Samples,
        *,
        language: str,
        speech_ms: int | None = None,
        abort: Callable[[], bool] | None = None,
        told: Callable[[str], None] | None = None,
    ) -> Recognition:
        """The words so far of an utterance under way, without scores where the engine streams. `told`: of an engine
        that writes one token after the other, what it has written by then. Raises as `hear`."""
        how = How(language=language, speech_ms=speech_ms, abort=abort, hints=self._hints, partial=told)
        if not can_stream(self.engine):
            began = time.monotonic()
            try:
                heard = self._transcribed(samples, replace(how, language=self._wanted(language)))
                return replace(heard, engine=self.engine.name)
            finally:
                self.partial_again_s = 2 * time.monotonic() - began
        started = time.perf_counter()
        text = self._fed(self.engine, samples, how).partial(abort=abort)
        decode_ms = (time.perf_counter() - started) * 1000
        return Recognition(text, audio_ms=samples.size * 1000 // SAMPLE_RATE_HZ, decode_ms=decode_ms)

    def _wanted(self, language: str) -> str:
        """What an engine that can tell languages apart is told, where `language` is the box's own."""
        return UNDETERMINED if self._hints.languages else language

    def _fed(self, engine: StreamingEngine, samples: Samples, how: How) -> Stream:
        """A stream that has heard `samples` and no more. One that heard their beginning goes on from there, so it does
        not matter which partials were called off, or left out because the box was busy."""
        stream, heard = self._stream, self._streamed.size
        opened_as = (how.language, how.hints)
        same = opened_as == self._opened_as and np.array_equal(samples[:heard], self._streamed)
        if stream is None or not same:
            stream, heard = engine.open_stream(language=self._wanted(how.language), hints=how.hints), 0
            self._stream, self._streamed, self._opened_as = stream, samples[:0], opened_as
        for start in range(heard, samples.size, PIECE_SAMPLES):
            if how.abort is not None and how.abort():
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
        scorer = self._decoder.scored_by if self._decoder is not None else None
        if scorer is not None and samples.size >= MIN_SAMPLES:
            wakeful.look(self._scorer_of(scorer, wakeful.phrases, language), samples)
        return wakeful.phrase

    def _scorer_of(self, model: Moonshine, phrases: tuple[str, ...], language: str) -> PhraseScorer:
        if self._phrases is None or self._phrases.phrases != phrases:
            self._phrases = PhraseScorer(model, phrases, spaced=is_spaced(language))
        return self._phrases

    def prepare(self, sentences: Sentences) -> Iterator[None]:
        """Make a grammar ready before it is needed, in small pieces; nothing where the engine cannot be held to one."""
        if self._decoder is not None:
            yield from self._decoder.prepare(sentences)
