from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from agentbox.intents.sounds import likeness
from agentbox.intents.understand import Understander
from agentbox.messages import Intent, NotUnderstood
from tests.intents.conftest import HERE, INTENTS

PROMPTS = Path("/usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz")


def test_mishearings_are_understood_or_not_at_all(english: Understander) -> None:
    """78 mishearings: at least 72 are understood, and none as something else than was said."""
    rows = yaml.safe_load((HERE / "misheard-en.yaml").read_text(encoding="utf-8"))
    hits = 0
    for heard, said in rows:
        meant = english.understand(said)
        assert isinstance(meant, Intent)
        assert meant.match == "exact", said
        found = english.understand(heard)
        if isinstance(found, Intent):
            assert (found.name, found.slots) == (meant.name, meant.slots), heard
            assert (found.match == "exact") == (found.score == 1.0)
            hits += 1
    assert len(rows) >= 60
    assert hits >= 72, f"{hits} of {len(rows)}"


def test_ordinary_talk_is_not_acted_on(english: Understander) -> None:
    talk = [line for line in (HERE / "talk-en.txt").read_text(encoding="utf-8").splitlines() if line[0] != "#"]
    assert len(talk) > 180
    acted_on = [line for line in talk if isinstance(english.understand(line), Intent)]
    assert acted_on == []


def test_ordinary_chinese_talk_is_not_acted_on(chinese: Understander) -> None:
    """Only "remember to buy some fruit" is, which is a sentence of the community's."""
    talk = [line for line in (HERE / "talk-zh-CN.txt").read_text(encoding="utf-8").splitlines() if line[0] != "#"]
    assert len(talk) > 60
    assert [line for line in talk if isinstance(chinese.understand(line), Intent)] == ["记得买点水果回来。"]


@pytest.mark.skipif(not PROMPTS.exists(), reason="the Debian package asterisk-core-sounds-en is not installed")
def test_telephone_prompts_are_not_acted_on(english: Understander) -> None:
    """More than 600 sentences, many about time, minutes, numbers, volume and calls."""
    with gzip.open(PROMPTS, "rt", encoding="utf-8") as lines:
        texts = [line.split(":", 1)[1].strip() for line in lines if ":" in line and line[0] != ";"]
    spoken = [text for text in texts if not text.startswith("[")]
    spoken += [part for text in spoken for part in re.split(r"(?<=[.?!])\s+", text) if part != text]
    assert len(spoken) > 600
    acted_on = [text for text in spoken if isinstance(english.understand(text), Intent)]
    assert len(acted_on) <= 1, acted_on


@pytest.mark.parametrize(
    ("heard", "number"),
    [("set a time for fifty minutes", 50), ("set a time for fifteen minutes", 15), ("sat a timer for 41 minutes", 41)],
)
def test_numbers_stay_what_they_were(english: Understander, heard: str, number: int) -> None:
    found = english.understand(heard)
    assert isinstance(found, Intent)
    assert (found.slots, found.match) == ({"minutes": number}, "forgiving")


@pytest.mark.parametrize(
    "heard",
    [
        "set a timer for fife minutes",  # a number is never guessed
        "set a timer for to minutes",
        "turn the volume app",  # nor the value of a list
        "set an alarm for seven tomato morning",
        "do not set a timer for five minutes",  # no word may be left over
        "never set a timer for five minutes",
        "shop",  # one word is nothing to go by
        "burn it up",
        "hold time",
        "about the timer",
    ],
)
def test_what_is_not_guessed(english: Understander, heard: str) -> None:
    assert isinstance(english.understand(heard), NotUnderstood)


@pytest.mark.parametrize(
    ("heard", "name", "slots"),
    [
        ("定是五分钟", "HassStartTimer", {"minutes": 5}),
        ("明天早上七点的脑中", "AgentboxSetAlarm", {"day": "tomorrow", "period": "am", "hour": 7}),
        ("把牛奶加到购物请单", "HassShoppingListAddItem", {"item": "牛奶"}),
        ("取消即时器", "HassCancelTimer", {}),
        ("五分钟后体醒我关火", "AgentboxSetReminder", {"in_minutes": 5, "message": "关火"}),
    ],
)
def test_chinese_syllables(chinese: Understander, heard: str, name: str, slots: dict[str, object]) -> None:
    found = chinese.understand(heard)
    assert isinstance(found, Intent)
    assert (found.name, found.slots, found.match) == (name, slots, "forgiving")


def test_a_list_that_is_there_is_not_taken_for_a_mishearing() -> None:
    text = "add milk to my shipping list"
    found = Understander("en", intents=INTENTS).understand(text)
    assert isinstance(found, Intent)
    assert (found.name, found.slots) == ("HassShoppingListAddItem", {"item": "milk"})
    found = Understander("en", intents=INTENTS, slot_values={"name": ["Shipping"]}).understand(text)
    assert isinstance(found, Intent)
    assert (found.name, found.slots) == ("HassListAddItem", {"item": "milk", "name": "shipping"})


def test_likeness_decides() -> None:
    strict = Understander("en", intents=INTENTS, likeness=1.0)
    assert isinstance(strict.understand("set a time for five minutes"), NotUnderstood)
    assert isinstance(strict.understand("set a timer for five minutes"), Intent)


WORDS = """
    set said a timer time for five 5 minutes and add at milk to my shopping list turn up volume remind me not
"""


@settings(max_examples=40, deadline=None)
@given(st.one_of(st.text(max_size=60), st.lists(st.sampled_from(WORDS.split()), max_size=14).map(" ".join)))
def test_any_text_is_taken(english: Understander, chinese: Understander, text: str) -> None:
    for understander in (english, chinese):
        found = understander.understand(text, utterance_id="u", context={"last_intent": "HassStartTimer"})
        assert isinstance(found, Intent | NotUnderstood)
        assert (found.text, found.utterance_id) == (text, "u")
        if isinstance(found, Intent):
            assert 0.84 <= found.score <= 1.0
        assert understander.completeness(text, {}) in ("no", "continuable", "complete")


@given(st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=12), st.text("abcdefgh", min_size=1, max_size=12))
def test_likeness_is_a_likeness(one: str, two: str) -> None:
    assert likeness(one, one) == 1.0
    assert 0.0 <= likeness(one, two) <= 1.0
