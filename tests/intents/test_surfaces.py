"""The spellings of one spoken word."""

from __future__ import annotations

import pytest

from agentbox.intents.surfaces import Surface, Surfaces, minutes

ENGLISH = Surfaces("en")


@pytest.mark.parametrize(
    ("word", "spelling"),
    [
        ("eight", "8"), ("8", "eight"), ("ounce", "oz"), ("minutes", "min"), ("café", "cafe"), ("what's", "what is"),
        ("what's", "whats"), ("ok", "okay"), ("first", "1st"), ("twenty-first", "21st"),
        ("twenty-first", "twenty first"),
        ("pm", "p.m."), ("percent", "percent"), ("12th", "12th"), ("twelfth", "12th"), ("thirteenth", "13th"),
    ],
)  # fmt: skip
def test_words(word: str, spelling: str) -> None:
    assert spelling in ENGLISH.word(word).spoken
    assert ENGLISH.word(word).spoken[0] == word


@pytest.mark.parametrize(("words", "spelling"), [("twenty five", "25"), ("what is", "what's"), ("one hundred", "100")])
def test_words_written_as_one(words: str, spelling: str) -> None:
    span = ENGLISH.span(words)
    assert span is not None
    assert spelling in span.spoken


@pytest.mark.parametrize("words", ["turn on", "five lights", "the twenty"])
def test_other_neighbours_stay_two(words: str) -> None:
    assert ENGLISH.span(words) is None


def test_what_is_glued_to_the_number_before() -> None:
    assert "%" in ENGLISH.word("percent").glued
    assert "%" in ENGLISH.word("%").glued
    assert "oz" in ENGLISH.word("ounce").glued
    assert "pm" in ENGLISH.word("pm").glued
    assert minutes("en", 5) == (":05",)
    assert minutes("en", 75) == () == minutes("zh", 5)


def test_a_language_without_rules_keeps_its_words() -> None:
    german = Surfaces("de")
    assert german.word("Küche") == Surface(("Küche", "Kuche"))
    assert "8" in german.word("acht").spoken
    assert german.spaced
    assert not Surfaces("zh-CN").spaced
