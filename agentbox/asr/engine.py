"""What a speech engine is to the rest of the house: sound in, words out, and what it can do said beforehand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias, TypeGuard, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from agentbox.languages import covers
from agentbox.speech_grammar import Candidate, FreeReading

Samples: TypeAlias = NDArray[np.float32]
"""Mono sound, 16 kHz, float32 in -1..1, shape [n]."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine can do."""

    languages: tuple[str, ...]
    """BCP-47 tags; `en` covers `en-GB`. Empty: the engine does not know (a model folder of the owner's)."""
    streaming: bool
    """It can take sound piece by piece: it is a `StreamingEngine`."""
    token_scores: bool
    """It tells how likely it held each token."""
    takes_hotwords: bool = False
    """It listens more readily for names it is told (`Hints.hotwords`)."""

    def speaks(self, language: str) -> bool:
        """Whether `language` (BCP-47) is covered."""
        return not self.languages or any(covers(tag, language) for tag in self.languages)


class Correction(NamedTuple):
    """A name or term of the owner's that was written in place of what was read (`asr.hotwords`)."""

    heard: str
    meant: str
    start: int
    """Where `heard` begins in the text as it was read."""


@dataclass(frozen=True, slots=True)
class Recognition:
    """What an engine made of one stretch of sound."""

    text: str
    """Empty when nothing was said, or when a guard threw the words away."""
    confidence: float | None = None
    """Mean probability of the tokens, 0..1, uncalibrated; null where there are no tokens or no scores."""
    tokens: tuple[int, ...] = ()
    """The model's own numbers for the tokens of `text`, without start and end; of a suppressed text too."""
    token_logprobs: tuple[float, ...] = ()
    """Natural logarithm of each token's probability, over the whole vocabulary."""
    suppressed: str | None = None
    """Why the text is empty: `loop`, `too_many_words`, `no_speech` (see guards); `too_short`: under 100 ms."""
    audio_ms: int = 0
    encode_ms: float = 0.0
    decode_ms: float = 0.0
    """Time for the free reading, `encode_ms` included."""
    wake: str | None = None
    """The wake phrase that the sound begins with; empty where it begins with none, null where nobody looked."""
    candidates: tuple[Candidate, ...] = ()
    """What it can be of the sentences it was decoded under, the likeliest first; empty where none was asked for."""
    free: FreeReading | None = None
    """What the candidates are held against: the free reading of the same stretch; null where there are none."""
    constrain_ms: float | None = None
    """Time for decoding under the grammar; null where that was not done."""
    token_ms: tuple[int, ...] = ()
    """When each of `tokens` begins, in milliseconds of the sound; empty where the model does not tell."""
    language: str | None = None
    """Which language the model heard (BCP-47), where it tells."""
    emotion: str | None = None
    """How it was said (`happy`, `sad`, `angry`, `neutral` ...), where the model tells."""
    sound_event: str | None = None
    """What else was heard (`speech`, `music`, `applause`, `laughter` ...), where the model tells."""
    corrections: tuple[Correction, ...] = ()
    """The owner's names that were put right in `text`, in their order; `tokens` are of what was read before."""
    as_read: str = ""
    """`text` before that; empty where nothing was put right."""
    hotwords_ms: float | None = None
    """Time for looking for them; null where that was not done."""
    sentences_in: str | None = None
    """The language (BCP-47) of the sentences that it was decoded under; null where that was not done."""
    engine: str = ""
    """The name of the model that heard it; said by who calls the engine, since that may change while the box runs."""


@dataclass(frozen=True, slots=True)
class Hints:
    """What helps an engine beyond the sound; whoever cannot use it leaves it."""

    hotwords: tuple[str, ...] = ()
    """Names and terms that may have been said, the likeliest first."""
    before: str = ""
    """What was said just before this stretch."""
    languages: tuple[str, ...] = ()
    """All that may be spoken (BCP-47), the box's own first. With more than one, a model that can tell them apart takes
    `language` for no more than a likelihood, and says in `Recognition.language` which it heard."""
    times: bool = False
    """`Recognition.token_ms` is wanted, even of a model that is slower with it."""


NO_HINTS = Hints()


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """How a model is to be opened."""

    name: str
    languages: tuple[str, ...] = ()
    """BCP-47; empty where nobody knows (a folder of the owner's)."""
    language: str = "en"
    """The one it is wanted for."""
    threads: int = 1
    tokens_per_second: float | None = None
    """The most that its guards allow; null: what the family knows."""
    encoder_rms: float | None = None
    """Root mean square of the encoder's output (of the scores, where one graph is all) in the self-test, where the
    catalogue knows it."""


class Aborted(Exception):  # noqa: N818 - not an error: the caller said it no longer wants the answer
    """`transcribe` gave up because `abort()` became true."""


class Engine(Protocol):
    """A loaded model. Called from one thread at a time."""

    @property
    def name(self) -> str:
        """The model's name in the catalogue, or its folder's name."""
        ...

    @property
    def capabilities(self) -> Capabilities: ...

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
        """The words in `samples`, a stretch of at most some 25 s; longer sound is cut by the caller.

        `language`: BCP-47; `und` where it is not known, and any of `hints.languages` may be spoken.

        `speech_ms` is how much of it the voice detector took for speech; null where nobody measured.
        `abort` is asked between the steps of a long decoding. `partial` is told the text so far, where an engine writes
        it piece by piece.

        Raises `InputError` `audio_not_finite`, `ModelError` `model_failed`, `Aborted`.
        """
        ...

    def rest(self) -> None:
        """Nothing has been said for a while: give back memory that only decoding needs."""
        ...


class Stream(Protocol):
    """An utterance that an engine hears piece by piece. Called from the engine's thread.

    What it makes of the sound does not depend on how it was cut into pieces.
    """

    def accept(self, samples: Samples) -> None:
        """The next piece, of any length. Raises `InputError` `audio_not_finite`, `ModelError` `model_failed`."""
        ...

    def partial(self, *, abort: Callable[[], bool] | None = None) -> str:
        """The words so far; the last ones may still change. Raises `ModelError` `model_failed`, `Aborted`."""
        ...

    def finish(self, *, speech_ms: int | None = None, abort: Callable[[], bool] | None = None) -> Recognition:
        """The words, if no more sound comes: as `Engine.transcribe` gives them for all of it. Its times count the work
        for all of it, whenever that was done.

        More may come all the same, since a pause need not be the end: then it is as if nobody had asked. Raises
        `ModelError` `model_failed`, `Aborted`.
        """
        ...


class StreamingEngine(Engine, Protocol):
    """An engine that works while the owner speaks."""

    def open_stream(self, *, language: str, hints: Hints = NO_HINTS) -> Stream:
        """Begin an utterance. Any number may be open; one that is not wanted any more is just forgotten."""
        ...


def can_stream(engine: Engine) -> TypeGuard[StreamingEngine]:
    """Whether `engine` says that it takes sound piece by piece."""
    return engine.capabilities.streaming


@runtime_checkable
class Spelling(Protocol):
    """An engine that can say what its tokens write: needed for the times of words, where it gives `token_ms`."""

    def spell(self, tokens: Sequence[int]) -> str:
        """The text of `tokens`, as `Recognition.text` has it."""
        ...
