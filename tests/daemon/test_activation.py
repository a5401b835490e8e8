"""When words may be acted on: each mode, the wake phrase as models mishear it, and what must not open the gate."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbox.daemon.activation import Activation, Mode, Opened

PHRASES = ["hey computer", "你好小盒"]


def gate(mode: Mode = "wake_phrase") -> Activation:
    return Activation(mode, PHRASES, attention_s=6.0)


@pytest.mark.parametrize(
    ("heard", "command"),
    [
        ("Hey computer, what time is it?", "what time is it"),
        ("Hey, Computer. Set a timer for five minutes.", "Set a timer for five minutes"),
        ("Hey computer!", ""),
        ("Hay computer stop", "stop"),
        ("Um, hey computer, stop", "stop"),
        ("HEYCOMPUTER stop", "stop"),
        ("你好小盒，现在几点？", "现在几点"),
        ("你好小盒", ""),
    ],
)
def test_a_wake_phrase_opens_the_gate_and_is_taken_off(heard: str, command: str) -> None:
    opened = gate().decide(heard, None)
    assert opened is not None
    assert opened.by == "wake_phrase"
    assert opened.command == command
    assert opened.phrase in PHRASES


@pytest.mark.parametrize(
    "heard",
    [
        "",
        "...",
        "what time is it",
        "Hey, Jude",
        "The computer is on the table",
        "he computed the sum",
        "I told you that hey computer is the phrase",
        "你好",
        "小盒子在哪里",
    ],
)
def test_other_talk_does_not(heard: str) -> None:
    assert gate().decide(heard, None) is None


def test_after_a_phrase_alone_the_box_attends_for_six_seconds() -> None:
    box = gate()
    assert box.opens(100.0) is None
    box.attend(100.0)
    assert box.opens(105.9) == "attention"
    assert box.decide("what time is it", box.opens(105.9)) == Opened("attention", "what time is it")
    assert box.opens(106.0) is None


def test_always_needs_no_phrase_but_takes_one_off() -> None:
    box = gate("always")
    assert box.opens(0.0) == "always"
    assert box.decide("what time is it", "always") == Opened("always", "what time is it")
    assert box.decide("Hey computer, what time is it", "always") == Opened(
        "always", "what time is it", "hey computer", 14
    )


def test_push_to_talk_listens_only_when_pressed_and_to_one_utterance() -> None:
    box = gate("push_to_talk")
    assert not box.listening(0.0)
    assert box.decide("hey computer, what time is it", box.opens(0.0)) is None
    box.press(0.0, 8.0)
    assert box.listening(7.9)
    assert box.opens(7.9) == "push_to_talk"
    box.used()
    assert not box.listening(7.9)


def test_a_press_opens_the_gate_in_the_other_modes_too() -> None:
    box = gate()
    box.press(0.0, 8.0)
    assert box.opens(1.0) == "push_to_talk"
    box.used()
    assert box.opens(1.0) is None


@given(st.text(max_size=80))
def test_any_text_is_taken(text: str) -> None:
    found = gate().find_phrase(text)
    if found is not None:
        assert found[0] in PHRASES
        assert len(found[1]) <= len(text)


def test_who_needs_a_phrase_is_listened_to_for_it() -> None:
    box = Activation("wake_phrase", ["hey computer", "?!"], 6.0)
    wakeful = box.wakeful(None)
    assert wakeful is not None
    assert wakeful.phrases == ("hey computer",)
    assert wakeful.begins("Hey, computer, what time is it")
    assert not wakeful.begins("what time is it")
    assert box.wakeful("attention") is None
    assert Activation("always", ["hey computer"], 6.0).wakeful(None) is None
    assert Activation("wake_phrase", ["?!"], 6.0).wakeful(None) is None


def test_what_the_sound_says_of_the_phrase_counts_more_than_likeness() -> None:
    box = Activation("wake_phrase", ["jarvis"], 6.0, likeness=0.6)
    assert box.decide("service, what time is it", None) is None
    assert box.decide("jarvis, what time is it", None, "") == Opened("wake_phrase", "what time is it", "jarvis", 8)
    alike = "jervis, what time is it"
    assert box.decide(alike, None) is not None
    assert box.decide(alike, None, "") is None
    assert box.decide(alike, None, "jarvis") is not None
