"""Words spelled in tokens, as a tree whose nodes are numbers.

There are a hundred thousand nodes for the built-in sentences, and most have one way on or none: those stand in two
arrays, and only where spellings part is there a mapping.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence

_NOTHING = -1


class Trie:
    """`new()` is the root of another word."""

    def __init__(self) -> None:
        self._token = array("i")
        self._child = array("i")
        """By node: the first way on, or `_NOTHING`."""
        self._more: dict[int, dict[int, int]] = {}
        """By node: the other ways on."""
        self._whole = bytearray()

    def __len__(self) -> int:
        return len(self._token)

    def new(self) -> int:
        """A node that nothing leads to."""
        self._token.append(_NOTHING)
        self._child.append(_NOTHING)
        self._whole.append(0)
        return len(self._token) - 1

    def add(self, root: int, tokens: Sequence[int]) -> None:
        """A spelling of the word that begins at `root`; an empty one is none."""
        if not tokens:
            return
        at = root
        for token in tokens:
            after = self.after(at, token)
            if after is None:
                after = self.new()
                if self._token[at] == _NOTHING:
                    self._token[at], self._child[at] = token, after
                else:
                    self._more.setdefault(at, {})[token] = after
            at = after
        self._whole[at] = 1

    def after(self, node: int, token: int) -> int | None:
        """The node after `token`, or null."""
        if self._token[node] == token:
            return self._child[node]
        more = self._more.get(node)
        return None if more is None else more.get(token)

    def tokens(self, node: int) -> Iterable[int]:
        """The tokens that lead on."""
        if self._token[node] == _NOTHING:
            return ()
        return (self._token[node], *self._more.get(node, ()))

    def is_whole(self, node: int) -> bool:
        """Whether a word can be over here."""
        return self._whole[node] == 1

    def goes_on(self, node: int) -> bool:
        """Whether a longer word goes on here."""
        return self._token[node] != _NOTHING
