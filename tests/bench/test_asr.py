"""The speech benchmarks, on a few recordings."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentbox.asr.load import load_engine
from agentbox.bench import asr
from agentbox.bench.memory import memory
from agentbox.errors import InputError

pytest.importorskip("av", reason="the extra `bench` is not installed")


@pytest.fixture(scope="module")
def clips() -> list[asr.Clip]:
    if not asr.PROMPTS.is_dir() or not asr.PROMPT_TEXTS.is_file():
        pytest.skip("the Debian packages asterisk-core-sounds-en and -g722 are not installed")
    return asr.prompts(shortest_s=3.0)


def test_the_prompts_have_words_and_are_short_enough(clips: list[asr.Clip]) -> None:
    assert len(clips) > 80
    assert all(3.0 <= clip.seconds <= asr.LONGEST_S + 0.1 for clip in clips)
    assert (
        next(clip.text for clip in clips if clip.name == "vm-toforward")
        == "Press 8 to forward the message to another user"
    )


def test_words_are_counted_on_real_prompts(clips: list[asr.Clip], models_dir: Path) -> None:
    engine = load_engine("moonshine-tiny-en", "en", models_dir, fetch_missing=False)
    few = clips[:12]
    found = asr.accuracy(engine, few)
    assert found.clips == 12
    assert found.errors.rate < 0.15
    assert found.perfect >= 6
    assert found.suppressed == 0
    assert 0.0 < found.rtf < 1.0
    assert len(found.worst) <= 5


def test_time_and_memory_are_measured(clips: list[asr.Clip], models_dir: Path) -> None:
    engine = load_engine("moonshine-tiny-en", "en", models_dir, fetch_missing=False)
    folder = models_dir / "moonshine-tiny-en"
    speed = asr.speed(engine, folder, clips[:2], rounds=1)
    assert (speed.clips, speed.rounds) == (2, 1)
    assert min(speed.ours_ms, speed.sherpa_ms, speed.ratio) > 0.0
    ours = memory("agentbox", folder, [clips[0].samples])
    assert ours.python_mb < ours.loaded_mb
    assert ours.loaded_mb - ours.python_mb > 20.0


def test_without_the_recordings_one_is_told_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError) as missing:
        asr.prompts(tmp_path / "nothing")
    assert missing.value.code == "file_missing"
    assert "apt-get install" in missing.value.todo
