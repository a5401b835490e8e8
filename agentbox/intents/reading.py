"""Reads a text with the sentences of one origin: which sentence it is, with which slots, and whether it may go on.

hassil reads; what is here decides which templates are worth giving to it, and which of its results to believe.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from hassil import RecognizeResult, recognize_all
from hassil.util import normalize_for_matching, remove_skip_words

from agentbox.intents.continuation import Reach, Reacher
from agentbox.intents.grammar import Grammar, Template
from agentbox.intents.numbers import NumberWords
from agentbox.intents.smallwords import SMALL_WORDS
from agentbox.intents.spaces import squeezed
from agentbox.intents.words import is_single, words_of
from agentbox.messages import JSON

_PREFERRED = "answer"
"""Metadata of sentences that answer a question or take back the last thing: they go before others of their origin."""

_NOT_IN_FRONT = frozenset(("at", "in", "to", "of", "for", "on", "off", "from", "by", "and", "than", "then", "not"))
"""No name begins with these: "take two minutes off in the timer" is not about a timer called "in the"."""

_NO_NAME = re.compile(r"\b(?:hour|minute|second)s?\b|小时|分钟|秒钟|[从把]", re.IGNORECASE)
"""No name holds these: in "a fife minutes timer" a number was misheard, and "把…从…" is a sentence."""

_MAX_NAME = 4
_MAX_CHARACTERS = 8


class Match(NamedTuple):
    """One sentence as hassil read it. `text` is the spelling that was read."""

    grammar: Grammar
    text: str
    result: RecognizeResult

    @property
    def name(self) -> str:
        """The intent's name."""
        return self.result.intent.name

    @property
    def free_slots(self) -> int:
        """How many slots were filled with free text."""
        return sum(entity.is_wildcard for entity in self.result.entities_list)

    @property
    def slots(self) -> dict[str, JSON]:
        """The slots as plain values: whole numbers as int, free text as it was heard."""
        slots: dict[str, JSON] = {}
        for entity in self.result.entities_list:
            value = entity.value
            if isinstance(value, float) and value.is_integer():
                value = int(value)
            elif entity.is_wildcard:
                value = _as_said(str(value), self.text)
            slots[entity.name] = value
        return slots

    @property
    def said(self) -> dict[str, str]:
        """The slots as text, where they were said: numbers in digits, the rest in the words for it."""
        slots = self.slots
        return {
            entity.name: str(slots[entity.name])
            if entity.is_wildcard or isinstance(entity.value, int | float)
            else entity.text_clean
            for entity in self.result.entities_list
            if entity.text_clean
        }

    @property
    def response(self) -> str:
        """The name of the response that the sentence asks for, if it does."""
        return self.result.intent_data.response or ""

    def has_free(self, slot: str) -> bool:
        """Whether this slot was filled with free text."""
        return any(entity.name == slot and entity.is_wildcard for entity in self.result.entities_list)

    def goes_on(self, grammar: Grammar, context: Mapping[str, JSON]) -> bool:
        """Whether a sentence of `grammar` goes on where this one ends, and then means something else."""
        sentence = self.result.intent_sentence
        meant = self.name, self.result.intent_data.slots
        text = self._without_skipped()
        for scope in grammar.scopes:
            reacher = Reacher(text, scope)
            for template in reacher.starting(wild=False):
                if grammar.possible(template.block, context):
                    reach = reacher.reach(template.sentence)
                    another = (template.intent, template.block.slots) != meant
                    if (
                        Reach.SLOT in reach
                        or (Reach.WORDS in reach and another)
                        or (Reach.OPEN in reach and template.sentence is sentence)
                    ):
                        return True
        return False

    def _without_skipped(self) -> str:
        """The text with or without words to skip, as the sentence was matched."""
        sentence = self.result.intent_sentence
        variants = _skipping(self.grammar, self.text)
        for variant in variants:
            for scope in self.grammar.scopes:
                if sentence is not None and Reach.MATCH in Reacher(variant, scope).reach(sentence):
                    return variant
        return variants[0]


