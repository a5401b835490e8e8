"""What the box says, and how it says times and counts, in both languages."""

from __future__ import annotations

import re
import string
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import agentbox.tools
from agentbox.tools.phrases import LANGUAGES, Phrases, load
from agentbox.tools.phrases.owner import owner_replies

NOW = datetime(2026, 11, 21, 10, 0)  # noqa: DTZ001 - a Saturday; only its clock face counts


def placeholders(sentence: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name is not None}


def test_both_languages_have_the_same_sentences_with_the_same_placeholders() -> None:
    english, chinese = load("en"), load("zh")
    assert list(english) == list(chinese)
    differing = [key for key in english if placeholders(english[key]) != placeholders(chinese[key])]
    assert differing == []
    assert not [key for key, text in chinese.items() if not re.search(r"[\u4e00-\u9fff]|^[^a-z]*\{", text)]


def test_every_sentence_that_the_code_says_is_there() -> None:
    folder = Path(agentbox.tools.__file__).parent
    said = {
        key
        for file in folder.rglob("*.py")
        for key in re.findall(r'(?:say|part)\(\s*"(\w+)"', file.read_text(encoding="utf-8"))
    }
    assert len(said) > 30
    assert said - set(load("en")) == set()


@pytest.mark.parametrize("language", ["zh", "zh-CN", "zh-Hant-TW", "ZH"])
def test_chinese_in_any_form(language: str) -> None:
    assert Phrases(language).language == "zh"


@pytest.mark.parametrize("language", ["en", "en-GB", "de", "pt-BR"])
def test_any_other_language_gets_english(language: str) -> None:
    assert Phrases(language).language == "en"


def test_a_sentence_begins_with_a_capital_and_its_values_are_no_templates() -> None:
    said = Phrases("en").say("list_already", item="{item} {0} milk", list="shopping list")
    assert said == "{item} {0} milk is already on your shopping list."
    assert Phrases("en").say("list_already", item="milk", list="list").startswith("Milk is")


def test_a_failure_without_a_sentence_of_its_own_gets_the_general_one() -> None:
    phrases = Phrases("en")
    assert phrases.failure("timer_none") == "There is no timer."
    assert phrases.failure("no_such_code") == phrases.failure("timer_ambiguous") == phrases.say("tool_failed")


@pytest.mark.parametrize(
    ("seconds", "english", "chinese"),
    [
        (0, "0 seconds", "0秒"),
        (-3, "0 seconds", "0秒"),
        (1, "1 second", "1秒"),
        (59.6, "1 minute", "1分钟"),
        (60, "1 minute", "1分钟"),
        (90, "1 minute and 30 seconds", "1分钟30秒"),
        (4200, "1 hour and 10 minutes", "1小时10分钟"),
        (3661, "1 hour, 1 minute and 1 second", "1小时1分钟1秒"),
        (90000, "1 day and 1 hour", "1天1小时"),
    ],
)
def test_durations(seconds: float, english: str, chinese: str) -> None:
    assert Phrases("en").grammar.duration(seconds) == english
    assert Phrases("zh").grammar.duration(seconds) == chinese


@pytest.mark.parametrize(
    ("hour", "minute", "english", "chinese"),
    [
        (0, 0, "midnight", "凌晨0点"),
        (0, 5, "12:05 AM", "凌晨0点05分"),
        (7, 30, "7:30 AM", "早上7点半"),
        (11, 0, "11 AM", "上午11点"),
        (12, 0, "noon", "中午12点"),
        (12, 30, "12:30 PM", "中午12点半"),
        (15, 4, "3:04 PM", "下午3点04分"),
        (23, 59, "11:59 PM", "晚上11点59分"),
    ],
)
def test_times_of_day(hour: int, minute: int, english: str, chinese: str) -> None:
    moment = NOW.replace(hour=hour, minute=minute)
    assert Phrases("en").grammar.time(moment) == english
    assert Phrases("zh").grammar.time(moment) == chinese


@pytest.mark.parametrize(
    ("ahead", "english", "chinese"),
    [
        (-1, "yesterday", "昨天"),
        (0, "today", "今天"),
        (1, "tomorrow", "明天"),
        (2, "on Monday", "后天"),
        (6, "on Friday", "星期五"),
        (7, "on Saturday, November 28", "11月28日星期六"),
        (-2, "on Thursday, November 19", "11月19日星期四"),
    ],
)
def test_days(ahead: int, english: str, chinese: str) -> None:
    day = NOW.date() + timedelta(days=ahead)
    assert Phrases("en").grammar.day(day, NOW.date()) == english
    assert Phrases("zh").grammar.day(day, NOW.date()) == chinese


