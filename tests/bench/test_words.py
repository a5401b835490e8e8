from __future__ import annotations

import pytest

from agentbox.bench.words import Errors, normal_words, word_errors


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
