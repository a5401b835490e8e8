"""The box's own words in what it heard."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbox.asr.engine import Recognition
from agentbox.config import Config
from agentbox.daemon.core import open_core
from agentbox.daemon.events import Events
from agentbox.daemon.own_words import begins, overlap
from agentbox.settings import Loaded
from tests.daemon.test_turn import heard

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


@pytest.mark.parametrize(
    ("heard", "are"),
    [("What should", True), ("Wat should,", True), ("What", True), ("Milk", False), ("put on it", False), ("", False)],
)
def test_the_first_words_of_a_question(heard: str, are: bool) -> None:
    assert begins(heard, "What should I put on it?") is are


def test_more_than_was_said_is_not_its_beginning() -> None:
    assert not begins("Stop the timer", "Stop")


class Asking:
    """A voice that began a question `ago_s` before the end of what was heard, and said it for a second."""

    half_duplex = held = False
    audible = True

    def __init__(self, ago_s: float) -> None:
        self.begin_s = -ago_s

    def said(self, begin_s: float, end_s: float) -> str:
        over = self.begin_s + 1.0 <= begin_s or end_s <= self.begin_s
        return "" if over else "Milk, eggs and bread. Which one?"

    def began(self, begin_s: float, end_s: float) -> list[str]:
        return ["Milk, eggs and bread. Which one?"] if begin_s <= self.begin_s < end_s else []

    def confiding(self, begin_s: float, end_s: float) -> bool:
        return False


@pytest.mark.parametrize(
    ("text", "ago_s", "state"),
    [
        ("Milk, eggs", 1.2, "own_voice"),
        ("Milk, eggs", 3.0, "not_activated"),  # by now it is an answer
        ("Bread", 1.2, "not_activated"),
    ],
)
async def test_the_beginning_of_a_question_is_no_answer_to_it(
    text: str, ago_s: float, state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTBOX_STATE", str(tmp_path))
    async with open_core(Loaded(Config(), None, None, {}), Events(), services=False) as core:
        monkeypatch.setattr(core.attention, "_voice", Asking(ago_s))
        verdict = core.attention.judge(heard(Recognition(text)))
        assert (verdict.opened is None, verdict.state) == (state == "own_voice", state)


@pytest.mark.parametrize(("pause_ms", "state"), [(800, "own_voice"), (0, "not_activated")])
async def test_what_began_while_the_box_spoke_is_its_own_however_long_the_pause_after_it(
    pause_ms: int, state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An echo and, before the turn was over, the owner's answer: the time of all of it counts, not that of the speech
    alone."""
    monkeypatch.setenv("AGENTBOX_STATE", str(tmp_path))
    async with open_core(Loaded(Config(), None, None, {}), Events(), services=False) as core:
        monkeypatch.setattr(core.attention, "_voice", Asking(2.2))
        words = Recognition("Milk, eggs and bread. Which")
        assert core.attention.judge(heard(words, None, pause_ms=pause_ms)).state == state
