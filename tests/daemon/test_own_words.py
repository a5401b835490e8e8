"""The box's own words in what it heard."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbox.daemon.own_words import overlap

OWN = "On your shopping list: milk, two dozen eggs and sourdough bread."


@pytest.mark.parametrize(
    ("heard", "others"),
    [
        (OWN, ()),
        ("on your shopping list milk, 2 dozen eggs and sour dough bread", None),
        ("shopping list milk two dozen x and", None),
        ("milk, two dozen eggs STOP", ("STOP",)),
        ("dozen eggs stop and sourdough", ("stop and sourdough", "stop")),
        ("list milk hey computer add butter to my shopping list", None),
        ("What time is it?", ("What time is it?",)),
        ("", ()),
    ],
)
def test_others_words_are_found_amidst_them(heard: str, others: tuple[str, ...] | None) -> None:
    found = overlap(heard, OWN)
    if others is not None:
        assert found.others == others
    if "computer" in heard:
        assert found.others[0] == "hey computer add butter to my shopping list"


def test_an_echo_that_was_misheard_is_still_an_echo() -> None:
    assert overlap("On your shopping lift: milk, too dozen egg and sourdough bred.", OWN).share >= 0.8
    assert overlap("Add butter to my shopping list.", OWN).share < 0.5
    assert overlap("在你的购物单上牛奶", "在你的购物清单上：牛奶。").share >= 0.8


@given(st.text(max_size=80), st.text(max_size=80))
def test_any_text_has_a_share(heard: str, own: str) -> None:
    found = overlap(heard, own)
    assert 0.0 <= found.share <= 1.0
    assert all(part and part in heard for part in found.others)


@given(st.lists(st.sampled_from(["milk", "eggs", "bread", "list", "and"]), min_size=1, max_size=12))
def test_what_it_said_is_all_its_own(words: list[str]) -> None:
    said = " ".join(words)
    assert overlap(said, said) == (len(words), 1.0, ())
