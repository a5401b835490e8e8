"""From words to an intent: the owner's sentences first, then ours, then the community's; exactly, else forgivingly.

hassil has the last word on every match: what is found here another way (the few templates worth trying, the nearest
sentence to a mishearing) is given to it to be read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from hassil import RecognizeResult, recognize_best
from hassil.util import normalize_for_matching, remove_skip_words

from agentbox.intents import grammar, owner
from agentbox.intents.continuation import Reach, Reacher
from agentbox.intents.forgiving import Forgiver
from agentbox.intents.grammar import Grammar, Template
from agentbox.intents.normalise import MAX_CHARACTERS, normalise
from agentbox.intents.numbers import NumberWords
from agentbox.intents.words import words_of
from agentbox.messages import JSON, Intent, Notice, NotUnderstood

Completeness = Literal["no", "continuable", "complete"]

_PREFERRED = "answer"
"""Metadata of sentences that answer a question or take back the last thing: they go before others of their origin."""

_AMBIGUOUS = 0.04
"""Two near sentences whose scores differ by less are equally likely."""

_MAX_FORGIVING = 0.99
"""A score of 1.0 is an exact match's."""


class _Match(NamedTuple):
    grammar: Grammar
    text: str
    """The spelling of the text that matched."""
    result: RecognizeResult


class Understander:
    """Reads commands in one language.

    `builtin`: whether the community's sentences are read too. `owner_files`: files of sentences, or folders of them.
    `intents`: names of the intents the box can carry out; sentences of the owner's for other names are kept and
    reported. `slot_values`: names for lists that sentences name and nobody defines. `likeness`: how near (0..1) a
    sentence must be to what was heard where no sentence fits exactly.

    `problems` says what is wrong with the owner's files. The object is not changed by use and may be shared.
    """

    def __init__(
        self,
        language: str,
        *,
        builtin: bool = True,
        owner_files: Sequence[Path] = (),
        intents: Collection[str],
        slot_values: Mapping[str, Sequence[str]] | None = None,
        likeness: float = 0.84,
    ) -> None:
        self.language = language
        self.problems: list[Notice] = []
        slot_values = slot_values or {}
        self._numbers = NumberWords(language)
        self._grammars = list(_load_owner(owner_files, language, intents, slot_values, self.problems))
        own = grammar.ours(language, intents, slot_values)
        community = grammar.builtin(language, intents, slot_values) if builtin else None
        self._grammars += [loaded for loaded in (own, community) if loaded is not None]
        if own is None and (community is None or not community.intents.intents):
            what = f"There are no built-in sentences for the language {language}."
            todo = "Write your own (docs/sentences.md), or set asr.language to another one."
            self.problems.append(Notice(code="sentences_none", what=what, todo=todo))
        self._forgiver = Forgiver(self._grammars, self._numbers, likeness)

    def understand(
        self, text: str, *, utterance_id: str = "", context: Mapping[str, JSON] | None = None
    ) -> Intent | NotUnderstood:
        """The intent of `text` as it was heard. `context`: what hassil's `requires_context` is held against."""
        context = context or {}
        heard = self._heard(text)
        match, score = self._exact(heard, context), 1.0
        if match is None and heard:
            match, score = self._near(heard, context)
        if match is None:
            return NotUnderstood(utterance_id=utterance_id, text=text)
        result = match.result
        return Intent(
            utterance_id=utterance_id,
            name=result.intent.name,
            slots=_slots(result),
            text=text,
            source=match.grammar.source,
            match="exact" if score == 1.0 else "forgiving",
            score=score,
            sentence=(result.intent_sentence.text or "") if result.intent_sentence else "",
            language=self.language,
        )

    def completeness(self, text: str, context: Mapping[str, JSON] | None = None) -> Completeness:
        """Whether `text` is a whole command, and whether more words could make it say something else.

        `complete`: it matches exactly, and no sentence goes on from here to another meaning. `continuable`: it
        matches, but a sentence goes on ("... five minutes" - "and ten seconds") or it ends in free text. `no`: it
        does not match (yet).
        """
        context = context or {}
        heard = self._heard(text)
        match = self._exact(heard, context)
        if match is None:
            return "no"
        text = _matching(match)
        goes_on = any(_goes_on(loaded, text, match, context) for loaded in self._grammars)
        return "continuable" if goes_on else "complete"

    def _heard(self, text: str) -> str:
        return normalise(text, self.language) if len(text) <= MAX_CHARACTERS else ""

    def _exact(self, heard: str, context: Mapping[str, JSON]) -> _Match | None:
        if not heard:
            return None
        spellings = dict.fromkeys((heard, self._numbers.to_words(heard), self._numbers.to_digits(heard)))
        for loaded in self._grammars:
            for spelling in spellings:
                match = self._exact_in(loaded, spelling, context)
                if match is not None:
                    return match
        return None

    def _exact_in(self, loaded: Grammar, text: str, context: Mapping[str, JSON]) -> _Match | None:
        intents = loaded.intents
        if loaded.per_sentence:
            intents = loaded.subset(self._candidates(loaded, text, context))
            if not intents.intents:
                return None
        result = recognize_best(
            text, intents, intent_context=dict(context), best_metadata_key=_PREFERRED, language=loaded.language
        )
        return None if result is None else _Match(loaded, text, result)

    def _near(self, heard: str, context: Mapping[str, JSON]) -> tuple[_Match | None, float]:
        """The nearest sentence read as if it had been heard; none when two are as near and mean different things."""
        best: _Match | None = None
        score = 0.0
        for near in self._forgiver.nearest(heard, context):
            if best is not None and near.score < score - _AMBIGUOUS:
                break
            match = self._exact_in(near.grammar, near.sentence, context)
            if match is None:
                continue
            if best is None:
                best, score = match, near.score
            elif _meaning(match.result) != _meaning(best.result):
                return None, 0.0
        return best, min(score, _MAX_FORGIVING)

    def _candidates(self, loaded: Grammar, text: str, context: Mapping[str, JSON]) -> Iterator[Template]:
        """The templates that may match: a quick look, so that hassil has to read a handful instead of hundreds."""
        found: dict[int, Template] = {}
        for variant in _skipping(loaded, text):
            for scope in loaded.scopes:
                reacher = Reacher(variant, scope)
                for template in reacher.starting():
                    if (
                        id(template.block) not in found
                        and loaded.possible(template.block, context)
                        and scope.may_hold(template, variant)
                        and Reach.MATCH in reacher.reach(template.sentence)
                    ):
                        found[id(template.block)] = template
        yield from found.values()


