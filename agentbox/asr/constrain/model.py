"""What decoding under sentences asks of a model whose decoder writes a sentence token by token."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, Self, TypeVar

from agentbox.asr.engine import Samples
from agentbox.asr.logits import Floats


class Table(Protocol):
    """Token numbers to text."""

    def __len__(self) -> int: ...

    def text_of(self, token: int) -> bytes:
        """The bytes of one token, with a space in front where a word begins; none for marks of the model's own."""
        ...

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of `tokens`, without space around it."""
        ...


class Spells(Protocol):
    """Text to tokens."""

    def encode(self, text: str) -> tuple[int, ...]:
        """The tokens of `text`; a leading space counts."""
        ...

    def variants(self, text: str, *, spaced: bool = True, first: bool = True) -> Iterator[tuple[int, ...]]:
        """See `spelling.Speller.variants`."""
        ...


class Heard(Protocol):
    """A sound after the encoder."""

    @property
    def audio_s(self) -> float: ...


class Batch(Protocol):
    """Hypotheses, one a row."""

    def rows(self, indices: Sequence[int]) -> Self:
        """Those in the rows `indices`, which may name one several times; what this one has stays valid."""
        ...


E = TypeVar("E", bound=Heard)
E_contra = TypeVar("E_contra", bound=Heard, contravariant=True)
S = TypeVar("S", bound=Batch)


class StepModel(Protocol[E_contra, S]):
    """A model with such a decoder. All of it raises `ModelError` `model_failed`."""

    @property
    def table(self) -> Table: ...

    @property
    def end(self) -> int:
        """The token that ends a sentence."""
        ...

    @property
    def tokens_per_second(self) -> float:
        """The most that are spoken."""
        ...

    def speller(self) -> Spells: ...

    def begin_after(self, encoding: E_contra, tokens: Sequence[int], /) -> tuple[Floats, S]:
        """One hypothesis that has said `tokens` already: as `step` gives it."""
        ...

    def step(self, tokens: Sequence[int], state: S, /) -> tuple[Floats, S]:
        """One more token for each hypothesis. Gives the logits for the token after it, [batch, vocabulary], and the new
        state; the old one stays valid."""
        ...


class DeafModel(Protocol[E]):
    """A model that can be asked what it would write if it heard nothing."""

    @property
    def table(self) -> Table: ...

    def encode(self, samples: Samples, /) -> E: ...

    def continuations(self, encoding: E, prefixes: Sequence[Sequence[int]], /) -> Floats:
        """Log-probabilities of the token after each of `prefixes`, [batch, vocabulary]."""
        ...
