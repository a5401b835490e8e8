"""How an engine says that a sound can be held against sentences, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar, runtime_checkable

from agentbox.asr.engine import NO_HINTS, Hints, Recognition, Samples
from agentbox.speech_grammar import Candidate, FreeReading, SpeechGrammar

if TYPE_CHECKING:
    from agentbox.asr.moonshine import Moonshine


class Sentences(NamedTuple):
    """What to decode under: a grammar, and its rules that count."""

    grammar: SpeechGrammar
    roots: tuple[str, ...]
    after: int = 0
    """How many characters of the free reading were said before them (a wake phrase)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """How a sound is to be read: the arguments of `Engine.transcribe`."""

    language: str
    speech_ms: int | None = None
    abort: Callable[[], bool] | None = None
    hints: Hints = NO_HINTS
    partial: Callable[[str], None] | None = None


class Held(NamedTuple):
    """What a sound can be of some sentences."""

    candidates: tuple[Candidate, ...] = ()
    """The likeliest first."""
    free: FreeReading | None = None
    """What they are compared with. Null where the sound can be none of them, nor anything else."""
    learnt: int = 0
    """How much of it was met for the first time, which takes longer."""


Sound = TypeVar("Sound", contravariant=True)
"""What an engine keeps of a sound, to look at it again."""


class SentenceDecoder(Protocol[Sound]):
    """Holds what one engine heard against sentences. Belongs to the inference thread."""

    @property
    def learns(self) -> bool:
        """Whether it is quicker with what it has met before: then it is worth while to begin before the end."""
        ...

    @property
    def scored_by(self) -> Moonshine | None:
        """The model that can tell cheaply how well wake phrases fit a sound; null where there is none."""
        ...

    def hold(
        self,
        sentences: Sentences,
        read: Recognition,
        sound: Sound,
        text: str,
        /,
        *,
        under_way: bool = False,
        abort: Callable[[], bool] | None = None,
    ) -> Held:
        """What `sound` can be of `sentences`. `read`: its free reading; `text`: what of that is not said before the
        sentences. `under_way`: more is being said, and this only makes ready for it.

        Raises `Aborted`, `ModelError` `model_failed`.
        """
        ...

    def prepare(self, sentences: Sentences, /) -> Iterator[None]:
        """Make a grammar ready before it is needed, in small pieces."""
        ...


@runtime_checkable
class KeepsSound(Protocol):
    """An engine that can look again at what it heard: to hold it against sentences (`TakesSentences`), or names
    (`hotwords.scoring.Rescores`)."""

    def read(self, samples: Samples, how: How, /) -> tuple[Recognition, Any | None]:
        """`Engine.transcribe`, and the sound as it keeps it; null where there is nothing to look at."""
        ...


@runtime_checkable
class TakesSentences(KeepsSound, Protocol):
    """An engine that can be decoded under sentences. One that cannot has no such method, or gives null."""

    def sentence_decoder(self, cache: Path | None) -> SentenceDecoder[Any] | None:
        """`cache`: a folder for what takes a while to work out."""
        ...
