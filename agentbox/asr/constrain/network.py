"""A speech grammar spelled in a model's tokens, determinised step by step as decoding walks through it.

A state is everything that the words so far can be the beginning of. Its tokens are exactly those that lead on; states
are made when somebody first goes there, and kept, so a mask costs nothing the second time. A rule stands in the network
once, whoever calls it: a state holds for each node the set of ways to return (a graph-structured stack, Tomita 1985),
so a list of a thousand names is not copied into each of the hundred sentences that name it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from agentbox.asr.constrain.keys import key_of
from agentbox.asr.constrain.model import Spells, Table
from agentbox.asr.constrain.rules import Numbered
from agentbox.asr.constrain.trie import Trie
from agentbox.asr.tokens import END
from agentbox.speech_grammar import Say, SpeechGrammar

Ids: TypeAlias = NDArray[np.int64]

PAUSES = (",", ".", "?", "!", ";", ":", "，", "。", "？", "！", "、")
"""Punctuation a recogniser may put between words and at the end."""

FREE_BEGIN, FREE_LEAD, FREE_ON = -1, -2, -3
"""In place of a spelling node: free text of which nothing, only a space, or at least a letter has been heard."""

MAX_STATES = 800
"""States that are kept (some 10 kB each under the built-in sentences). When there are more, all are forgotten and made
anew as they are needed."""

_FEW = 4
"""So many words are tried faster than looked up."""

Floats: TypeAlias = NDArray[np.float32]

Frame: TypeAlias = tuple[int, int]
"""A way to return: the node to go on at, and the number of the set of ways to return from there."""

Open: TypeAlias = tuple[int, int]
"""A spelling node or free text that the next token can belong to, and the number of its set of ways to return."""

_OVER: Frame = (-1, -1)
"""The way to return of a whole sentence."""


class Alike(NamedTuple):
    """Places in `State.asked` of tokens that differ in letter case alone."""

    places: NDArray[np.int32]
    """Those of one group after the other."""
    starts: NDArray[np.int32]
    """Where each group begins in `places`."""
    lengths: NDArray[np.int32]


@dataclass(eq=False, slots=True)
class State:
    """What the words so far can be the beginning of. Made and kept by `Network`."""

    open: NDArray[np.int32]
    """`Open`s, one a row."""
    accepts: bool
    """The words so far are a whole sentence."""
    pausable: bool
    """Punctuation may follow: a word is over, and no punctuation stands there yet."""
    tokens: Ids
    """The tokens that lead on, sorted; beside them those that `free` stands for."""
    asked: Ids
    """The same and, where the sentence may be over, the token that ends it."""
    spelled_alike: Alike
    free: int
    """0, or the most advanced of `FREE_BEGIN`, `FREE_LEAD`, `FREE_ON` that is open (the lowest number)."""
    paused: bool
    """Nothing was said yet, or punctuation was the last: no hyphen may follow."""
    known: _Known
    """What it was made with."""
    prior: dict[tuple[int, ...], Floats] = field(default_factory=dict)
    """By the last tokens: the prior of `asked` (see `prior`)."""
    next: dict[int, State] = field(default_factory=dict)


class _Known:
    """States, and the sets of ways to return that they number: forgotten together, but whoever still walks on one of
    the states (`warm` does it bit by bit) finds the sets."""

    def __init__(self) -> None:
        self.states: dict[tuple[bytes, bool, bool], State] = {}
        self.starts: dict[tuple[str, ...], State] = {}
        self.sets: list[frozenset[Frame]] = []
        self._numbers: dict[frozenset[Frame], int] = {}

    def number(self, frames: Iterable[Frame]) -> int:
        """The number of a set of ways to return."""
        whole = frozenset(frames)
        number = self._numbers.get(whole)
        if number is None:
            number = self._numbers[whole] = len(self.sets)
            self.sets.append(whole)
        return number


class Network:
    """A grammar in the tokens of one model. Not thread-safe: it belongs to whoever decodes.

    `start(roots)` is the state before the first word, `step(state, token)` the state after one more token.
    """

    def __init__(self, grammar: SpeechGrammar, speller: Spells, table: Table, end: int = END) -> None:
        """`end`: the token that ends a sentence."""
        self.grammar = grammar
        self._speller = speller
        self._table = table
        self._end = end
        numbered = Numbered(grammar.rules)
        self.nodes = numbered.nodes
        self.words = numbered.words
        self._first = numbered.first
        self._root: dict[tuple[int, bool], int] = {}
        """By number of a word, and whether it is the first: its first spelling node."""
        self._roots: set[int] = set()
        self.spelling = Trie()
        """The words' spellings; a "spelling node" is one of its nodes."""
        self._says: dict[tuple[int, bool], dict[int, list[tuple[int, int]]]] = {}
        """By node of a rule, and whether its words begin a sentence: the words by their first tokens."""
        self._known = _Known()
        self.tokens_of = _classes(table, grammar.spaced)
        """By kind of free text: the tokens that lead on in it (see `FREE_BEGIN`)."""
        self.keys = [key_of(table.text_of(token)) for token in range(len(table))]
        """By token: what it says, letter case apart."""
        self.is_of = {kind: np.isin(np.arange(len(table)), tokens) for kind, tokens in self.tokens_of.items()}
        """By kind of free text, and token: whether it leads on in it."""
        self._hyphen = frozenset(speller.encode("-"))
        encoded = [speller.encode(mark) for mark in PAUSES]
        self.pauses = frozenset(tokens[0] for tokens in encoded if len(tokens) == 1)

    @property
    def state_count(self) -> int:
        """How many states are known by now."""
        return len(self._known.states)

    @property
    def set_count(self) -> int:
        """How many sets of ways to return are known by now."""
        return len(self._known.sets)

    def forget(self) -> None:
        """Forget all states; they are made anew when they are needed."""
        self._known.states.clear()
        self._known.starts.clear()
        self._known = _Known()

    def start(self, roots: Iterable[str]) -> State:
        """The state before the first word of a sentence of one of the rules `roots`."""
        key = tuple(sorted(set(roots)))
        if self.state_count > MAX_STATES:
            self.forget()
        known = self._known
        if key not in known.starts:
            frames = {self._first[root]: {_OVER} for root in key}
            known.starts[key] = self._state(known, *self._close(known, frames, {}, first=True), paused=True)
        return known.starts[key]

    def step(self, state: State, token: int) -> State | None:
        """The state after `token`, or null where it does not lead on."""
        known = state.next.get(token)
        if known is None:
            known = self._make(state, token)
            if known is not None:
                state.next[token] = known
        return known

    def first_node(self, rule: str) -> int:
        """Where a rule begins."""
        return self._first[rule]

    def says_with(self, node: int, token: int, *, first: bool) -> Sequence[tuple[int, int]]:
        """The words (and targets) that lead on from a node of a rule, without most of those that cannot begin with
        `token`."""
        says = self.nodes[node].says
        if len(says) <= _FEW:
            return says
        index = self._says.get((node, first))
        if index is None:
            index = self._says[node, first] = {}
            for say in says:
                for begin in self.spelling.tokens(self.spelled(say[0], first=first)):
                    index.setdefault(begin, []).append(say)
        return index.get(token, ())

    def free_after(self, kind: int, token: int) -> int:
        """What free text of a kind (see `FREE_BEGIN`) is after `token`; 0 where it cannot hold it."""
        if token >= len(self._table) or not self.is_of[kind][token]:
            return 0
        lead = kind == FREE_BEGIN and not self._table.text_of(token).strip()
        return FREE_LEAD if lead else FREE_ON

    def free_text(self, tokens: Iterable[int]) -> str:
        """The words of free text, without punctuation around them."""
        return self._table.decode(tokens).strip("".join(PAUSES) + " ")

    def _punctuates(self, state: State, token: int) -> bool:
        return state.pausable and token in self.pauses

    def _is_fresh(self, node: int) -> bool:
        return node == FREE_BEGIN or node in self._roots

    def _spelled_with(self, state: State, token: int) -> list[Open]:
        """Where the words of `state` that go on with `token` are then."""
        if state.paused and token in self._hyphen:
            return []
        after = self.spelling.after
        opened = state.open.tolist()
        return [(leads, ways) for node, ways in opened if node >= 0 and (leads := after(node, token)) is not None]

    def _free_with(self, state: State, token: int) -> list[Open]:
        """The free texts of `state` that `token` can belong to, as they are afterwards."""
        if not state.free:
            return []
        after = ((self.free_after(node, token), ways) for node, ways in state.open.tolist() if node < 0)
        return [(kind, ways) for kind, ways in after if kind]

    def _make(self, state: State, token: int) -> State | None:
        leads = [*self._spelled_with(state, token), *self._free_with(state, token)]
        punctuated = self._punctuates(state, token)
        if not leads and not punctuated:
            return None
        sets = state.known.sets
        opened: dict[int, set[Frame]] = {}
        returned: dict[int, set[Frame]] = {}
        over = False
        for node, ways in leads:
            frames = sets[ways]
            if node < 0:
                opened.setdefault(node, set()).update(frames)
                ends = node == FREE_ON
                goes_on = True
            else:
                ends = self.spelling.is_whole(node)
                goes_on = self.spelling.goes_on(node)
                if goes_on:
                    opened.setdefault(node, set()).update(frames)
            if ends:
                for target, back in frames:
                    if target < 0:
                        over = True
                    else:
                        returned.setdefault(target, set()).update(sets[back])
        opened, accepts = self._close(state.known, returned, opened)
        accepts = accepts or over
        if punctuated:
            accepts = accepts or state.accepts
            for node, ways in state.open.tolist():
                if self._is_fresh(node):
                    opened.setdefault(node, set()).update(sets[ways])
        return self._state(state.known, opened, accepts, paused=punctuated)

    def _close(
        self,
        known: _Known,
        waiting: Mapping[int, set[Frame]],
        opened: dict[int, set[Frame]],
        *,
        first: bool = False,
    ) -> tuple[dict[int, set[Frame]], bool]:
        """All that can be reached from these nodes without a token, and whether a sentence may be over."""
        pending = {node: set(frames) for node, frames in waiting.items()}
        done: dict[int, set[Frame]] = {}
        heap = [(self.nodes[node].order, node) for node in pending]
        heap.sort()
        accepts = False

        def reach(node: int, frames: Iterable[Frame]) -> None:
            new = set(frames) - done.get(node, set())
            if not new:
                return
            if node in pending:
                pending[node] |= new
            else:
                pending[node] = new
                heappush(heap, (self.nodes[node].order, node))

        while heap:
            _, at = heappop(heap)
            frames = pending.pop(at, None)
            if frames is None:
                continue
            done.setdefault(at, set()).update(frames)
            node = self.nodes[at]
            ways = known.number(frames)
            for target in node.nothing:
                reach(target, frames)
            for called, target in node.calls:
                reach(called, self._return_to(target, ways, frames))
            for word, target in node.says:
                opened.setdefault(self.spelled(word, first=first), set()).update(self._return_to(target, ways, frames))
            for target in node.frees:
                opened.setdefault(FREE_BEGIN, set()).update(self._return_to(target, ways, frames))
            if node.last:
                for target, back in frames:
                    if target < 0:
                        accepts = True
                    else:
                        reach(target, known.sets[back])
        return opened, accepts

    def _return_to(self, target: int, ways: int, frames: set[Frame]) -> Iterable[Frame]:
        """The frame to come back to `target`; where nothing is left to do there, those of its rule's callers."""
        node = self.nodes[target]
        if node.last and not (node.nothing or node.calls or node.says or node.frees):
            return frames
        return ((target, ways),)

    def _state(self, known: _Known, opened: Mapping[int, set[Frame]], accepts: bool, *, paused: bool) -> State:
        opens = sorted((node, known.number(frames)) for node, frames in opened.items())
        packed = np.array(opens, dtype=np.int32).reshape(-1, 2)
        key = (packed.tobytes(), accepts, paused)
        state = known.states.get(key)
        if state is None:
            leads: set[int] = set()
            for node, _ in opens:
                if node >= 0:
                    leads.update(self.spelling.tokens(node))
            if paused:
                leads -= self._hyphen
            pausable = not paused and (accepts or any(self._is_fresh(node) for node, _ in opens))
            tokens = np.array(sorted({*leads, *(self.pauses if pausable else ())}), dtype=np.int64)
            free = min((node for node, _ in opens if node < 0), default=0)
            asked = np.append(tokens, self._end) if accepts else tokens
            tokens = asked[: tokens.size]
            state = State(packed, accepts, pausable, tokens, asked, self._spelled_alike(tokens), free, paused, known)
            known.states[key] = state
        return state

    def _spelled_alike(self, tokens: Ids) -> Alike:
        places: dict[bytes, list[int]] = {}
        for place, token in enumerate(tokens.tolist()):
            places.setdefault(self._table.text_of(token).lower(), []).append(place)
        groups = [group for group in places.values() if len(group) > 1]
        lengths = np.array([len(group) for group in groups], dtype=np.int32)
        together = np.array([place for group in groups for place in group], dtype=np.int32)
        return Alike(together, np.cumsum(lengths, dtype=np.int32) - lengths, lengths)

    def spell_all(self) -> Iterator[None]:
        """Spell all words before they are met, in small pieces."""
        for word in range(len(self.words)):
            for first in (False, True):
                self.spelled(word, first=first)
            if word % 32 == 0:
                yield

    def spelled(self, word: int, *, first: bool = False) -> int:
        """The first spelling node of a word; its spellings are worked out when it is first met. `first`: it begins a
        sentence."""
        root = self._root.get((word, first))
        if root is None:
            root = self._root[word, first] = self.spelling.new()
            self._roots.add(root)
            for tokens in self._spellings(self.words[word], first):
                self.spelling.add(root, tokens)
        return root

    def _spellings(self, word: Say, first: bool) -> Iterable[Sequence[int]]:
        speller, spaced = self._speller, self.grammar.spaced
        for text in word.spoken:
            yield from speller.variants(text, spaced=spaced, first=first)
            if spaced and not first:
                hyphen = speller.encode("-")
                yield from (hyphen + tokens for tokens in speller.variants(text, spaced=False, first=False))
        for text in word.glued:
            yield speller.encode(text)


def _classes(table: Table, spaced: bool) -> dict[int, Ids]:
    texts = [table.text_of(token).decode("utf-8", "replace") for token in range(len(table))]
    # U+FFFD: a part of a letter that takes several tokens.
    worded = [any(letter.isalnum() or letter == "\ufffd" for letter in text) for text in texts]
    spaces = [spaced and text == " " for text in texts]
    begin = [
        space or (word and (text[:1] == " " or not spaced))
        for text, word, space in zip(texts, worded, spaces, strict=True)
    ]
    lead = [word and text[:1] != " " for text, word in zip(texts, worded, strict=True)]
    return {
        FREE_BEGIN: np.flatnonzero(begin),
        FREE_LEAD: np.flatnonzero(lead),
        FREE_ON: np.flatnonzero([bool(text) for text in texts]),
    }
