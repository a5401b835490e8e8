"""Checks the owner's sentences beyond their syntax: is each one heard, and does it mean one thing?"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from agentbox.intents import sources
from agentbox.intents.check import files
from agentbox.intents.check.alike import alike_sentences, alike_values
from agentbox.intents.check.files import CheckedFile, Finding, Located, OwnerList, Place, Value
from agentbox.intents.check.meaning import Meanings
from agentbox.intents.check.overlap import Overlap, Overlaps, ambiguous, shadow, unreachable
from agentbox.intents.check.wording import unsaid, unspellable
from agentbox.intents.normalise import normalise
from agentbox.intents.numbers import NumberWords, number_words
from agentbox.intents.responses import Responses
from agentbox.intents.words import words_of
from agentbox.messages import JSON


def check(
    paths: Sequence[Path],
    language: str,
    *,
    builtin: bool = True,
    intents: Collection[str],
    slot_values: Mapping[str, Sequence[str]] | None = None,
    tool_sentences: Mapping[str, JSON] | None = None,
    spells: Callable[[str], bool] | None = None,
    edited: Mapping[Path, str] | None = None,
) -> list[Finding]:
    """What is wrong, or worth knowing (level `info`), in files of sentences or folders of them, by file and line.

    The arguments are those of `Understander`. `spells` says whether the speech model can write a word; null: that is
    not checked. `edited`: files with the text that is to be in them. Never raises; what cannot be read is a finding.
    """
    slot_values = slot_values or {}
    numbers = number_words(language)
    shared = sources.our_values(language)
    texts = edited or {}
    checked = [
        files.read(path, language, intents, slot_values, shared, texts.get(path)) for path in files.files_in(paths)
    ]
    found = [finding for one in checked for finding in one.findings]
    responses = Responses(response for one in checked for response in one.loaded.responses)
    found += [files.found(one.path, notice) for one in checked for notice in responses.unknown(one.loaded.wanted)]
    literals = [literal for one in checked for literal in one.literals]
    abbreviated = list(unsaid(literals, language, numbers))
    found += abbreviated
    if spells is not None:
        found += unspellable(literals, spells)
    for one in checked:
        found += _lists(one, language, numbers)
        found += alike_values(one.lists, numbers)
    told = {Place(finding.file, finding.line) for finding in abbreviated}
    templates = [located for one in checked for located in one.templates if located.place not in told]
    others = list(files.others(language, builtin, intents, slot_values, tool_sentences, shared)) if templates else []
    meanings = Meanings([one.grammar for one in checked if one.grammar is not None], language, numbers)
    found += _sentences(templates, others, meanings, language)
    return _in_order(found, [one.path for one in checked])


def _sentences(
    templates: Sequence[Located], others: Sequence[Located], meanings: Meanings, language: str
) -> Iterator[Finding]:
    """What sentences take from one another."""
    reached = []
    for located in templates:
        finding = unreachable(located, meanings)
        if finding is not None:
            yield finding
        if finding is None or finding.notice.level == "info":
            reached.append(located)
    ambiguities: set[frozenset[Place | None]] = set()
    told: set[tuple[Path, int]] = set()
    overlaps = Overlaps([*reached, *others], meanings, language)
    for number, located in enumerate(reached):
        shadowed: list[Overlap] = []
        for overlap in overlaps.of(located, number):
            if not overlap.second.is_owners:
                shadowed.append(overlap)
            elif (finding := ambiguous(overlap)) is not None:
                ambiguities.add(frozenset((overlap.first.place, overlap.second.place)))
                if finding.notice.level != "info" or finding[:2] not in told:  # one info for a line is enough
                    told.add(finding[:2])
                    yield finding
        if (finding := shadow(shadowed)) is not None:
            yield finding
    yield from alike_sentences(reached, meanings, ambiguities)


def _lists(one: CheckedFile, language: str, numbers: NumberWords) -> Iterator[Finding]:
    """Lists nobody names, and values that are said like others."""
    for owner_list in one.lists:
        if not owner_list.used:
            what = f"no sentence names the list {owner_list.name}."
            todo = f"Name it ({{{owner_list.name}}}) in a sentence, or remove it."
            yield owner_list.place.finding("sentences_unreachable", what, todo)
        else:
            yield from _values(owner_list, language, numbers)


def _values(owner_list: OwnerList, language: str, numbers: NumberWords) -> Iterator[Finding]:
    """Values that are said like an earlier one of another meaning: the earlier one is what is understood."""
    known: dict[str, Value] = {}
    for value in owner_list.values:
        clashes: list[tuple[str, Value]] = []
        for text in value.texts if not value.has_context else ():
            key = " ".join(word.text for word in words_of(numbers.to_digits(normalise(text, language))))
            first = known.setdefault(key, value)
            if first.out != value.out:
                clashes.append((text, first))
        if not clashes:
            continue
        text, first = clashes[0]
        line = first.literal.place.line
        what = f'"{text}" in the list {owner_list.name} stands for {first.out} (line {line}) and for {value.out}.'
        if len(clashes) == len(value.texts):
            what = f"{what} The first wins: {value.out} is never understood."
            yield value.literal.place.finding("sentences_unreachable", what, "Remove one, or rename it.")
        else:
            yield value.literal.place.finding("sentences_ambiguous", what, "Leave it to one of them.")


def _in_order(found: Iterable[Finding], paths: Sequence[Path]) -> list[Finding]:
    """By file and line, without what stands at one place twice."""
    order = {path: number for number, path in reversed(list(enumerate(paths)))}
    levels = {"error": 0, "warning": 1, "info": 2}
    distinct = {(finding.file, finding.line, finding.notice.what): finding for finding in found}
    return sorted(
        distinct.values(),
        key=lambda one: (order.get(one.file, -1), one.line, levels[one.notice.level], one.notice.code),
    )
