"""Engines that write a stretch of sound down in one run of one graph, all tokens at once."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import soundfile

from agentbox.asr import guards
from agentbox.asr.belief import believed
from agentbox.asr.constrain.frames import FrameSentences
from agentbox.asr.constrain.sentences import How
from agentbox.asr.ctc import CtcFrames
from agentbox.asr.engine import NO_HINTS, Aborted, Capabilities, Hints, Opening, Recognition, Samples
from agentbox.asr.features import Features
from agentbox.asr.frontend import Frontend
from agentbox.asr.graph_files import GraphFile, damaged, failed, fingerprint, senseless
from agentbox.asr.hotwords.evidence import FRAMES
from agentbox.asr.hotwords.scoring import Rescorer
from agentbox.asr.hotwords.text_scorer import RowScorer, TextScorer
from agentbox.asr.logits import Floats
from agentbox.asr.sound import check_finite, too_short
from agentbox.asr.tokens import TokenTable
from agentbox.errors import ModelError
from agentbox.inference import return_free_memory
from agentbox.messages import SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True)
class Scores:
    """What the graph made of a stretch of sound."""

    logits: Floats
    """[rows, vocabulary], normalised or not. A row is a frame, or a token."""
    peaks: Floats | None = None
    """How much of a token has come together by each third of a row of sound, where the graph tells: [thirds]."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The tokens in the scores, and what else was in them."""

    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]
    token_ms: tuple[int, ...] = ()
    language: str | None = None
    emotion: str | None = None
    sound_event: str | None = None
    is_speech: bool = True
    """False where the model itself says that nobody speaks."""


class Reader(Protocol):
    """What the families differ in."""

    graph: GraphFile
    table: TokenTable

    @property
    def languages(self) -> tuple[str, ...]:
        """What models of the family know (BCP-47); empty: each something else."""
        ...

    @property
    def blank(self) -> int | None:
        """The number of the blank, where the model has CTC outputs."""
        ...

    @property
    def tag_rows(self) -> int:
        """Rows before the first one of sound."""
        ...

    def scores(self, features: Features, language: str) -> Scores:
        """`features`: [rows, width], at least one. Raises `ModelError` `model_failed`."""
        ...

    def read(self, scores: Scores, row_ms: int) -> Reading:
        """`row_ms`: from one row of features to the next."""
        ...

    def spell(self, tokens: Sequence[int]) -> str:
        """The text of tokens."""
        ...

    def check(self, scores: Scores, rows: int) -> bool:
        """Whether the scores for so many rows of features look as this family's do."""
        ...


