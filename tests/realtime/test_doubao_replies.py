"""Which answer is wanted: turns, interruptions, and names that come late."""

from __future__ import annotations

from agentbox.realtime.doubao_replies import Replies
from agentbox.realtime.events import AnswerSound, AnswerStarted, AnswerText


def ids(number: int) -> dict[str, object]:
    return {"question_id": f"q_{number}", "reply_id": f"r_{number}"}


def asked() -> Replies:
    replies = Replies()
    ask(replies)
    return replies


def ask(replies: Replies) -> None:
    replies.asked()
    replies.awaited()


def test_an_answer_that_nobody_waits_for_is_not_told_then_or_later() -> None:
    replies = asked()
    replies.drop()
    assert replies.told(ids(1), "late") == []
    ask(replies)
    assert replies.told(ids(1), "later") == []
    assert replies.told(ids(2), "Yes?") == [AnswerStarted("r_2"), AnswerText("r_2", "Yes?")]


def test_the_answer_to_another_question_is_not_told() -> None:
    replies = asked()
    replies.named("q_2")
    assert replies.told(ids(1), "late") == []
    assert replies.told(ids(2), "Yes?") != []


def test_a_question_that_is_named_after_it_was_dropped_stays_dropped() -> None:
    replies = asked()
    replies.drop()
    ask(replies)
    replies.named("q_1")
    assert replies.told(ids(1), "late") == []
    replies.named("q_2")
    assert replies.told(ids(2), "Yes?") != []


def test_a_spoken_turn_without_words_gets_no_name() -> None:
    replies = asked()
    replies.speech_ended()
    replies.drop()
    ask(replies)
    replies.named("q_2", spoken=True)
    replies.speech_ended()
    assert replies.told(ids(2), "Yes?") != []


def test_the_sound_of_a_sentence_that_is_not_wanted_is_not_told() -> None:
    replies = asked()
    assert replies.sentence(ids(1), "A story.") == [AnswerStarted("r_1")]
    assert replies.sound(b"\1\2") == [AnswerSound("r_1", b"\1\2")]
    replies.drop()
    ask(replies)
    assert replies.sentence(ids(1), "It goes on.") == []
    assert replies.sound(b"\1\2") == []


def test_an_answer_can_be_cut_until_the_next_turn_is_asked() -> None:
    replies = asked()
    replies.sentence(ids(1), "A story.")
    replies.sound(bytes(480))
    replies.ended(ids(1))
    replies.asked()
    assert (replies.reply_id, replies.sound_bytes) == ("r_1", 480)
    replies.awaited()
    assert (replies.reply_id, replies.sound_bytes) == ("", 0)


def test_another_session_names_its_own_questions() -> None:
    replies = asked()
    replies.reset()
    ask(replies)
    replies.named("q_1")
    assert replies.told(ids(1), "Yes?") != []
