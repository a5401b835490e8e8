"""Long replies in pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbox.tts.pieces import FIRST_LETTERS, MOST_LETTERS, pieces, written_so_far


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("  ", []),
        ("Timer set.", ["Timer set."]),
        ("Dr. Smith called. He is at St. Mary's.", ["Dr. Smith called.", "He is at St. Mary's."]),
        ("It rang at 10.30 a.m. and stopped. No. Really?", ["It rang at 10.30 a.m. and stopped.", "No.", "Really?"]),
        (
            "Version 2.10 is out! \u201cIt works.\u201d Fine\u2026 Bye",
            ["Version 2.10 is out!", "\u201cIt works.\u201d", "Fine\u2026", "Bye"],
        ),
        ("好的。计时器设好了！还有别的吗？", ["好的。", "计时器设好了！", "还有别的吗？"]),
        ("milk\neggs\n", ["milk", "eggs"]),
        ("No. 5 is alive. No. I said so.", ["No. 5 is alive.", "No.", "I said so."]),
        ("1. Milk\n2. Eggs", ["1. Milk", "2. Eggs"]),
        ("Vitamin C. Then D. It is I. You know", ["Vitamin C.", "Then D.", "It is I.", "You know"]),
        ("J. R. Brown and Mr. T. Green called.", ["J. R. Brown and Mr. T. Green called."]),
    ],
)
def test_a_piece_is_a_sentence(text: str, expected: list[str]) -> None:
    assert list(pieces(text)) == expected


def test_a_long_first_sentence_is_cut_where_one_breathes() -> None:
    text = (
        "On your shopping list there are milk, eggs, a loaf of bread from the bakery, two lemons, and everything that "
        "you wanted to have for the cake on Sunday afternoon"
    )
    first, rest = pieces(text)
    assert first == "On your shopping list there are milk, eggs, a loaf of bread from the bakery,"
    assert len(rest) <= MOST_LETTERS


@given(st.text(alphabet=st.sampled_from("ab .,!?;:。，！\n-Z"), max_size=600))
def test_nothing_is_lost_and_nothing_is_too_long(text: str) -> None:
    found = list(pieces(text))
    assert "".join("".join(found).split()) == "".join(text.split())
    assert all(piece.strip() == piece and 0 < len(piece) <= MOST_LETTERS for piece in found)


def test_what_the_owner_waits_for_first_is_short() -> None:
    long = ", ".join(f"item number {number}" for number in range(40)) + "."
    assert len(next(pieces(long))) <= FIRST_LETTERS


@given(
    st.lists(
        st.sampled_from(["It is ", "3.5", " Dr. ", "Smith", ". ", "? ", "！", "a b", "No. ", "7", "\n", ", ", "e.g. "])
    ),
    st.data(),
)
def test_nothing_is_lost_of_a_text_that_is_still_being_written(parts: list[str], data: st.DataObject) -> None:
    text, rest, said = "".join(parts), "", list[str]()
    left = text
    while left:
        size = data.draw(st.integers(1, len(left)))
        whole, rest = written_so_far(rest + left[:size])
        left = left[size:]
        said += whole
    last = [rest.strip()] if rest.strip() else []
    assert "".join("".join([*said, *last]).split()) == "".join(text.split())


def test_a_sentence_is_whole_when_the_next_one_has_begun() -> None:
    assert written_so_far("It is noon. ") == ([], "It is noon. ")
    assert written_so_far("It is noon. T") == (["It is noon."], " T")
    assert written_so_far("Dr. S") == ([], "Dr. S")
    assert written_so_far("好的。计时器") == (["好的。"], "计时器")
    assert written_so_far("One. Two! Three") == (["One.", "Two!"], " Three")
