from __future__ import annotations

import jiwer
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbox.bench.words import (
    Errors,
    character_errors,
    normal_characters,
    normal_words,
    word_errors,
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Press 1, please.", "press one please"),
        ("It's twenty-one, isn\u2019t it?", "its twenty one isnt it"),
        ("21 of 1,234", "twenty one of one thousand two hundred thirty four"),
        ("the 80th, 28.8 kilobit", "the eightieth twenty eight point eight kilobit"),
        ("10% & more", "ten percent and more"),
        ("Please leave your message. (tone plays)", "please leave your message"),
        ("[beep] <beep>", ""),
        ("", ""),
    ],
)
def test_texts_in_one_form(text: str, words: str) -> None:
    assert " ".join(normal_words(text)) == words


def test_edits_are_counted() -> None:
    assert word_errors("press one please", "Press 1, please!") == Errors(0, 3)
    assert word_errors("press one please", "press two") == Errors(2, 3)
    assert word_errors("", "you") == Errors(1, 0)
    total = word_errors("a b", "a b") + word_errors("a b", "")
    assert total == Errors(2, 4)
    assert total.rate == 0.5
    assert Errors(0, 0).rate == 0.0


@pytest.mark.parametrize(
    ("text", "characters"),
    [
        ("对，这就是我。", "对这就是我"),
        ("打开 Living Room 的灯！", "打开livingroom的灯"),
        ("ＡＢ１０", "ab十"),
        ("10，100个，3.5", "十一百个三点五"),
        ("1,234", "一千二百三十四"),
        ("123405, 1234", "一二三四〇五一千二百三十四"),
        ("零下五度", "〇下五度"),
        ("萬", "萬"),
        ("，。！", ""),
    ],
)
def test_chinese_in_one_form(text: str, characters: str) -> None:
    assert "".join(normal_characters(text)) == characters


def test_characters_are_counted() -> None:
    assert character_errors("今天10度", "今天十度。") == Errors(0, 4)
    assert character_errors("今天十度", "明天十") == Errors(2, 4)


_ENGLISH = st.lists(st.sampled_from(["one", "two", "ham", "eggs", "tea"]), min_size=1, max_size=8).map(" ".join)
_CHINESE = st.text("一二三你好灯开", min_size=1, max_size=8)


@given(_ENGLISH, _ENGLISH, _CHINESE, _CHINESE)
def test_as_jiwer_counts(said: str, heard: str, spoken: str, read: str) -> None:
    assert word_errors(said, heard).rate == pytest.approx(jiwer.wer(said, heard))
    assert character_errors(spoken, read).rate == pytest.approx(jiwer.cer(spoken, read))
