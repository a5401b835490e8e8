"""How well other words fit a sound than those that were read: what an engine offers that can tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

from agentbox.asr.constrain.model import Table
from agentbox.asr.constrain.sentences import Sound
from agentbox.asr.engine import Recognition
from agentbox.asr.hotwords.evidence import Weights
from agentbox.asr.hotwords.sounds import is_chinese, plain

Spell: TypeAlias = Callable[[Sequence[int]], str]
"""The text of tokens, as `Recognition.text` has it."""

Encode: TypeAlias = Callable[[str], tuple[int, ...]]
"""The tokens of a text; a leading space counts."""

Abort: TypeAlias = Callable[[], bool] | None
"""Asked between steps whether to give up."""


class Rescorer(Protocol[Sound]):
    """Scores texts with one model. Belongs to the inference thread."""

    @property
    def weights(self) -> Weights:
        """How its gains count."""
        ...

    @property
    def text_is_enough(self) -> bool:
        """Whether a long name that sounds just like what was read is written whatever the gain: where the gains were
        never tried on speech. They still say which of two such names it is."""
        ...

    @property
    def spell(self) -> Spell: ...

    def gains(
        self,
        sound: Sound,
        read: Recognition,
        texts: Sequence[str],
        least: Sequence[float],
        /,
        abort: Abort = None,
    ) -> list[float]:
        """log P(text | sound) - log P(what was read | sound) for each of `texts`: below 0 as a rule, and minus infinity
        where the model cannot spell a text. One that falls below its `least` may be given up: minus infinity, too.

        Raises `Aborted`, `ModelError` `model_failed`.
        """
        ...


@runtime_checkable
class Rescores(Protocol):
    """An engine that can score other words than those it read, on the sound as it keeps it (`KeepsSound`), or on its
    stream."""

    def rescorer(self) -> Rescorer[Any]: ...


class Change(NamedTuple):
    """Where a text goes otherwise than what was read."""

    first: int
    end: int
    """Tokens of the reading, `end` not among them."""
    text: str
    """What is said in their place. A space that one of them begins with belongs to it, but for the first of all."""


def changes(read: Recognition, texts: Sequence[str], spell: Spell) -> list[Change]:
    """The fewest tokens that must go for each of `texts`: those of whole words where letters make words, and of single
    characters in Chinese. All others stay as the model wrote them."""
    places = [*_places(read, spell)]
    return [_change(read, text, places) for text in texts]


class _Place(NamedTuple):
    """Between two tokens of a reading, not within a word."""

    tokens: int
    characters: int
    """How many there are before it."""


def _places(read: Recognition, spell: Spell) -> Iterator[_Place]:
    last = -1
    for at in range(len(read.tokens) + 1):
        before = spell(read.tokens[:at])
        # A letter may be cut in half, and a space alone adds nothing to be seen.
        if len(before) > last and read.text.startswith(before) and not _within_word(read.text, len(before)):
            last = len(before)
            yield _Place(at, last)


def _change(read: Recognition, text: str, places: Sequence[_Place]) -> Change:
    old, longer = read.text, len(text) - len(read.text)
    before = alike(old, text)
    after = alike(old[before:][::-1], text[before:][::-1])
    start = _Place(0, 0)
    for place in places:
        if place.characters <= before and not _within_word(text, place.characters):
            start = place
    for place in places:
        at = place.characters
        if at >= max(len(old) - after, start.characters) and not _within_word(text, at + longer):
            return Change(start.tokens, place.tokens, text[start.characters : at + longer])
    return Change(start.tokens, len(read.tokens), text[start.characters :])


def alike(one: Sequence[object], other: Sequence[object]) -> int:
    """How many things two sequences begin with alike."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _within_word(text: str, at: int) -> bool:
    """Whether the characters before and after the place `at` belong together."""
    around = text[at - 1 : at + 1] if at else ""
    return len(around) == 2 and all(one.isalnum() and not is_chinese(one) for one in around)


def respelled(
    read: Recognition, texts: Sequence[str], spell: Spell, table: Table, cuts: Sequence[Encode]
) -> list[list[tuple[int, ...]]]:
    """For each of `texts` its tokens, those that were read wherever it says the same, and once for each of the `cuts`
    of words into tokens that gives others; none where the model cannot spell it."""
    spaced = bool(read.tokens) and table.text_of(read.tokens[0])[:1] == b" "
    found: list[list[tuple[int, ...]]] = []
    for text, change in zip(texts, changes(read, texts, spell), strict=True):
        space = " " if spaced and not change.first else ""
        for forms in _written(space + change.text):
            ways = dict.fromkeys(
                (*read.tokens[: change.first], *cut(form), *read.tokens[change.end :]) for form in forms for cut in cuts
            )
            known = [tokens for tokens in ways if _same_words(spell(tokens), text)]
            if known:
                break
        found.append(known)
    return found


def _written(text: str) -> Iterator[tuple[str, ...]]:
    """How a model may write a text, one after the other: as it is, all small, in capitals, without accents; where it
    begins with letters amidst Chinese, with a space before them or without."""
    letters = text[:1].isalnum() and not is_chinese(text)
    for one in dict.fromkeys((text, plain(text))):
        for case in dict.fromkeys((one, one.lower(), one.upper())):
            yield (case, f" {case}") if letters else (case,)


def _same_words(spelled: str, text: str) -> bool:
    """Whether a text was spelled; the model's way to write letters and spaces aside."""
    one, other = (plain(words.replace(" ", "")).casefold() for words in (spelled, text))
    return one == other


def logprobs_by_character(read: Recognition, spell: Spell) -> list[float]:
    """For each character of what was read the least log-probability of its tokens: a letter may be cut into bytes."""
    found: list[float] = []
    least = 0.0
    for at, logprob in enumerate(read.token_logprobs, 1):
        least = min(least, logprob)
        before = spell(read.tokens[:at])
        if read.text.startswith(before):
            found += [least] * (len(before) - len(found))
            least = 0.0
    return found
