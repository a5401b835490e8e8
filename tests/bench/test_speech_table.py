"""The table of errors, time and memory beside other programs: what it counts."""

from __future__ import annotations

import time

import numpy as np
import pytest

from agentbox.bench.words import Errors
from benchmarks.rivals import OURS, Decode
from benchmarks.speech_clips import CHINESE, Said
from benchmarks.speech_table import JUDGES, Row, agreed, errors, hear, report, simplified
from benchmarks.voices import Sound


def clip(text: str, seconds: float = 1.0) -> Said:
    return Said("a", np.zeros(int(seconds * 16_000), dtype=np.float32), text, "given" if text else "agreed")


def row(model: str, clips: list[Said], mine: list[str], theirs: list[str] | None = None) -> Row:
    texts = {OURS: mine, "other": theirs or mine}
    return Row(model, clips, texts, {OURS: [0.5] * len(clips), "other": [1.0, *[0.5] * (len(clips) - 1)]})


def test_both_hear_every_clip_in_turns_after_warming_up(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(100))
    monkeypatch.setattr(time, "process_time", lambda: next(now))
    heard: list[str] = []

    def program(name: str, said: str) -> Decode:
        def decode(samples: Sound, language: str) -> str:
            heard.append(f"{name}{samples.size}{language}")
            return said

        return decode

    found = Row("m", [clip("", 1 / 16_000), clip("", 2 / 16_000)])
    hear(found, {"a": program("a", "x"), "b": program("b", "y")}, "en")
    assert heard == ["a1en", "b1en", "b1en", "a1en", "a2en", "b2en"]
    assert found.texts == {"a": ["x", "x"], "b": ["y", "y"]}
    assert found.seconds == {"a": [1, 1], "b": [1, 1]}


def test_times_and_their_ratio() -> None:
    found = row("m", [clip(""), clip("", 3.0), clip("")], ["One, two", "b", "你"], ["one two!", "c", "你。"])
    assert (found.rtf(OURS), found.rtf("other"), found.ratio(), found.same()) == (0.3, 0.4, 1.0, 2)


def test_errors_against_what_is_said() -> None:
    found = row("m", [clip("press one"), clip("press two")], ["Press 1.", "press"])
    assert errors(found, OURS, [found], chinese=False) == Errors(1, 4)
    chinese = row("m", [clip("打开客厅的灯")], ["打開客廳的等"])
    assert errors(chinese, OURS, [chinese], chinese=True) == Errors(1, 6)
    assert simplified("萬歲") == "万岁"


def test_where_nobody_tells_the_text_two_models_do_and_are_not_held_to_it() -> None:
    clips = [clip(""), clip(""), clip("")]
    judges = [row(JUDGES[0], clips, ["One tea", "two", ""]), row(JUDGES[1], clips, ["one tea.", "too", ""])]
    third = row("m", clips, ["won tea", "two", "hm"])
    rows = [*judges, third]
    assert [agreed(rows, at) for at in range(3)] == ["One tea", None, None]
    assert agreed([judges[0], third], 0) is None
    assert errors(third, OURS, rows, chinese=False) == Errors(1, 2)
    assert errors(judges[0], OURS, rows, chinese=False) is None
    assert errors(third, OURS, rows, chinese=True) is None
    assert list(report(rows, chinese=False))[-1] == (
        "| m (other) | 3 | 3 | 50.0% of 2 | 50.0% of 2 | 0.500 | 0.667 | 1.00 | 3 |"
    )


def test_every_chinese_text_says_who_tells_it() -> None:
    assert all(source in ("given", "agreed") and (text or source == "agreed") for text, source in CHINESE.values())
