"""Segments as text, subtitles and JSON."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbox.daemon.captions import LINE_LETTERS, LONGEST_S, cues, join, make_writer
from agentbox.daemon.long import Segment, Word, split_words

SAYINGS = st.text("ab, 的灯é.9", max_size=200).map(lambda text: " ".join(text.split()))


def segment(text: str, start_s: float = 1.0, end_s: float = 4.0, words: tuple[Word, ...] = ()) -> Segment:
    return Segment(start_s=start_s, end_s=end_s, text=text, confidence=0.5, words=words)


@given(SAYINGS, st.floats(0, 1e5), st.floats(0.1, 60))
def test_subtitles_hold_every_letter_in_order_of_time(text: str, start_s: float, length_s: float) -> None:
    made = cues(segment(text, start_s, start_s + length_s))
    assert "".join("".join(cue.lines) for cue in made).replace(" ", "") == text.replace(" ", "")
    for cue, after in zip(made, [*made[1:], None][: len(made)], strict=True):
        assert 1 <= len(cue.lines) <= 2
        assert cue.start_s <= cue.end_s
        assert after is None or cue.end_s == pytest.approx(after.start_s)
        words = [word for line in cue.lines for _, word in split_words(line)]
        assert len(words) == 1 or cue.end_s - cue.start_s <= LONGEST_S + 0.001
        assert all(len(line) <= LINE_LETTERS or len(split_words(line)) == 1 for line in cue.lines)


@given(SAYINGS)
def test_words_are_all_of_the_text(text: str) -> None:
    split = split_words(text)
    assert "".join(word for _, word in split) == text.replace(" ", "")
    assert all(text[at : at + len(word)] == word for at, word in split)


def test_words_of_mixed_scripts() -> None:
    assert [word for _, word in split_words("打开 living room 的灯。A1好")] == [
        *("打", "开", "living", "room", "的", "灯。"),
        *("A1", "好"),
    ]


def test_a_subtitle_ends_with_a_sentence_where_one_ends_near() -> None:
    text = (
        "It was the age of wisdom, and of that. It was the age of foolishness. It was the epoch of belief, they said."
    )
    assert next(" ".join(cue.lines) for cue in cues(segment(text, 0.0, 9.0))).endswith("foolishness.")


def test_known_times_of_words_are_kept() -> None:
    words = tuple(Word(f"word{n}", 10.0 + 3 * n) for n in range(4))
    made = cues(segment("word0 word1 word2 word3", 10.0, 20.0, words))
    assert [(cue.start_s, cue.end_s, cue.lines) for cue in made] == [
        (10.0, 16.0, ("word0 word1",)),
        (16.0, 20.0, ("word2 word3",)),
    ]


def written(form: Any, *segments: Segment) -> str:
    out = io.StringIO()
    writer = make_writer(form, out.write)
    writer.begin()
    for one in segments:
        writer.segment(one)
    writer.end({"file": "x.wav"})
    return out.getvalue()


def test_subrip() -> None:
    made = written("srt", segment("Hello.", 1.0, 1.2), segment("打开灯。", 3661.0015, 3663.0))
    assert made == (
        "1\n00:00:01,000 --> 00:00:02,000\nHello.\n\n2\n01:01:01,002 --> 01:01:03,000\n打开灯。\n\n"
    )  # the first stays for a second


def test_a_short_subtitle_does_not_cover_the_next() -> None:
    assert "00:00:01,000 --> 00:00:01,400" in written("srt", segment("Yes.", 1.0, 1.2), segment("No.", 1.4, 3.0))


def test_subrip_has_its_arrow_between_times_alone() -> None:
    assert written("srt", segment("a --> b", 0.0, 2.0)).count("-->") == 1


@pytest.mark.parametrize(
    ("texts", "joined"),
    [
        (["Un café", "À demain"], "Un café À demain"),
        (["안녕하세요", "네"], "안녕하세요 네"),
        (["Привет", "мир"], "Привет мир"),
        (["打开", "灯。", "好"], "打开灯。好"),
        (["他说“好”", "打开"], "他说“好”打开"),
        (["打开", "the light", "。"], "打开 the light 。"),
        (["Été…", "Oui"], "Été… Oui"),
        ([], ""),
    ],
)
def test_texts_that_follow_one_another(texts: list[str], joined: str) -> None:
    assert join(texts) == joined


def test_webvtt_hides_no_word_in_a_mark() -> None:
    made = written("vtt", segment("a <b> & c", 0.0, 2.0))
    assert made == "WEBVTT\n\n1\n00:00:00.000 --> 00:00:02.000\na &lt;b&gt; &amp; c\n\n"


def test_json_and_text() -> None:
    one, two = segment("打开", words=(Word("打", 1.0), Word("开", 1.5))), segment("the light", 5.0, 6.0)
    found = json.loads(written("json", one, two))
    assert found["text"] == "打开 the light"
    assert found["file"] == "x.wav"
    assert found["segments"][0]["words"] == [{"text": "打", "start_s": 1.0}, {"text": "开", "start_s": 1.5}]
    assert "words" not in found["segments"][1]
    assert json.loads(written("json"))["segments"] == []
    assert written("txt", one, two) == "打开\nthe light\n"
