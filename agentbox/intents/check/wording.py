"""Words that nobody will ever hear as they are written: abbreviations, and what a model's vocabulary cannot write."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from hassil import TextChunk

from agentbox.intents.check.files import Finding, Literal
from agentbox.intents.normalise import UNITS, normalise
from agentbox.intents.numbers import NumberWords
from agentbox.intents.templates import parsed, parts_of
from agentbox.intents.words import words_of

_UNIT_WORDS = ("oz", "lb", "lbs", "hr", "hrs")
"""Units that nobody says the way they are written, also where the number before them is a slot."""

_AROUND = '"“”,.?!;:()。，？！、；：… '


def unsaid(literals: Iterable[Literal], language: str, numbers: NumberWords) -> Iterator[Finding]:
    """Words such as "8oz" that are tidied to other words before a sentence is looked for, one finding a line."""
    for literal in literals:
        for word in _words(literal.text):
            spoken = _spoken(word, language, numbers)
            if spoken is not None:
                what = f'"{word}" in "{literal.text}" is never heard like that.'
                todo = f'Write it as it is said: "{spoken}".' if spoken else "Leave it out: it is not kept."
                yield literal.place.finding("sentences_abbreviation", what, todo)
                break


def unspellable(literals: Iterable[Literal], spells: Callable[[str], bool]) -> Iterator[Finding]:
    """Words that the speech model cannot write, each where it first stands."""
    told: set[str] = set()
    for literal in literals:
        for word in _words(literal.text):
            if word not in told and not spells(word):
                told.add(word)
                letters = "".join(dict.fromkeys(letter for letter in word if not spells(letter)))
                which = f": it has no {' '.join(letters)}" if letters else ""
                what = f'the speech model cannot write "{word}"{which}, so that it is never heard.'
                todo = "Write it in the letters of the model's language, as it sounds."
                yield literal.place.finding("sentences_unspellable", what, todo)


def _words(template: str) -> Iterator[str]:
    for part in parts_of(parsed(template).expression):
        if isinstance(part, TextChunk):
            for word in part.original_text.split():
                bare = word.strip(_AROUND)
                if words_of(bare):
                    yield bare


def _spoken(word: str, language: str, numbers: NumberWords) -> str | None:
    """The word as it is said, where it is written otherwise; empty where it is thrown away."""
    if language.startswith("en") and word.lower() in _UNIT_WORDS:
        return UNITS[word.lower()]
    heard = normalise(word, language)
    if [one.text for one in words_of(heard)] == [one.text for one in words_of(word)]:
        return None
    return re.sub(r"\s+", " ", numbers.to_words(heard))
