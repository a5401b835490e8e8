"""What of a reply is said, and what a sound says."""

from __future__ import annotations

from datetime import time
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbox.config import Speech
from agentbox.daemon.manner import QUIET_VOLUME, Manner, is_quiet, manner
from agentbox.messages import Reply, Speak

NOON, NIGHT = time(12, 0), time(23, 30)
ANSWER = Reply(utterance_id="1", text="It is noon.", sound="done", outcome="done")
DEED = Reply(utterance_id="1", text="Timer set.", sound="done", outcome="done", speak="in_full")
STOPPED = Reply(utterance_id="1", text="Stopped.", sound="done", outcome="done", speak="never")
RINGS = Reply(utterance_id="", text="Your timer is done.", sound="timer", outcome="alert")
AGAIN = Reply(utterance_id="", text="", sound="timer", outcome="alert")


@pytest.mark.parametrize(
    ("verbosity", "reply", "text", "sound"),
    [
        ("full", ANSWER, "It is noon.", None),
        ("full", DEED, "Timer set.", None),
        ("full", STOPPED, "", "done"),
        ("full", RINGS, "Your timer is done.", "timer"),
        ("full", AGAIN, "", "timer"),
        ("short", ANSWER, "It is noon.", None),
        ("short", DEED, "", "done"),
        ("short", RINGS, "Your timer is done.", "timer"),
        ("sounds", ANSWER, "", "done"),
        ("sounds", DEED, "", "done"),
        ("sounds", RINGS, "", "timer"),
    ],
)
def test_by_day(verbosity: str, reply: Reply, text: str, sound: str | None) -> None:
    speech = Speech(verbosity=verbosity)  # type: ignore[arg-type]
    assert manner(reply, speech, NOON, sounds=True) == Manner(text, sound, 1.0)  # type: ignore[arg-type]
    assert manner(reply, speech, NOON, sounds=False) == Manner(text, None, 1.0)


@pytest.mark.parametrize(
    ("reply", "text", "sound", "volume"),
    [
        (ANSWER, "It is noon.", None, QUIET_VOLUME),
        (DEED, "", "done", QUIET_VOLUME),
        (RINGS, "Your timer is done.", "timer", 1.0),
    ],
)
def test_in_quiet_hours(reply: Reply, text: str, sound: str | None, volume: float) -> None:
    speech = Speech(quiet_hours="22:00-07:00")
    assert manner(reply, speech, NIGHT, sounds=True) == Manner(text, sound, volume)  # type: ignore[arg-type]


def test_who_wants_sounds_alone_gets_no_words_in_quiet_hours_either() -> None:
    speech = Speech(verbosity="sounds", quiet_hours="22:00-07:00")
    assert manner(ANSWER, speech, NIGHT, sounds=True) == Manner("", "done", QUIET_VOLUME)


@given(speak=st.sampled_from(get_args(Speak)), verbosity=st.sampled_from(["full", "short", "sounds"]))
def test_there_is_always_an_answer_to_be_heard(speak: Speak, verbosity: str) -> None:
    reply = Reply(utterance_id="1", text="Words.", sound="done", outcome="done", speak=speak)
    way = manner(reply, Speech(verbosity=verbosity), NOON, sounds=True)  # type: ignore[arg-type]
    assert bool(way.text) != (way.sound is not None)


@pytest.mark.parametrize(
    ("hours", "at", "quiet"),
    [
        ("", time(3), False),
        ("22:00-07:00", time(21, 59), False),
        ("22:00-07:00", time(22), True),
        ("22:00-07:00", time(3), True),
        ("22:00-07:00", time(7), False),
        ("13:00-15:00", time(14), True),
        ("13:00-15:00", time(15), False),
        ("00:00-00:00", time(12), False),
    ],
)
def test_quiet_hours(hours: str, at: time, quiet: bool) -> None:
    assert is_quiet(hours, at) is quiet


@given(st.times(), st.times(), st.times())
def test_it_is_quiet_either_by_night_or_by_day(begin: time, end: time, now: time) -> None:
    hours, swapped = (f"{a:%H:%M}-{b:%H:%M}" for a, b in ((begin, end), (end, begin)))
    if f"{begin:%H:%M}" != f"{end:%H:%M}":
        assert is_quiet(hours, now) != is_quiet(swapped, now)
