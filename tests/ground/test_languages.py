"""Which language a text is in, of those that may be spoken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbox.languages import covers, is_in_letters_of, likeliest, normal_language, primary

BOTH = ("en", "zh-CN")


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("what time is it", "en"),
        ("现在几点", "zh-CN"),
        ("打开 living room 的灯", "zh-CN"),
        ("把kitchen的灯打开", "zh-CN"),
        ("设一个 ten 分钟的 timer", "zh-CN"),
        ("ｗｈａｔ ｔｉｍｅ", "en"),
        ("add 牛奶 to my shopping list", "en"),
        ("don't set an alarm", "en"),
        ("7:30", "en"),
        ("", "en"),
    ],
)
def test_by_its_letters(text: str, first: str) -> None:
    assert likeliest(text, BOTH)[0] == first


@pytest.mark.parametrize(
    ("text", "heard", "asked", "first"),
    [
        ("7:30", None, "zh-CN", "zh-CN"),
        ("7:30", "zh", "en", "zh-CN"),
        ("ok", None, "zh-CN", "en"),
        ("ok 七点", "en", "zh-CN", "en"),
        ("七点", "en", "en", "zh-CN"),
        ("seven", "ja", "", "en"),
    ],
)
def test_by_what_was_heard_and_asked(text: str, heard: str | None, asked: str, first: str) -> None:
    assert likeliest(text, BOTH, heard=heard, asked=asked)[0] == first


@pytest.mark.parametrize(
    ("text", "languages", "first"),
    [
        ("сколько времени", ("en", "ru"), "ru"),
        ("今何時ですか", ("zh-CN", "ja"), "ja"),
        ("지금 몇 시야", ("zh-CN", "ko"), "ko"),
        ("wie spät ist es", ("en", "de"), "en"),
        ("wie spät ist es", ("de", "en"), "de"),
    ],
)
def test_other_scripts(text: str, languages: tuple[str, ...], first: str) -> None:
    assert likeliest(text, languages)[0] == first


@given(st.text(max_size=30), st.sampled_from([None, "zh", "en", "ja"]), st.sampled_from(["", "en", "zh-CN"]))
def test_none_is_lost(text: str, heard: str | None, asked: str) -> None:
    found = likeliest(text, BOTH, heard=heard, asked=asked)
    assert sorted(found) == sorted(BOTH)
    only = [language for language in BOTH if is_in_letters_of(text, language)]
    if len(only) == 1:
        assert found[0] == only[0]


def test_tags() -> None:
    assert [normal_language(tag) for tag in ("zh", "ZH-hant", "en-gb")] == ["zh-CN", "zh-Hant", "en-GB"]
    assert covers("en", "en-GB")
    assert not covers("zh-CN", "zh-TW")
    assert primary("zh-CN") == "zh"