def test_a_moment_and_a_date() -> None:
    moment = NOW + timedelta(days=1, hours=-2)
    assert Phrases("en").grammar.when(moment, NOW) == "tomorrow at 8 AM"
    assert Phrases("zh").grammar.when(moment, NOW) == "明天早上8点"
    assert Phrases("en").grammar.calendar_day(date(2026, 11, 21)) == "Saturday, November 21, 2026"
    assert Phrases("zh").grammar.calendar_day(date(2026, 11, 21)) == "2026年11月21日，星期六"


@pytest.mark.parametrize(
    ("items", "english", "chinese"),
    [
        ([], "", ""),
        (["a"], "a", "a"),
        (["a", "b"], "a and b", "a和b"),
        (["a", "b", "c"], "a, b and c", "a、b和c"),
    ],
)
def test_lists(items: list[str], english: str, chinese: str) -> None:
    assert Phrases("en").grammar.join(items) == english
    assert Phrases("zh").grammar.join(items) == chinese


def test_a_manner_has_sentences_of_its_own_with_the_same_placeholders() -> None:
    for language in LANGUAGES:
        every = load(language)
        in_manner = [key for key in every if "." in key]
        assert len(in_manner) > 10
        for key in in_manner:
            plain, _, manner = key.partition(".")
            assert manner == "warm"
            assert placeholders(every[key]) <= placeholders(every[plain])
    assert Phrases("en", "warm").say("nevermind") == "No problem."
    assert Phrases("en", "warm").say("time", time="noon") == "It is noon."


def test_the_owners_wording_goes_before_ours(tmp_path: Path) -> None:
    file = tmp_path / "replies.yaml"
    file.write_text("timer_set: 'Go: {duration}.'\nnevermind: As you like.\n")
    own, problems = owner_replies(file, "en")
    assert problems == []
    phrases = Phrases("en", "warm", own)
    assert phrases.say("timer_set", duration="3 minutes") == "Go: 3 minutes."
    assert phrases.say("nevermind") == "As you like."


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("no_such_key: Hello.", "reply_unknown"),
        ("nevermind: 3", "reply_invalid"),
        ("nevermind: '  '", "reply_invalid"),
        ("nevermind: 'All right, {name}.'", "reply_invalid"),
        ("timer_set: 'Timer {duration!r}'", "reply_invalid"),
        ("timer_set: 'Timer {duration:>9999}'", "reply_invalid"),
        ("timer_set: 'Timer {duration.__class__}'", "reply_invalid"),
        ("timer_set: 'Timer {0}'", "reply_invalid"),
        ("timer_set: 'Timer {'", "reply_invalid"),
        (f"nevermind: {'a' * 1001}", "reply_invalid"),
        ("nevermind.warm: Fine.", "reply_unknown"),
        ("1: Fine.", "reply_unknown"),
        ("a: !!int ''", "replies_unreadable"),
        ("a: !!timestamp a", "replies_unreadable"),
        ("- a\n- b", "replies_unreadable"),
        ("a: [", "replies_unreadable"),
    ],
)
def test_what_cannot_be_said_is_left_out_and_told(text: str, code: str, tmp_path: Path) -> None:
    file = tmp_path / "replies.yaml"
    file.write_text(text)
    own, problems = owner_replies(file, "en")
    assert own == {}
    assert [problem.code for problem in problems] == [code]


def test_a_file_that_is_not_there_or_not_a_text_is_told(tmp_path: Path) -> None:
    assert [problem.code for problem in owner_replies(tmp_path / "none.yaml", "en")[1]] == ["replies_unreadable"]
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    assert [problem.code for problem in owner_replies(tmp_path / "bytes.yaml", "en")[1]] == ["replies_unreadable"]
    (tmp_path / "empty.yaml").write_text("")
    assert owner_replies(tmp_path / "empty.yaml", "en") == ({}, [])


@given(st.text(max_size=60))
@settings(max_examples=100, deadline=None)
def test_any_wording_that_is_taken_can_be_said(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_text(yaml.safe_dump({"timer_set": text}), encoding="utf-8")
    own, problems = owner_replies(file, "en")
    assert len(own) + len(problems) == 1
    if own:
        Phrases("en", own=own).say("timer_set", duration="3 minutes")
