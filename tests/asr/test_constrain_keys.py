"""Keys: the same for spellings of the same words, other ones for other words and numbers."""

from __future__ import annotations

from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbox.asr.constrain.keys import key_of, longer, whole


def key(*tokens: str | bytes) -> bytes:
    parts = (key_of(token.encode() if isinstance(token, str) else token) for token in tokens)
    return whole(reduce(longer, parts, b""))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((" Set", " a", " timer"), ("set", " a", " tim", "er", ".")),
        ((" what", "'s", " up", "?"), (" whats", " up")),
        ((" twenty", "-", "five"), (" twenty", " five")),
        ((" at", " 5", "."), (" at", " 5")),
        ((" 5", ".", " Then"), (" 5", " then")),
        ((" É", "t", "é"), (" é", "té")),
        ((" e", ".", "g", "."), (" eg",)),
    ],
)
def test_the_same_words(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    assert key(*one) == key(*other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((" 1", ".", "5"), (" 1", "5")),
        ((" 1", ".5"), (" 15",)),
        ((" -", "5"), (" 5",)),
        ((" -5",), (" 5",)),
        ((" 50", "%"), (" 50",)),
        ((" a", "b"), (" a", "c")),
    ],
)
def test_other_words(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    assert key(*one) != key(*other)


@given(st.text("厨卧室灯é", min_size=1, max_size=4), st.text("厨卧室灯é", min_size=1, max_size=4))
def test_letters_in_several_tokens_are_told_apart(one: str, other: str) -> None:
    in_bytes = [[bytes([byte]) for byte in text.encode()] for text in (one, other)]
    assert (key(*in_bytes[0]) == key(*in_bytes[1])) == (one == other)