class SingleRun:
    """The engine round a reader."""

    def __init__(self, reader: Reader, frontend: Frontend, opening: Opening) -> None:
        """Raises `ModelError` `model_damaged` where the self-test fails."""
        self.name = opening.name
        self.reader = reader
        self.frontend = frontend
        self.table = reader.table
        self.capabilities = Capabilities(opening.languages or reader.languages, streaming=False, token_scores=True)
        self.tokens_per_second = opening.tokens_per_second or guards.DENSE_TOKENS_PER_SECOND
        self.self_test(opening.encoder_rms)
        return_free_memory()

    def transcribe(
        self,
        samples: Samples,
        *,
        language: str,
        speech_ms: int | None = None,
        abort: Callable[[], bool] | None = None,
        hints: Hints = NO_HINTS,
        partial: Callable[[str], None] | None = None,
    ) -> Recognition:
        """See `Engine.transcribe`; there is nothing to tell before it is done. Where several languages may be spoken,
        the model finds out which."""
        language = "und" if len(hints.languages) > 1 else language
        return self.listen(samples, language=language, speech_ms=speech_ms, abort=abort)[0]

    def listen(
        self,
        samples: Samples,
        *,
        language: str,
        speech_ms: int | None = None,
        abort: Callable[[], bool] | None = None,
    ) -> tuple[Recognition, Scores | None]:
        """`transcribe`, and the scores to find commands on (`frames`); null where the sound is too short for any."""
        if (short := too_short(samples.size)) is not None:
            return short, None
        audio_ms = samples.size * 1000 // SAMPLE_RATE_HZ
        started = time.perf_counter()
        scores = self._scores(samples, language, abort)
        encoded = time.perf_counter()
        # Where a score is no number, the likeliest token is the first one: often the blank, and so an empty text.
        if scores.logits.size and not np.isfinite(scores.logits.max()):
            raise failed(self.name)
        reading = self.reader.read(scores, self.frontend.row_ms)
        recognition = replace(
            self._believed(reading, (audio_ms if speech_ms is None else speech_ms) / 1000),
            audio_ms=audio_ms,
            encode_ms=(encoded - started) * 1000,
            decode_ms=(time.perf_counter() - started) * 1000,
        )
        return recognition, scores

    def sentence_decoder(self, cache: Path | None) -> FrameSentences | None:
        """See `TakesSentences`; null where the model has no CTC outputs."""
        return None if self.reader.blank is None else FrameSentences(self.table)

    def rescorer(self) -> Rescorer[Any]:
        """See `Rescores`."""
        if self.reader.blank is None:
            return RowScorer(self.table, self.spell)
        return TextScorer(self.table, CtcFrames.logprobs_of, FRAMES)

    def read(self, samples: Samples, how: How) -> tuple[Recognition, CtcFrames | Floats | None]:
        """See `KeepsSound`: the frames, or a row of scores for each token (see `Scores.logits`)."""
        language = "und" if len(how.hints.languages) > 1 else how.language
        read, scores = self.listen(samples, language=language, speech_ms=how.speech_ms, abort=how.abort)
        if scores is None:
            return read, None
        return read, scores.logits if self.reader.blank is None else self.frames(scores)

    def frames(self, scores: Scores) -> CtcFrames | None:
        """What commands are found on (`constrain.ctc`); null where the model has no CTC outputs. Uses `scores` up."""
        if self.reader.blank is None:
            return None
        return CtcFrames.of(scores.logits[self.reader.tag_rows :], self.reader.blank, self.frontend.row_ms)

    def _scores(self, samples: Samples, language: str, abort: Callable[[], bool] | None) -> Scores:
        check_finite(samples)
        features = self.frontend(samples)
        if abort is not None and abort():
            raise Aborted
        scores = self.reader.scores(features, language)
        if abort is not None and abort():
            raise Aborted
        return scores

    def _believed(self, reading: Reading, speech_s: float) -> Recognition:
        """What of a reading may be believed, without times."""
        found = believed(
            self.spell,
            reading.tokens,
            reading.logprobs,
            reading.token_ms,
            capped=False,
            speech_s=speech_s if reading.is_speech else 0.0,
            tokens_per_second=self.tokens_per_second,
        )
        return replace(
            found,
            suppressed=found.suppressed if reading.is_speech else "no_speech",
            language=reading.language,
            emotion=reading.emotion,
            sound_event=reading.sound_event,
        )

    def spell(self, tokens: Sequence[int]) -> str:
        """See `Spelling.spell`."""
        return self.reader.spell(tokens)

    def rest(self) -> None:
        """See `Engine.rest`. Every run gives its memory back itself."""
        return_free_memory()

    def self_test(self, expected_rms: float | None = None) -> None:
        """A spoken sentence through the graph; raises `ModelError` `model_damaged` where the numbers make no sense.

        Finds a token table of another model, and processors on which a quantised graph computes rubbish.
        `expected_rms` is the root mean square of the scores for this sentence, where the catalogue knows it.
        """
        features = self.frontend(known_sentence())
        try:
            scores = self.reader.scores(features, "")
        except ModelError as error:
            raise senseless(self.name) from error
        fingerprint(scores.logits, self.name, expected_rms)
        size = scores.logits.shape[1]
        if not size - 1 <= len(self.table) <= size:
            raise damaged(self.reader.graph.file, f"it scores {size} tokens, and its table has {len(self.table)}")
        if not self.reader.check(scores, len(features)):
            raise senseless(self.name)


@functools.cache
def known_sentence() -> Samples:
    """ "What time is it?" from the spoken sample of this package: float32, 1.5 s."""
    with (files("agentbox") / "samples" / "commands.flac").open("rb") as file:
        sound, _ = soundfile.read(file, frames=3 * SAMPLE_RATE_HZ // 2, start=SAMPLE_RATE_HZ, dtype="float32")
    samples: Samples = sound
    return samples