def _matching(match: _Match) -> str:
    """The text with or without words to skip, as the sentence was matched."""
    sentence = match.result.intent_sentence
    variants = _skipping(match.grammar, match.text)
    for variant in variants:
        for scope in match.grammar.scopes:
            if sentence is not None and Reach.MATCH in Reacher(variant, scope).reach(sentence):
                return variant
    return variants[0]


def _goes_on(loaded: Grammar, text: str, match: _Match, context: Mapping[str, JSON]) -> bool:
    """Whether a sentence of `loaded` goes on where `text` ends, and then means something else."""
    meant = match.result.intent.name, match.result.intent_data.slots
    for scope in loaded.scopes:
        for template, reach in Reacher(text, scope).reaches():
            another = (template.intent, template.block.slots) != meant
            further = Reach.SLOT in reach or (Reach.WORDS in reach and another)
            further |= Reach.OPEN in reach and template.sentence is match.result.intent_sentence
            if further and loaded.possible(template.block, context):
                return True
    return False


def _load_owner(
    files: Sequence[Path],
    language: str,
    intents: Collection[str],
    slot_values: Mapping[str, Sequence[str]],
    problems: list[Notice],
) -> Iterator[Grammar]:
    """The grammars of the owner's files; what is wrong is added to `problems`."""
    shared = grammar.our_values(language) if files else None
    for path in files:
        inside = sorted([*path.glob("*.yaml"), *path.glob("*.yml")]) if path.is_dir() else [path]
        for file in inside:
            values, found = owner.load(file, language, shared, intents, slot_values)
            problems += found
            if values is not None and values["intents"]:
                yield Grammar(file.name, values, slot_values)


def _skipping(loaded: Grammar, text: str) -> list[str]:
    """The text as hassil compares it: as it is, and without the words to skip at its ends and everywhere."""
    whole = normalize_for_matching(text).text
    skip, joined = loaded.intents.skip_words, loaded.intents.settings.ignore_whitespace
    if not skip:
        return [whole]
    front = remove_skip_words(whole, skip, joined, end=False)
    back = remove_skip_words(whole, skip, joined, start=False)
    return list(dict.fromkeys((whole, front, back, remove_skip_words(whole, skip, joined))))


def _slots(result: RecognizeResult) -> dict[str, JSON]:
    """The slots as plain values: whole numbers as int, free text as it was heard."""
    slots: dict[str, JSON] = {}
    for entity in result.entities_list:
        value = entity.value
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        elif entity.is_wildcard:
            value = _as_said(str(value), result.original_text)
        slots[entity.name] = value
    return slots


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
    return value if best is None else text[words[best[0]].start : words[best[1]].end]


def _meaning(result: RecognizeResult) -> tuple[str, dict[str, JSON]]:
    return result.intent.name, _slots(result)
