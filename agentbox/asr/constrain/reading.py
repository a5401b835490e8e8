"""From the tokens of a decoded sentence back to the templates' words: which ways through the network they take."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import TypeAlias

from agentbox.asr.constrain.network import FREE_BEGIN, FREE_ON, Network

MAX_READINGS = 8
"""Readings of one sentence that are told: mostly there is one; two or three where its words are spelled alike."""

Stack: TypeAlias = "tuple[int, Stack] | None"
"""The node to go on at when a rule or a word is over, and what is below; null: the sentence is over."""

Said: TypeAlias = "tuple[str | int, Said] | None"
"""Canonical words and tokens of free text, the last first."""

Place: TypeAlias = tuple[int, Stack]
"""A node of a rule, a spelling node or free text, and the way back from there."""

Ways: TypeAlias = dict[Place, list[Said]]

_OVER = -1


def read(network: Network, tokens: Sequence[int], roots: Iterable[str]) -> list[str]:
    """The canonical texts that `tokens` stand for, at most `MAX_READINGS`; none when no sentence is spelled so."""
    return _Reader(network).read(tokens, roots)


class _Reader:
    """Walks all ways that fit the tokens at once. Unlike the states of the network, ways keep what was said."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._first = True
        """The next word is the first."""
        self._begins = cache(self._may_begin)

    def read(self, tokens: Sequence[int], roots: Iterable[str]) -> list[str]:
        network = self._network
        between: Ways = {(network.first_node(root), None): [None] for root in roots}
        inside: Ways = {}
        paused = True
        for place, token in enumerate(tokens):
            self._first = place == 0
            self._begins = cache(self._may_begin)
            further: Ways = {}
            for (node, stack), saids in (*inside.items(), *self._opened(between, token).items()):
                if node < 0:
                    after = network.free_after(node, token)
                    if after:
                        _add(further, (after, stack), [(token, said) for said in saids])
                elif (longer := network.spelling.after(node, token)) is not None:
                    _add(further, (longer, stack), saids)
            pauses = token in network.pauses and not paused
            between = dict(between) if pauses else {}
            inside = {}
            for (node, stack), saids in further.items():
                whole = node == FREE_ON if node < 0 else network.spelling.is_whole(node)
                if whole:
                    _add(between, (_OVER, None) if stack is None else stack, saids)
                if node < 0 or not whole or network.spelling.goes_on(node):
                    _add(inside, (node, stack), saids)
            paused = pauses
        ends = self._over(between)
        return list(dict.fromkeys(self._text(said) for said in ends))[:MAX_READINGS]

    def _opened(self, between: Ways, token: int) -> Ways:
        """The words and free texts that can begin with `token` at these nodes of rules."""
        opened: Ways = {}
        rest = list(between.items())
        while rest:
            (at, stack), saids = rest.pop()
            if at == _OVER:
                continue
            node = self._network.nodes[at]
            rest += [((target, stack), saids) for target in node.nothing]
            if node.last:
                rest.append(((_OVER, None) if stack is None else stack, saids))
            for first, target in node.calls:
                leads, empty = self._begins(first, token)
                if leads or empty:
                    rest.append(((first, (target, stack)), saids))
            for target in node.frees:
                _add(opened, (FREE_BEGIN, (target, stack)), saids)
            for word, target in node.says:
                root = self._network.spelled(word, first=self._first)
                if self._network.spelling.after(root, token) is not None:
                    canonical = self._network.words[word].canonical
                    _add(opened, (root, (target, stack)), [(canonical, said) for said in saids])
        return opened

    def _may_begin(self, at: int, token: int) -> tuple[bool, bool]:
        """Whether something can begin with `token` at a node, and whether its rule can end there without a word."""
        network = self._network
        node = network.nodes[at]
        leads = bool(node.frees) or any(
            network.spelling.after(network.spelled(word, first=self._first), token) is not None for word, _ in node.says
        )
        empty = node.last
        for first, target in node.calls:
            inner, nothing = self._begins(first, token)
            leads = leads or inner
            if nothing:
                after, over = self._begins(target, token)
                leads, empty = leads or after, empty or over
        for target in node.nothing:
            after, over = self._begins(target, token)
            leads, empty = leads or after, empty or over
        return leads, empty

    def _over(self, between: Ways) -> list[Said]:
        """What was said on the ways that are whole sentences."""
        ends: list[Said] = []
        rest = list(between.items())
        while rest:
            (at, stack), saids = rest.pop()
            if at == _OVER:
                ends += saids
                continue
            node = self._network.nodes[at]
            rest += [((target, stack), saids) for target in node.nothing]
            if node.last:
                rest.append(((_OVER, None) if stack is None else stack, saids))
            for first, target in node.calls:
                if self._begins(first, -1)[1]:
                    rest.append(((first, (target, stack)), saids))
        return ends

    def _text(self, said: Said) -> str:
        items: list[str | int] = []
        while said is not None:
            item, said = said
            items.append(item)
        parts: list[str] = []
        free: list[int] = []
        for part in reversed(items):
            if isinstance(part, int):
                free.append(part)
                continue
            if free:
                parts.append(self._network.free_text(free))
                free = []
            if part:
                parts.append(part)
        if free:
            parts.append(self._network.free_text(free))
        return (" " if self._network.grammar.spaced else "").join(parts)


def _add(ways: Ways, place: Place, saids: list[Said]) -> None:
    known = ways.get(place)
    if known is None:
        ways[place] = saids[:MAX_READINGS]
        return
    if len(known) < MAX_READINGS:
        known += [said for said in saids if said not in known]
        del known[MAX_READINGS:]
