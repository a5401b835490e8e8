"""From the tokens of a decoded sentence back to the templates' words: which ways through the network they take.

A rule is read once at each token it may begin at, whoever calls it (a memoising descent, Norvig 1991), so the hundred
sentences that name the same thousand names share the work. Depth grows with the tokens of the sentence, not with the
templates.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from agentbox.asr.constrain.network import FREE_BEGIN, FREE_ON, Network

MAX_READINGS = 8
"""Readings of one sentence that are told: mostly there is one; two or three where its words are spelled alike."""

Said: TypeAlias = tuple[str | int, ...]
"""Canonical words and tokens of free text."""

Ends: TypeAlias = dict[int, list[Said]]
"""By the place where a rule is over: what was said until there."""


def read(network: Network, tokens: Sequence[int], roots: Iterable[str]) -> list[str]:
    """The canonical texts that `tokens` stand for, at most `MAX_READINGS`; none when no sentence is spelled so."""
    reader = _Reader(network, tokens)
    texts: dict[str, None] = {}
    for root in roots:
        for said in reader.rest_of_rule(network.first_node(root), 0).get(len(tokens), ()):
            texts[_text(network, said)] = None
    return list(texts)[:MAX_READINGS]


class _Reader:
    """Reads one sentence. A place is the number of tokens before it."""

    def __init__(self, network: Network, tokens: Sequence[int]) -> None:
        self._network = network
        self._tokens = tokens
        self._known: dict[tuple[int, int], Ends] = {}
        self._pauses = _pauses(network, tokens)

    def rest_of_rule(self, node: int, place: int) -> Ends:
        """What can be said from a node of a rule to the rule's end, when the tokens from `place` on are to be said."""
        known = self._known.get((node, place))
        if known is not None:
            return known
        ends: Ends = {}
        self._known[node, place] = ends
        nodes = self._network.nodes
        rest = [node]
        for at in rest:  # which grows meanwhile
            one = nodes[at]
            if one.last:
                _add(ends, place, [()])
            for first, target in one.calls:
                for after, inner in self.rest_of_rule(first, place).items():
                    self._go_on(ends, inner, target, after)
            if place < len(self._tokens):
                for word, target in self._network.says_with(at, self._tokens[place], first=place == 0):
                    self._say(ends, word, target, place)
                for target in one.frees:
                    self._say_freely(ends, target, place)
            rest += [target for target in one.nothing if target not in rest]
        return ends

    def _go_on(self, ends: Ends, said: list[Said], target: int, place: int) -> None:
        for end, after in self.rest_of_rule(target, place).items():
            _add(ends, end, [one + other for one in said for other in after])

    def _say(self, ends: Ends, word: int, target: int, place: int) -> None:
        network, tokens = self._network, self._tokens
        spelling = network.spelling
        node = spelling.after(network.spelled(word, first=place == 0), tokens[place])
        while node is not None:
            place += 1
            if spelling.is_whole(node):
                self._over(ends, (network.words[word].canonical,), target, place)
            node = spelling.after(node, tokens[place]) if place < len(tokens) else None

    def _say_freely(self, ends: Ends, target: int, place: int) -> None:
        kind = FREE_BEGIN
        for after in range(place, len(self._tokens)):
            kind = self._network.free_after(kind, self._tokens[after])
            if not kind:
                return
            if kind == FREE_ON:
                self._over(ends, tuple(self._tokens[place : after + 1]), target, after + 1)

    def _over(self, ends: Ends, said: Said, target: int, place: int) -> None:
        """A word or free text is over; punctuation may follow."""
        self._go_on(ends, [said], target, place)
        if place < len(self._tokens) and self._pauses[place]:
            self._go_on(ends, [said], target, place + 1)


def _pauses(network: Network, tokens: Sequence[int]) -> list[bool]:
    """By token: whether it is punctuation that may stand between words: not the first, and no two in a row."""
    pauses: list[bool] = []
    for place, token in enumerate(tokens):
        pauses.append(token in network.pauses and place > 0 and not pauses[-1])
    return pauses


def _text(network: Network, said: Said) -> str:
    parts: list[str] = []
    free: list[int] = []
    for part in (*said, ""):
        if isinstance(part, int):
            free.append(part)
            continue
        if free:
            parts.append(network.free_text(free))
            free = []
        if part:
            parts.append(part)
    return (" " if network.grammar.spaced else "").join(parts)


def _add(ends: Ends, place: int, saids: list[Said]) -> None:
    known = ends.setdefault(place, [])
    if len(known) < MAX_READINGS:
        known += [said for said in saids if said not in known]
        del known[MAX_READINGS:]
