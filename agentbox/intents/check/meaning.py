"""What a text means to one template alone, and which template of a file wins it."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from agentbox.intents.check.files import Located
from agentbox.intents.grammar import Grammar, Template
from agentbox.intents.normalise import normalise
from agentbox.intents.numbers import NumberWords
from agentbox.intents.reading import Match, read
from agentbox.messages import JSON


class Meaning(NamedTuple):
    """How one template reads a text."""

    text: str
    """The spelling that was read."""
    intent: str
    slots: Mapping[str, JSON]
    strength: tuple[bool, int, int, int]
    """By which hassil prefers one reading of a text to another, the stronger the smaller; see `reading.read`."""

    @property
    def free_slots(self) -> int:
        return self.strength[1]

    def is_same(self, other: Meaning) -> bool:
        return (self.intent, self.slots) == (other.intent, other.slots)

    def __str__(self) -> str:
        slots = " ".join(f"{name}={value}" for name, value in self.slots.items())
        return f"{self.intent} {slots}".rstrip()


class Meanings:
    """Reads texts with single templates, and with whole files as the box does: the first file that fits wins."""

    def __init__(self, grammars: Sequence[Grammar], language: str, numbers: NumberWords) -> None:
        self._grammars = grammars
        self._language = language
        self._numbers = numbers
        self._alone: dict[int, Grammar] = {}

    def of(self, located: Located, text: str, context: Mapping[str, JSON]) -> Meaning | None:
        """What `text` means where this template is the only one; null when it cannot read it."""
        key = id(located.template.sentence)
        if key not in self._alone:
            self._alone[key] = alone = copy.copy(located.grammar)
            alone.intents, alone.per_sentence = located.grammar.subset([located.template]), False
        for spelling in self._spellings(text):
            match = read(self._alone[key], spelling, context, self._numbers)
            if match is not None:
                return _meaning(match)
        return None

    def winner(self, text: str, context: Mapping[str, JSON]) -> tuple[Template, Meaning] | None:
        """The template of the owner's files that reads `text` as it would be heard."""
        for grammar in self._grammars:
            for spelling in self._spellings(text):
                match = read(grammar, spelling, context, self._numbers)
                if match is not None and match.result.intent_sentence is not None:
                    template = Template(match.name, match.result.intent_data, match.result.intent_sentence)
                    return template, _meaning(match)
        return None

    def heard(self, text: str) -> str:
        """`text` after it was heard and tidied."""
        return normalise(text, self._language)

    def _spellings(self, text: str) -> list[str]:
        heard = self.heard(text)
        return list(dict.fromkeys((self._numbers.to_words(heard), heard, self._numbers.to_digits(heard))))


def _meaning(match: Match) -> Meaning:
    free = [entity.text or "" for entity in match.result.entities_list if entity.is_wildcard]
    preferred = bool((match.result.intent_metadata or {}).get("answer"))
    strength = (not preferred, len(free), -match.result.text_chunks_matched, sum(map(len, free)))
    return Meaning(match.text, match.name, match.slots, strength)


def needed_context(template: Template) -> dict[str, JSON]:
    """A context in which the template holds."""
    context: dict[str, JSON] = {}
    for key, value in template.block.requires_context.items():
        value = value.get("value") if isinstance(value, dict) else value
        context[key] = value[0] if isinstance(value, list) and value else value if value is not None else "something"
    return context


def common_context(first: Located, second: Located) -> dict[str, JSON] | None:
    """A context in which both hold; null where there is none."""
    context = {**needed_context(second.template), **needed_context(first.template)}
    both = all(one.grammar.possible(one.template.block, context) for one in (first, second))
    return context if both else None
