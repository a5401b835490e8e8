from __future__ import annotations

from agentbox.intents.followups import FollowUps
from agentbox.intents.understand import Understander
from agentbox.messages import Intent


def intent(name: str, slots: dict[str, object] | None = None) -> Intent:
    return Intent(utterance_id="u", name=name, slots=slots or {}, text="", source="agentbox", match="exact")


def test_nothing_was_meant_yet() -> None:
    assert FollowUps(30).context(1e9) == {}


def test_the_last_intent_is_remembered_for_a_while() -> None:
    follow_ups = FollowUps(30)
    follow_ups.note(intent("HassStartTimer", {"name": "pizza", "minutes": 5}), now=100)
    expected = {"last_intent": "HassStartTimer", "last_name": "pizza", "last_minutes": 5}
    assert follow_ups.context(100) == expected
    assert follow_ups.context(129.9) == expected
    assert follow_ups.context(130) == {}


def test_words_about_the_talk_itself_change_nothing() -> None:
    follow_ups = FollowUps(30)
    follow_ups.note(intent("HassStartTimer"), now=0)
    follow_ups.note(intent("AgentboxRepeat"), now=20)
    assert follow_ups.context(25) == {"last_intent": "HassStartTimer"}
    assert follow_ups.context(31) == {}


def test_what_was_taken_back_is_forgotten() -> None:
    follow_ups = FollowUps(30)
    follow_ups.note(intent("HassStartTimer"), now=0)
    follow_ups.forget()
    assert follow_ups.context(1) == {}


def test_no_time_to_follow_up() -> None:
    follow_ups = FollowUps(0)
    follow_ups.note(intent("HassStartTimer"), now=0)
    assert follow_ups.context(0) == {}


def test_a_conversation(english: Understander) -> None:
    follow_ups = FollowUps(30)
    understood = []
    for now, text in [
        (0, "add a towel to the packing list"),
        (10, "and also a hat"),
        (20, "set a timer for five minutes"),
        (25, "and another one for ten minutes"),
        (30, "no, make it twelve minutes"),
        (33, "make it fifteen minutes"),
        (35, "cancel that"),
        (90, "and for ten minutes"),
    ]:
        found = english.understand(text, context=follow_ups.context(now))
        if isinstance(found, Intent):
            follow_ups.note(found, now)
        understood.append((found.name, found.slots) if isinstance(found, Intent) else None)
    assert understood == [
        ("HassListAddItem", {"item": "a towel", "name": "packing"}),
        ("HassListAddItem", {"item": "hat", "name": "packing"}),
        ("HassStartTimer", {"minutes": 5}),
        ("HassStartTimer", {"minutes": 10}),
        ("AgentboxChangeTimer", {"minutes": 12}),
        ("AgentboxChangeTimer", {"minutes": 15}),
        ("AgentboxUndo", {}),
        None,
    ]
