"""Texts that two templates can both read, and templates that no text ever reaches."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from agentbox.intents.check.automaton import Automata, Free, Label, Numbers, common_texts
from agentbox.intents.check.files import Finding, Located
from agentbox.intents.check.meaning import Meaning, Meanings, common_context, needed_context
from agentbox.intents.check.saying import any_word, texts
from agentbox.intents.grammar import ANYTHING, NUMBER
from agentbox.intents.numbers import number_words
from agentbox.intents.words import words_of

_TELL_APART = "Change one of the two, or tell them apart with requires_context."
_SAID_OTHERWISE = "Write it as it is said; docs/sentences.md tells how what was heard is tidied."


class Overlap(NamedTuple):
    """A text that two templates read, and what it means to each."""

    first: Located
    second: Located
    text: str
    one: Meaning
    other: Meaning


class Overlaps:
    """Finds overlaps between templates of several origins."""

    def __init__(self, templates: Sequence[Located], meanings: Meanings, language: str) -> None:
        self._numbers = number_words(language)
        self._automata = Automata(self._numbers)
        self._meanings = meanings
        self._any_word = any_word(language)
        self._by_first: defaultdict[str, dict[int, Located]] = defaultdict(dict)
        for number, located in enumerate(templates):
            for first in located.scope.firsts(located.template.sentence.expression)[0]:
                self._by_first[first][number] = located
        prefixes = {part[:length] for part in self._numbers.parts for length in range(1, len(part) + 1)}
        self._numeral = {first for first in self._by_first if first.isdecimal() or first in prefixes}

    def of(self, located: Located, after: int) -> Iterator[Overlap]:
        """Overlaps of a template with those that stand after place `after` in the order of all."""
        start = self._automata.start(located.scope, located.template)
        beginnings = set().union(*(self._beginnings(label) for label, _ in self._automata.moves(start).steps))
        candidates: dict[int, Located] = {}
        for beginning in beginnings:
            candidates |= self._by_first.get(beginning, {})
        for number, candidate in sorted(candidates.items()):
            context = common_context(located, candidate) if number > after else None
            if context is not None:
                yield from self._between(located, candidate, context)

    def _between(self, first: Located, second: Located, context: Mapping[str, object]) -> Iterator[Overlap]:
        """At most one: one where the meanings differ, if there is one."""
        start, other_start = (self._automata.start(one.scope, one.template) for one in (first, second))
        same = None
        for text in common_texts(self._automata, start, other_start, self._any_word):
            one, other = self._meanings.of(first, text, context), self._meanings.of(second, text, context)
            if one is not None and other is not None:
                found = Overlap(first, second, one.text, one, other)
                if not one.is_same(other):
                    yield found
                    return
                same = same or found
        if same is not None:
            yield same

    def _beginnings(self, label: Label) -> set[str]:
        """What templates begin with that may begin with a label's word (see `Scope.firsts`)."""
        if isinstance(label, Free):
            return set(self._by_first)
        if isinstance(label, Numbers):
            return {NUMBER, ANYTHING, *self._numeral}
        number = {NUMBER} if label.isdecimal() else set()
        words = {label, *(word.text for word in words_of(self._numbers.to_words(label))[:1])}
        return {word[:length] for word in words for length in range(1, len(word) + 1)} | {ANYTHING} | number


def ambiguous(overlap: Overlap) -> Finding | None:
    """What to tell of two of the owner's templates that read the same words; null where nothing is."""
    first, second, text, one, other = overlap
    if one.is_same(other) or first.place is None or second.place is None:
        return None
    one_file = first.grammar is second.grammar
    undecided = one_file and one.strength == other.strength
    if not undecided and one.intent == other.intent:
        return None  # of two ways to say one thing the more special one wins: so it is meant
    place = first.place.seen_from(second.place)
    what = f'"{text}" is both {other} ("{second.text}") and {one} ({place}: "{first.text}").'
    if undecided:
        return second.place.finding("sentences_ambiguous", what, _TELL_APART)
    winner = one if not one_file or one.strength < other.strength else other
    why = "has fewer wildcards or more words of its own" if one_file else "stands in the file that is read first"
    return second.place.finding("sentences_ambiguous", f"{what} {winner.intent} wins: it {why}.", _TELL_APART, "info")


def shadow(overlaps: Sequence[Overlap]) -> Finding | None:
    """What to tell of one of the owner's templates that takes words from the built-in ones; null where nothing is."""
    taken = [
        overlap
        for overlap in overlaps
        if not overlap.one.is_same(overlap.other) and overlap.other.free_slots <= overlap.one.free_slots
    ]
    if not taken:
        return None
    found = min(taken, key=lambda overlap: (overlap.other.free_slots, len(overlap.text)))
    mine = found.first
    assert mine.place is not None
    what = (
        f'"{found.text}" now means {found.one} ("{mine.text}"): this shadows the built-in {found.other}'
        f' ("{found.second.text}").'
    )
    todo = "Nothing, if it is meant: yours wins. Otherwise use other words."
    return mine.place.finding("sentences_shadow", what, todo, "info")


def unreachable(located: Located, meanings: Meanings) -> Finding | None:
    """What to tell of a template none of whose sentences is ever read as this template; null where one is."""
    assert located.place is not None
    context = needed_context(located.template)
    said, all_said = texts(located.template.sentence.expression, located.scope)
    winners: Counter[int] = Counter()
    shown: dict[int, tuple[str, str, Meaning, bool]] = {}
    for text in said:
        winner = meanings.winner(text, context)
        if winner is None:
            continue
        template, meaning = winner
        if template.sentence is located.template.sentence:
            return None
        key = id(template.sentence)
        winners[key] += 1
        mine = meanings.of(located, text, context)
        same = mine is not None and mine.is_same(meaning)
        if key not in shown or (shown[key][3] and not same):
            shown[key] = text, template.sentence.text or "", meaning, same
    return _never_read(located, said, all_said, [shown[key] for key, _ in winners.most_common()], meanings)


def _never_read(
    located: Located,
    said: Sequence[str],
    all_said: bool,
    winners: Sequence[tuple[str, str, Meaning, bool]],
    meanings: Meanings,
) -> Finding:
    place = located.place
    assert place is not None
    how_many = "none of its sentences" if all_said else f"none of {len(said)} sentences of it that were tried"
    if not said or not said[0]:
        what = f'"{located.text}" can never be said: a list that it names is empty.'
        return place.finding("sentences_unreachable", what, "Fill the list, or remove the sentence.")
    if not winners:
        heard = meanings.heard(said[0])
        changed = [word.text for word in words_of(heard)] != [word.text for word in words_of(said[0])]
        tidied = f': "{said[0]}" is tidied to "{heard}" when it is heard' if changed else ""
        what = f'"{located.text}" is never understood: {how_many} can be read{tidied}.'
        return place.finding("sentences_unreachable", what, _SAID_OTHERWISE)
    text, template, meaning, _ = winners[0]
    if all(same for *_, same in winners):
        what = f'"{located.text}" adds nothing: "{template}" reads its sentences too, and means the same.'
        return place.finding("sentences_unreachable", what, "Remove it.", "info")
    what = (
        f'"{located.text}" is never understood as {located.template.intent}: {how_many} comes to it. '
        f'"{text}" is read as {meaning} ("{template}").'
    )
    return place.finding("sentences_unreachable", what, "Remove one of the two, or make the other say less.")
