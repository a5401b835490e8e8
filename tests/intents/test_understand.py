from __future__ import annotations

import home_assistant_intents
import pytest

from agentbox.intents.sources import nearest_language
from agentbox.intents.understand import Understander
from agentbox.messages import Intent, NotUnderstood
from tests.intents.conftest import INTENTS


@pytest.mark.parametrize(
    ("tag", "nearest"),
    [
        ("en", "en"),
        ("en-US", "en"),
        ("zh", "zh-CN"),
        ("zh-Hans", "zh-CN"),
        ("zh-Hant", "zh-TW"),
        ("zh-SG", "zh-CN"),
        ("de-AT", "de"),
        ("de-ch", "de-CH"),
        ("sr-Latn-RS", "sr-Latn"),
        ("pt-PT", "pt"),
        ("tlh", None),
    ],
)
def test_the_nearest_language(tag: str, nearest: str | None) -> None:
    assert nearest_language(tag, home_assistant_intents.get_languages()) == nearest


@pytest.mark.parametrize("language", ["de", "fr", "es", "ja", "zh-TW", "sr-Latn", "th"])
def test_other_languages_have_the_communitys_sentences(language: str) -> None:
    understander = Understander(language, intents=INTENTS, slot_values={"name": ["Packen"]})
    assert understander.problems == []
    assert isinstance(understander.understand("\u0e01 \u4e00 x 5"), NotUnderstood)
    if language == "de":
        found = understander.understand("Stelle einen Timer auf fünfzehn Minuten")
        assert isinstance(found, Intent)
        assert (found.name, found.slots, found.source) == ("HassStartTimer", {"minutes": 15}, "builtin")
        found = understander.understand("setze Zelt auf die Packen Liste")
        assert isinstance(found, Intent)
        assert (found.name, found.slots) == ("HassListAddItem", {"item": "Zelt", "name": "Packen"})


def test_a_language_without_sentences_says_so() -> None:
    understander = Understander("tlh", intents=INTENTS)
    assert [problem.code for problem in understander.problems] == ["sentences_none"]
    assert isinstance(understander.understand("nuqneH"), NotUnderstood)


def test_only_what_can_be_carried_out_is_understood() -> None:
    understander = Understander("en", intents={"HassGetCurrentTime"})
    assert isinstance(understander.understand("what time is it"), Intent)
    assert isinstance(understander.understand("set a timer for five minutes"), NotUnderstood)


def test_the_communitys_sentences_can_be_left_out() -> None:
    text = "timer status"
    assert isinstance(Understander("en", intents=INTENTS).understand(text), Intent)
    assert isinstance(Understander("en", intents=INTENTS, builtin=False).understand(text), NotUnderstood)


def test_sentences_of_tools() -> None:
    values = {
        "language": "en",
        "intents": {"Dice": {"data": [{"sentences": ["roll {dice_count:count} dice", "mute"]}]}},
        "lists": {"dice_count": {"range": {"from": 1, "to": 6}}},
    }
    understander = Understander("en", intents={*INTENTS, "Dice"}, tool_sentences=values)
    assert understander.problems == []
    found = understander.understand("Roll three dice!")
    assert isinstance(found, Intent)
    assert (found.name, found.slots, found.source) == ("Dice", {"count": 3}, "tools")
    found = understander.understand("mute")
    assert isinstance(found, Intent)
    assert found.name == "HassMediaPlayerMute"


def test_too_much_to_be_a_command(english: Understander) -> None:
    text = "set a timer for five minutes " * 100
    assert isinstance(english.understand(text), NotUnderstood)
    assert english.completeness(text) == "no"
