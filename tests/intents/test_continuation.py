from __future__ import annotations

import random

import pytest

from agentbox.intents.normalise import normalise
from agentbox.intents.numbers import number_words
from agentbox.intents.reading import read
from agentbox.intents.understand import Understander
from tests.intents.sampling import joined, say, words
from tests.intents.test_reading import grammar_of, needed, templates


@pytest.mark.parametrize(
    ("text", "completeness"),
    [
        ("what time is it", "complete"),
        ("Mute.", "complete"),
        ("what's on my shopping list?", "complete"),
        ("add milk to my shopping list", "complete"),
        ("set the volume to 50 percent", "complete"),
        ("set a timer for five minutes and ten seconds", "continuable"),
        ("set a timer for five minutes", "continuable"),
        ("set a timer", "continuable"),
        ("set the volume to twenty", "continuable"),
        ("set the volume to 20", "continuable"),
        ("set the volume to twenty five", "complete"),
        ("turn it up", "continuable"),
        ("stop", "continuable"),
        ("remind me to call mum", "continuable"),
        ("wake me at seven", "continuable"),
        ("set a timer for", "no"),
        ("set a timer for five", "no"),
        ("add milk", "no"),
        ("I'll be back in five minutes", "no"),
        ("", "no"),
    ],
)
def test_english(english: Understander, text: str, completeness: str) -> None:
    assert english.completeness(text) == completeness


@pytest.mark.parametrize(
    ("text", "completeness"),
    [
        ("现在几点了", "complete"),
        ("六点半叫我起床", "complete"),
        ("静音", "complete"),
        ("定时五分钟", "continuable"),
        ("音量调到五十", "continuable"),
        ("提醒我买牛奶", "continuable"),
        ("定时五", "no"),
    ],
)
def test_chinese(chinese: Understander, text: str, completeness: str) -> None:
    assert chinese.completeness(text) == completeness


def test_what_cannot_be_said_now_continues_nothing(english: Understander) -> None:
    assert english.completeness("cancel", {"confirmation": "pending"}) == "continuable"
    assert english.completeness("no way", {"confirmation": "pending"}) == "complete"
    assert english.completeness("make it ten minutes") == "no"
    assert english.completeness("make it ten minutes", {"last_intent": "HassStartTimer"}) == "continuable"


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_the_beginning_of_a_longer_sentence_is_never_complete(
    language: str, english: Understander, chinese: Understander
) -> None:
    """hassil is the oracle: cut sampled sentences short; what still matches and means something else can go on."""
    understander = english if language == "en" else chinese
    grammar, numbers, chance = grammar_of(language, "agentbox"), number_words(language), random.Random(3)
    checked = 0
    for scope, template in chance.sample(list(templates(grammar)), 200):
        context = needed(template)
        parts = words(say(template.sentence.expression, scope, chance))
        whole = read(grammar, joined(parts), context, numbers)
        for length in range(1, len(parts)):
            begun = read(grammar, joined(parts[:length]), context, numbers)
            if not normalise(joined(parts[:length]), language):
                continue  # "um" is no word yet, though it may stand where a word may be left out
            if begun is None or whole is None or (begun.name, begun.slots) == (whole.name, whole.slots):
                continue
            if begun.name != whole.name or not set(whole.slots) <= set(begun.slots):
                checked += 1
                text = joined(parts[:length])
                assert understander.completeness(text, context) == "continuable", (text, joined(parts))
    assert checked > 20
