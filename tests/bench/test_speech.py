"""The benchmark of the voice: what it lets the box say, and what it counts."""

from __future__ import annotations

from pathlib import Path

from agentbox.asr.load import load_engine
from agentbox.bench import speech
from agentbox.bench.words import normal_words, word_errors
from agentbox.config import Speech
from agentbox.tools.phrases import load
from agentbox.tts.load import load_voice


def test_replies_are_of_all_kinds_and_whole() -> None:
    replies = speech.replies(200)
    assert len(set(replies)) == 200
    assert replies == speech.replies(200)
    assert not any("{" in reply for reply in replies)
    for key in ("timer_rings", "alarm_set", "list_added", "not_understood", "volume_set", "date"):
        begin = load("en")[key].partition("{")[0]
        assert any(reply.startswith(begin) for reply in replies), key


def test_it_says_hears_and_counts(models_dir: Path, tmp_path: Path) -> None:
    voice = load_voice(Speech(voice="hibari"), "en", tmp_path)
    said = speech.say(voice, ["Your timer is done.", "It is Sunday, December 6, 2026."])
    assert all(0 < one.first_ms <= one.spent_ms and one.sound.size > voice.sample_rate_hz for one in said)
    engine = load_engine("moonshine-tiny-en", "en", models_dir)
    assert [wrong.edits for _, _, wrong in speech.heard(engine, voice, said)] == [0, 0]
    swapped = [said[0]._replace(text="Your kettle is done.")]
    assert [wrong.edits for _, _, wrong in speech.heard(engine, voice, swapped)] == [1]


def test_memory_is_that_of_a_process_of_its_own(tmp_path: Path) -> None:
    used = speech.memory(tmp_path)
    assert 5 < used.resting_mb <= used.spoken_mb + 1
    assert used.resting_mb < 40, "the budget of DESIGN for a voice"


def test_half_days_are_one_word() -> None:
    assert normal_words("7:05 AM") == normal_words("7:05 a.m.") == normal_words("7:05 a m") == normal_words("7:05am")
    assert word_errors("I am here", "I am here").edits == 0
    assert normal_words("I am a man") == ["i", "am", "a", "man"]
