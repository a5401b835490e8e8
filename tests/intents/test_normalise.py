from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbox.intents.normalise import normalise
from agentbox.intents.numbers import NumberWords


@pytest.mark.parametrize(
    ("heard", "normal"),
    [
        ("  Set a timer\tfor 5 minutes. ", "Set a timer for 5 minutes."),
        ("Wake me at 6.30 p.m.", "Wake me at 6:30 pm"),
        ("Wake me at 7:30am tomorrow", "Wake me at 7:30 am tomorrow"),
        ("wake me at 7 A.M.", "wake me at 7 am"),
        ("set an alarm for 730 tomorrow", "set an alarm for 7:30 tomorrow"),
        ("set an alarm at 6.30", "set an alarm at 6:30"),
        ("set a timer for 130 minutes", "set a timer for 130 minutes"),
        ("a timer for 1.5 hours", "a timer for 1 and a half hours"),
        ("2½ hours", "2 1/2 hours"),
        ("volume 50 %", "volume 50%"),
        ("wake me to morrow at six", "wake me tomorrow at six"),
        ("To-morrow, to-day and to-night", "tomorrow, today and tonight"),
        ("go to day care", "go to day care"),
        ("an 8oz latte", "an 8 ounce latte"),
        ("a 5min timer", "a 5 minutes timer"),
        ("1,000 things", "1000 things"),
        ("Um, what time is it", "what time is it"),
        ("what’s on my list", "what's on my list"),
        ("I am here at 5 mum", "I am here at 5 mum"),
        ("call Mum, please", "call Mum, please"),
    ],
)
def test_english(heard: str, normal: str) -> None:
    assert normalise(heard, "en-GB") == normal


@pytest.mark.parametrize(
    ("heard", "normal"),
    [
        ("定时 5 分钟。", "定时5分钟。"),
        ("定时５分钟", "定时5分钟"),
        ("明天早上八点，提醒我给妈妈打电话", "明天早上八点 提醒我给妈妈打电话"),
        ("明天7：30叫我起床", "明天7:30叫我起床"),
        ("嗯，音量调到５０％", "音量调到50%"),
        ("1.5小时", "1个半小时"),
        ("一个半小时", "1个半小时"),
        ("三十一个半小时", "三十一个半小时"),
        ("晚上十二点", "晚上十二点"),
        ("中午十二点", "中午十二点"),
        ("嗯", "嗯"),
        ("零点五小时", "半个小时"),
        ("二点五个小时", "二个半小时"),
        ("2.5小时", "2个半小时"),
        ("一百零五分钟", "105分钟"),
        ("一百二分钟", "120分钟"),
        ("两百五十五秒", "255秒"),
        ("一百零五个苹果", "一百零五个苹果"),
        ("音量调到百分之百", "音量调到百分之一百"),
        ("音量调到三成", "音量调到百分之三十"),
        ("音量调到两成", "音量调到百分之二十"),
        ("收成不好", "收成不好"),
        ("半夜两点", "凌晨两点"),
        ("半夜十二点", "晚上十二点"),
        ("晚上五点半", "晚上五点半"),
        ("周五晚上5点", "周五晚上5点"),
        ("夜里五点", "凌晨五点"),
        ("夜里十一点", "晚上十一点"),
        ("今夜十二点", "今晚上十二点"),
        ("ten 分钟", "10分钟"),
        ("twenty-five minutes", "25分钟"),
        ("one and a half 小时", "1个半小时"),
        ("half an hour", "半小时"),
        ("定时 an hour", "定时1小时"),
        ("调到 fifty percent", "调到50%"),
        ("提醒我 call one of them", "提醒我 call one of them"),
        ("提醒我 get ten eggs", "提醒我 get ten eggs"),
        ("【打开】“灯”……", "打开 灯"),
        ("定时：５分钟", "定时5分钟"),
    ],
)
def test_chinese(heard: str, normal: str) -> None:
    assert normalise(heard, "zh-CN") == normal


PIECES = """
    7 30 730 1.5 0 12 . : , % am pm a.m. p.m. at for alarm um uh hours minutes oz h min half ½ 1,000 - ' ’
    分钟 小时 一个半 点 晚上 十二 嗯 呃 ， 。 ％ ： １ 五 中 百 零 两 成 到 半夜
    ten twenty half an one and a percent “ 】 …
"""
TEXT = st.one_of(
    st.text(max_size=40),
    st.lists(st.sampled_from(PIECES.split()), max_size=12).flatmap(
        lambda parts: st.sampled_from(["", " "]).map(lambda between: between.join(parts))
    ),
)


@given(TEXT, st.sampled_from(["en", "zh-CN", "de", "ja"]))
def test_normalising_twice_changes_nothing(text: str, language: str) -> None:
    once = normalise(text, language)
    assert normalise(once, language) == once


def test_numbers_are_spelled_both_ways() -> None:
    english, chinese = NumberWords("en-US"), NumberWords("zh-CN")
    assert english.to_words("an 8 ounce latte at 7:30 or 1000") == "an eight ounce latte at 7:30 or 1000"
    assert english.to_digits("twenty-five of someone, one hundred") == "25 of someone, 100"
    assert chinese.to_words("定时25分钟") == "定时二十五分钟"
    assert chinese.to_digits("定时二十五分钟两次") == "定时25分钟2次"
    assert NumberWords("tlh").to_words("5") == "5"
    assert NumberWords("tlh").to_digits("five") == "five"


@given(st.integers(0, 100), st.sampled_from(["en", "zh-CN", "de"]))
def test_words_become_the_number_they_are(number: int, language: str) -> None:
    words = NumberWords(language)
    assert words.to_digits(words.to_words(str(number))) == str(number)
