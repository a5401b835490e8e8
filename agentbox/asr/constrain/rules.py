"""The rules of a speech grammar with all their nodes and words numbered, callers before those they call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter

from agentbox.speech_grammar import END_NODE, Arc, Call, Free, Nothing, Rule, Say


@dataclass(frozen=True, slots=True)
class Node:
    """What can be done at a node of a rule; targets are nodes of the same rule."""

    order: int
    """A node comes before those it leads to, and before the rules it calls; then closing sees each about once."""
    last: bool
    nothing: tuple[int, ...]
    calls: tuple[tuple[int, int], ...]
    """(first node of the called rule, target)"""
    says: tuple[tuple[int, int], ...]
    """(number of the word, target)"""
    frees: tuple[int, ...]


class Numbered:
    """All rules in one list of nodes."""

    def __init__(self, rules: Mapping[str, Rule]) -> None:
        self.nodes: list[Node] = []
        self.words: list[Say] = []
        """Each once."""
        self.first: dict[str, int] = {}
        """By rule: the number of its first node."""
        self._known: dict[Say, int] = {}
        count = 0
        for name, rule in rules.items():
            self.first[name] = count
            count += _size(rule)
        depths = _depths(rules)
        for name, rule in rules.items():
            leaving: list[list[Arc]] = [[] for _ in range(_size(rule))]
            for arc in rule.arcs:
                leaving[arc.source].append(arc)
            orders = _topological(leaving)
            for at, arcs in enumerate(leaving):
                order = depths[name] * _MAX_RULE + orders[at]
                self.nodes.append(self._node(arcs, order, at == END_NODE, self.first[name]))

    def _node(self, arcs: Sequence[Arc], order: int, last: bool, base: int) -> Node:
        nothing, calls, says, frees = [], [], [], []
        for arc in arcs:
            target = base + arc.target
            match arc.label:
                case Nothing():
                    nothing.append(target)
                case Call(called):
                    calls.append((self.first[called], target))
                case Free():
                    frees.append(target)
                case Say() as say:
                    if say not in self._known:
                        self._known[say] = len(self.words)
                        self.words.append(say)
                    says.append((self._known[say], target))
        return Node(order, last, tuple(nothing), tuple(calls), tuple(says), tuple(frees))


_MAX_RULE = 1_000_000


def _size(rule: Rule) -> int:
    return 1 + max([END_NODE, *(max(arc.source, arc.target) for arc in rule.arcs)])


def _depths(rules: Mapping[str, Rule]) -> dict[str, int]:
    """For each rule the longest way of calls that leads to it."""
    callers: dict[str, set[str]] = {name: set() for name in rules}
    for name, rule in rules.items():
        for arc in rule.arcs:
            if isinstance(arc.label, Call):
                callers[arc.label.rule].add(name)
    order = TopologicalSorter(callers).static_order()
    depths: dict[str, int] = {}
    for name in order:
        depths[name] = 1 + max((depths[caller] for caller in callers[name]), default=-1)
    return depths


def _topological(leaving: Sequence[Sequence[Arc]]) -> list[int]:
    """A number for each node of a rule: smaller than those of the nodes it leads to (but for loops onto itself)."""
    before: dict[int, set[int]] = {at: set() for at in range(len(leaving))}
    for at, arcs in enumerate(leaving):
        for arc in arcs:
            if arc.target != at:
                before[arc.target].add(at)
    return [number for _, number in sorted((at, n) for n, at in enumerate(TopologicalSorter(before).static_order()))]