def read(grammar: Grammar, text: str, context: Mapping[str, JSON], numbers: NumberWords) -> Match | None:
    """The sentence of `grammar` that `text` is, in the context; None when it is none."""
    intents = grammar.intents
    heard = squeezed(text) if intents.settings.ignore_whitespace else text
    if grammar.per_sentence:
        intents = grammar.subset(_candidates(grammar, heard, context))
    results = [
        result
        for result in recognize_all(heard, intents, intent_context=dict(context), language=grammar.language)
        if _is_believable(result, numbers)
    ]
    return Match(grammar, text, min(results, key=_rank)) if results else None


def _rank(result: RecognizeResult) -> tuple[bool, int, int, int, str]:
    """hassil's own order (recognize_best): fewer wildcards, more literal text, less free text, then by name."""
    free = [entity.text or "" for entity in result.entities_list if entity.is_wildcard]
    preferred = bool((result.intent_metadata or {}).get(_PREFERRED))
    return not preferred, len(free), -result.text_chunks_matched, sum(map(len, free)), result.intent.name


def _is_believable(result: RecognizeResult, numbers: NumberWords) -> bool:
    """Whether the free text for a name or a thing to write down can be one.

    Not one: "it", "in the", "at ninety seconds"; a name is short, and has a number only as its last.
    """
    for entity in result.entities_list:
        if entity.is_wildcard and entity.name in ("name", "item"):
            words = [word.text for word in words_of(entity.text)]
            is_number = [word.isdecimal() or word in numbers.parts for word in words]
            if all(number or word in SMALL_WORDS for word, number in zip(words, is_number, strict=True)):
                return False
            if entity.name == "name" and (
                words[0] in _NOT_IN_FRONT
                or any(is_number[:-1])
                or len(words) > (_MAX_CHARACTERS if is_single(words[0]) else _MAX_NAME)
                or _NO_NAME.search(entity.text)
            ):
                return False
    return True


def _candidates(grammar: Grammar, text: str, context: Mapping[str, JSON]) -> Iterator[Template]:
    """The templates that may match: a quick look, so that hassil has to read a handful instead of hundreds."""
    found: dict[int, Template] = {}
    for variant in _skipping(grammar, text):
        for scope in grammar.scopes:
            reacher = Reacher(variant, scope)
            for template in reacher.starting():
                if (
                    id(template.block) not in found
                    and grammar.possible(template.block, context)
                    and scope.may_hold(template, variant)
                    and Reach.MATCH in reacher.reach(template.sentence)
                ):
                    found[id(template.block)] = template
    yield from found.values()


def _skipping(grammar: Grammar, text: str) -> list[str]:
    """The text as hassil compares it: as it is, and without the words to skip at its ends and everywhere."""
    whole = normalize_for_matching(text).text
    skip, joined = grammar.intents.skip_words, grammar.intents.settings.ignore_whitespace
    if not skip:
        return [whole]
    front = remove_skip_words(whole, skip, joined, end=False)
    back = remove_skip_words(whole, skip, joined, start=False)
    return list(dict.fromkeys((whole, front, back, remove_skip_words(whole, skip, joined))))


def _as_said(value: str, text: str) -> str:
    """The stretch of `text` that a wildcard's `value` comes from.

    hassil drops words to skip and commas inside free text; here they are kept: "tell her I want pizza". (Its own
    `text_span` would say where, but is off after a number in words, as of 3.12.)
    """
    wanted = [word.text for word in words_of(value)]
    words = words_of(text)
    best: tuple[int, int] | None = None
    for first, word in enumerate(words):
        if not wanted or word.text != wanted[0]:
            continue
        rest = iter(range(first, len(words)))
        places = [next((place for place in rest if words[place].text == want), None) for want in wanted]
        last = places[-1]
        if last is not None and (best is None or last - first < best[1] - best[0]):
            best = first, last
    if best is None:
        return value
    said = text[words[best[0]].start : words[best[1]].end]
    # The first word of an utterance is written with a capital whatever it is: "Milk."
    first_word = said.split(maxsplit=1)[0]
    begins = best[0] == 0 and len(first_word) > 1 and first_word[1:].islower()
    return said[0].lower() + said[1:] if begins else said
