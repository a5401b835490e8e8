"""The tree of spellings against plain sets of sequences."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agentbox.asr.constrain.trie import Trie

_words = st.lists(st.lists(st.lists(st.integers(0, 5), max_size=5).map(tuple), max_size=12), min_size=1, max_size=4)


@given(_words)
def test_it_holds_what_was_put_in_and_nothing_else(words: list[list[tuple[int, ...]]]) -> None:
    trie = Trie()
    roots = []
    for spellings in words:
        roots.append(trie.new())
        for tokens in spellings:
            trie.add(roots[-1], tokens)
    for root, spellings in zip(roots, words, strict=True):
        known = {tokens for tokens in spellings if tokens}
        begun = {tokens[:length] for tokens in known for length in range(len(tokens) + 1)} | {()}
        waiting: list[tuple[int, tuple[int, ...]]] = [(root, ())]
        found = set()
        while waiting:
            node, so_far = waiting.pop()
            assert so_far in begun
            assert trie.is_whole(node) == (so_far in known)
            leads = list(trie.tokens(node))
            assert len(leads) == len(set(leads))
            assert trie.goes_on(node) == bool(leads)
            for token in range(6):
                after = trie.after(node, token)
                assert (after is not None) == (token in leads)
                if after is not None:
                    waiting.append((after, (*so_far, token)))
            found.add(so_far)
        assert found == begun
    assert len(trie) >= len(roots)
