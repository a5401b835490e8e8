"""What may be said, as a graph that hearing and understanding share: a recursive transition network over words.

Understanding makes one of its sentence templates (`intents/spoken`); hearing spells its words in a model's tokens and
decodes under it (`asr/constrain`). A way through the graph gives two texts: what a recogniser would write ("8 oz"),
and the canonical one, which the sentences themselves are written in ("eight ounce") and can read.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec


def is_spaced(language: str) -> bool:
    """Whether the language (a BCP 47 tag) parts words by spaces."""
    return not language.lower().startswith(("zh", "ja", "th", "lo", "my", "km"))


class Say(msgspec.Struct, frozen=True, array_like=True, tag="say"):
    """A word, or a few that are written as one ("25", "what's")."""

    canonical: str
    """As the sentences write it; empty where they know nothing of it (a word to skip)."""
    spoken: tuple[str, ...]
    """The ways a recogniser may write it as words of its own, in lower case where its case does not matter."""
    glued: tuple[str, ...] = ()
    """The ways it may be written onto the word before, without a space ("%", ":30")."""


class Free(msgspec.Struct, frozen=True, array_like=True, tag="free"):
    """Any words, at least one."""


class Call(msgspec.Struct, frozen=True, array_like=True, tag="call"):
    """All that another rule can say."""

    rule: str


class Nothing(msgspec.Struct, frozen=True, array_like=True, tag="nothing"):
    """From one node to the next without a word."""


Label: TypeAlias = Say | Free | Call | Nothing


class Arc(msgspec.Struct, frozen=True, array_like=True):
    """One step from node `source` to node `target` of its rule."""

    source: int
    target: int
    label: Label


class Rule(msgspec.Struct, frozen=True, array_like=True):
    """A graph with one way in, node 0, and one way out, node 1. No rule calls itself, directly or through others. An
    arc may lead to the node it comes from (words to skip), else there are no circles."""

    arcs: tuple[Arc, ...]


START_NODE, END_NODE = 0, 1


class SpeechGrammar(msgspec.Struct, frozen=True):
    """Everything that may be said. Whoever decodes chooses which of the `roots` count at the moment."""

    language: str
    spaced: bool
    """Words are parted by spaces (not in Chinese or Japanese)."""
    rules: dict[str, Rule]
    roots: tuple[str, ...]
    """Names of the rules that are whole sentences."""


class Candidate(msgspec.Struct, frozen=True):
    """A sentence of the grammar that a sound may hold, as decoding found it."""

    readings: tuple[str, ...]
    """In the words of the sentences themselves; several where one spelling stands for several sentences."""
    text: str
    """As the model writes it."""
    score: float
    """Natural logarithm; only its distance from other candidates' for the same sound means something."""
    logprob: float
    """log P(text | sound)."""
    tokens: int


class FreeReading(msgspec.Struct, frozen=True):
    """What the same sound was without any grammar."""

    text: str
    score: float
    """On the same scale as the candidates'."""
    logprob: float
    tokens: int
    plain: bool = False
    """The scores, the candidates' too, are log-probabilities: the model's own expectation is not taken out."""
