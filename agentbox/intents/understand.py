"""From words to an intent: the owner's sentences first, then ours, then the community's; exactly, else forgivingly.

hassil has the last word on every match: what is found here another way (the few templates worth trying, the nearest
sentence to a mishearing) is given to it to be read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from agentbox.intents import owner, sources
from agentbox.intents.examples import example
from agentbox.intents.forgiving import Forgiver
from agentbox.intents.grammar import Grammar
from agentbox.intents.normalise import MAX_CHARACTERS, normalise
from agentbox.intents.numbers import number_words
from agentbox.intents.reading import Match, read
from agentbox.intents.responses import Responses
from agentbox.intents.spoken import Spoken
from agentbox.messages import JSON, Intent, MatchKind, Notice, NotUnderstood

Completeness = Literal["no", "continuable", "complete"]

TOOLS = "tools"
"""The source of sentences that came with tools."""

_AMBIGUOUS = 0.04
"""Two near sentences whose scores differ by less are equally likely."""

_LIST_INTENTS = (
    "HassListAddItem",
    "HassListCompleteItem",
    "HassListRemoveItem",
    "AgentboxReadList",
    "AgentboxClearList",
)

_MAX_FORGIVING = 0.99
"""A score of 1.0 is an exact match's."""


class Understander:
    """Reads commands in one language.

    `builtin`: whether the community's sentences are read too; `ours`: whether our own are. `owner_files`: files of
    sentences, or folders of them. `intents`: names of the intents the box can carry out; sentences of the owner's for
    other names are kept and reported. `slot_values`: names for lists that sentences name and nobody defines.
    `tool_sentences`: sentences that came with tools, in the format of an owner's file; they are read after ours.
    `likeness`: how near (0..1) a sentence must be to what was heard where no sentence fits exactly. `cache`: a folder
    for what takes a while to make.

    `problems` says what is wrong with the owner's files. The object is not changed by use and may be shared.
    """

    def __init__(
        self,
        language: str,
        *,
        builtin: bool = True,
        ours: bool = True,
        owner_files: Sequence[Path] = (),
        intents: Collection[str],
        slot_values: Mapping[str, Sequence[str]] | None = None,
        tool_sentences: Mapping[str, JSON] | None = None,
        likeness: float = 0.84,
        cache: Path | None = None,
    ) -> None:
        self.language = language
        self.problems: list[Notice] = []
        slot_values = slot_values or {}
        self._list_names = {name.casefold() for name in slot_values.get("name", ())}
        self._numbers = number_words(language)
        our_values = sources.our_values(language) if ours or owner_files else None
        loaded = list(_load_owner(owner_files, language, our_values, intents, slot_values))
        self.problems += [problem for _, one in loaded for problem in one.problems]
        self.responses = Responses(response for _, one in loaded for response in one.responses)
        """What the owner wants said once an intent was carried out."""
        self.problems += self.responses.unknown(wanted for _, one in loaded for wanted in one.wanted)
        self._grammars = [
            Grammar(file.name, one.values, slot_values) for file, one in loaded if one.values and one.values["intents"]
        ]
        ours_lists = (our_values or {}).get("lists", {})
        self._names = dict.fromkeys(
            [" ".join(said.split()) for grammar in self._grammars for said in grammar.values_said(ours_lists)]
            + [name for several in slot_values.values() for name in several]
        )
        own = sources.ours(our_values, intents, slot_values) if ours else None
        community = sources.builtin(language, intents, slot_values) if builtin else None
        of_tools = None
        if tool_sentences and tool_sentences.get("intents"):
            tools = owner.check(tool_sentences, Path(TOOLS), {}, language, None, intents, slot_values)
            self.problems += tools.problems
            of_tools = Grammar(TOOLS, tools.values, slot_values) if tools.values and tools.values["intents"] else None
        self._grammars += [grammar for grammar in (own, of_tools, community) if grammar is not None]
        if ours and own is None and (community is None or not community.intents.intents):
            what = f"There are no built-in sentences for the language {language}."
            todo = "Write your own (docs/sentences.md), or set asr.language to another one."
            self.problems.append(Notice(code="sentences_none", what=what, todo=todo))
        self._examples = sources.our_examples(our_values) if own is not None else {}
        self._told: dict[tuple[str, ...], str | None] = {}
        """Examples that were asked for: to find one takes milliseconds."""
        self.spoken = Spoken(language, self._grammars, cache)
        """All sentences as a speech grammar."""
        self._forgiver = Forgiver(self._grammars, self._numbers, likeness)

    def understand(
        self, text: str, *, utterance_id: str = "", context: Mapping[str, JSON] | None = None
    ) -> Intent | NotUnderstood:
        """The intent of `text` as it was heard. `context`: what hassil's `requires_context` is held against."""
        context = context or {}
        heard = self._heard(text)
        match, score = self._exact(heard, context), 1.0
        if match is None:
            match, score = self._near(heard, context)
        elif self._names_unknown_list(match):
            # "Add milk to my shipping list": rather the shopping list misheard than a list nobody has.
            near, near_score = self._near(heard, context)
            same_item = near is not None and near.slots.get("item") == match.slots.get("item")
            if near is not None and same_item and not near.has_free("name"):
                match, score = near, near_score
        if match is None:
            return NotUnderstood(utterance_id=utterance_id, text=text)
        return self._intent(match, text, utterance_id, "exact" if score == 1.0 else "forgiving", score)

    def read(self, text: str, context: Mapping[str, JSON] | None = None) -> Intent | None:
        """The intent of `text` where a sentence fits it exactly."""
        match = self._exact(self._heard(text), context or {})
        return self._intent(match, text, "", "exact", 1.0) if match is not None else None

    def names(self) -> list[str]:
        """The values of the owner's own lists, as they are said, and the names that the box fills lists with."""
        return list(self._names)

    def example(self, intents: Collection[str]) -> str | None:
        """A sentence for one of `intents`; null where there is none."""
        asked = tuple(intents)
        if asked not in self._told:
            known = next((self._examples[intent] for intent in asked if intent in self._examples), None)
            self._told[asked] = known or example(self._grammars, asked, self._means)
        return self._told[asked]

    def _means(self, text: str) -> str | None:
        found = self.read(text)
        return found.name if found is not None else None

    def free_slots(self, text: str, context: Mapping[str, JSON] | None = None) -> int | None:
        """How many slots are filled with free text where a sentence fits `text` exactly; null where none does."""
        match = self._exact(self._heard(text), context or {})
        return None if match is None else match.free_slots

    def _intent(self, match: Match, text: str, utterance_id: str, kind: MatchKind, score: float) -> Intent:
        sentence = match.result.intent_sentence
        return Intent(
            utterance_id=utterance_id,
            name=match.name,
            slots=match.slots,
            text=text,
            source=match.grammar.source,
            match=kind,
            score=score,
            sentence=(sentence.text or "") if sentence else "",
            language=self.language,
            said=match.said,
            response=match.response,
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
        goes_on = any(match.goes_on(loaded, context) for loaded in self._grammars)
        return "continuable" if goes_on else "complete"

    def _heard(self, text: str) -> str:
        return normalise(text, self.language) if len(text) <= MAX_CHARACTERS else ""

    def _exact(self, heard: str, context: Mapping[str, JSON]) -> Match | None:
        if not heard:
            return None
        spellings = dict.fromkeys((heard, self._numbers.to_words(heard), self._numbers.to_digits(heard)))
        for loaded in self._grammars:
            for spelling in spellings:
                match = read(loaded, spelling, context, self._numbers)
                if match is not None:
                    return match
        return None

    def _near(self, heard: str, context: Mapping[str, JSON]) -> tuple[Match | None, float]:
        """The nearest sentence read as if it had been heard; none when two are as near and mean different things."""
        if not heard:
            return None, 0.0
        nearest = self._forgiver.nearest(heard, context)
        if not nearest and (spelled := self._numbers.to_words(heard)) != heard:
            nearest = self._forgiver.nearest(spelled, context)
        read_near: list[tuple[int, float, Match]] = []
        for near in nearest:
            if read_near and near.score < read_near[0][1] - _AMBIGUOUS:
                break
            match = read(near.grammar, near.sentence, context, self._numbers)
            if match is not None:
                read_near.append((match.free_slots, near.score, match))
        if not read_near:
            return None, 0.0
        # Of sentences about as near, the one that takes the fewest words as free text.
        fewest = min(free for free, _, _ in read_near)
        plain = [(score, match) for free, score, match in read_near if free == fewest]
        score, best = plain[0]
        if any((match.name, match.slots) != (best.name, best.slots) for _, match in plain):
            return None, 0.0
        return best, min(score, _MAX_FORGIVING)

    def _names_unknown_list(self, match: Match) -> bool:
        return (
            match.name in _LIST_INTENTS
            and match.has_free("name")
            and str(match.slots["name"]).casefold() not in self._list_names
        )


def _load_owner(
    files: Sequence[Path],
    language: str,
    shared: Mapping[str, JSON] | None,
    intents: Collection[str],
    slot_values: Mapping[str, Sequence[str]],
) -> Iterator[tuple[Path, owner.OwnerFile]]:
    """The owner's files, those in folders too, in the order in which they are read."""
    for path in files:
        inside = sorted([*path.glob("*.yaml"), *path.glob("*.yml")]) if path.is_dir() else [path]
        for file in inside:
            yield file, owner.load(file, language, shared, intents, slot_values)
