"""The wake benchmark: its rules on made-up scores, and a small run over the spoken sample."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import agentbox
from agentbox.asr.wake import FIRST_LOOK_MS, LAST_LOOK_MS, PRIOR_WEIGHT, PhraseScore, last_look_ms, threshold
from agentbox.audio.vad import SileroVad
from agentbox.bench.recordings import read_sound, sound_files
from agentbox.bench.wake import Look, Measured, Recorder, Scored, Trial, in_noise, looks, phrase_of
from agentbox.bench.wake_counts import detections, poisson, row, wilson
from agentbox.cli import main
from agentbox.errors import InputError
from agentbox.messages import SAMPLE_RATE_HZ

SAMPLE = Path(agentbox.__file__).parent / "samples" / "commands.flac"
PHRASES = ("what time is it", "cancel the pizza timer")
PRIORS = (-10.0, -20.0)


@pytest.fixture(scope="module")
def vad(models_dir: Path) -> SileroVad:
    return SileroVad(next((models_dir / "silero-vad-16k").glob("*.onnx")))


class Fake:
    """A scorer that finds the first phrase in everything, or nothing at all, and counts how often it is asked."""

    phrases = PHRASES
    priors = PRIORS
    last_look_ms = last_look_ms(PHRASES)

    def __init__(self, logprob: float) -> None:
        self.logprob = logprob
        self.asked: list[int] = []

    def look(self, samples: NDArray[np.float32]) -> tuple[PhraseScore, ...]:
        self.asked.append(samples.size)
        return tuple(PhraseScore(phrase, self.logprob, 0.0) for phrase in PHRASES)


def scored(*utterances: list[list[float | None]], at: int = 0) -> Scored:
    return Scored(3600.0, [[Look(at + number, one) for number, one in enumerate(looked)] for looked in utterances], [])


def logprob(phrase: int, above: float) -> float:
    """That gives evidence so much above the threshold."""
    return threshold(0.5) + above + PRIOR_WEIGHT * PRIORS[phrase]


def test_the_sample_is_looked_at_as_the_daemon_would(vad: SileroVad) -> None:
    found = list(looks(read_sound(SAMPLE), vad))
    assert len(found) > 10
    for first, ends in found:
        lengths = [(end - first) * 1000 / SAMPLE_RATE_HZ for end in ends]
        assert lengths == sorted(lengths)
        assert all(length <= LAST_LOOK_MS for length in lengths)
    long = [ends for first, ends in found if ends and (ends[-1] - first) * 1000 / SAMPLE_RATE_HZ > 2100]
    assert all(len(ends) >= 5 for ends in long)
    assert all((ends[0] - first) * 1000 / SAMPLE_RATE_HZ >= FIRST_LOOK_MS / 2 for first, ends in found if ends)


def test_scores_are_remembered_by_content(vad: SileroVad, tmp_path: Path) -> None:
    sound = read_sound(SAMPLE)[: 8 * SAMPLE_RATE_HZ]
    first, second = Fake(-1.0), Fake(-2.0)
    one = Recorder("x", first, vad, tmp_path).score(sound)  # type: ignore[arg-type]
    assert first.asked
    assert Recorder("x", second, vad, tmp_path).score(sound) == one  # type: ignore[arg-type]
    assert not second.asked
    Recorder("another", second, vad, tmp_path).score(sound)  # type: ignore[arg-type]
    assert second.asked


def test_a_scout_looks_once_where_nothing_is_near(vad: SileroVad) -> None:
    sound = read_sound(SAMPLE)[: 8 * SAMPLE_RATE_HZ]
    nothing, something = Fake(-float("inf")), Fake(-1.0)
    quick = Recorder("x", nothing, vad).score(sound, scout=True)  # type: ignore[arg-type]
    full = Recorder("x", something, vad).score(sound, scout=True)  # type: ignore[arg-type]
    assert [len(one) for one in quick.utterances] == [1] * len(quick.utterances)
    assert sum(len(one) for one in full.utterances) > 2 * len(full.utterances)
    assert all(value is None for one in quick.utterances for look in one for value in look.logprobs)


def test_one_detection_an_utterance_and_the_first_counts() -> None:
    both = scored(
        [[None, None], [logprob(0, 2.0), None], [None, logprob(1, 5.0)]], [[logprob(1, 0.1), None], [None, None]]
    )
    assert detections(both, PHRASES, PRIORS, 0.5) == [(PHRASES[0], 1)]
    swapped = scored([[logprob(0, -0.5), logprob(1, 0.1)]])
    assert detections(swapped, PHRASES, PRIORS, 0.5) == [(PHRASES[1], 0)]
    assert detections(swapped, PHRASES, PRIORS, 0.0) == []


def test_misses_delays_and_false_accepts_are_counted() -> None:
    heard, missed = scored([[logprob(0, 1.0), None]], at=16_000), scored([[None, None]])
    crossed = scored([[logprob(0, 1.0), None]])
    found = row(
        Measured(
            PHRASES,
            PRIORS,
            [
                Trial(PHRASES[0], "clean", heard, 8_000),
                Trial(PHRASES[0], "clean", missed, 8_000),
                Trial(PHRASES[1], "clean", crossed, 8_000),
            ],
            {"real speech": [heard, missed]},
        ),
        0.5,
    )
    assert [(one.phrase, one.clips, one.missed) for one in found.misses] == [
        (PHRASES[0], 2, 1),
        (PHRASES[1], 1, 1),
        ("all", 3, 2),
        ("all", 3, 2),
    ]
    assert found.delay_ms == [500.0]
    assert [(one.kind, one.hours, one.count) for one in found.false_accepts] == [
        ("real speech", 2.0, 1),
        ("other phrases", 3.0, 1),
    ]


def test_intervals_are_those_of_the_tables() -> None:
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert wilson(5, 100) == pytest.approx((0.0215, 0.1118), abs=1e-4)
    assert poisson(0) == pytest.approx((0.0, 3.6889), abs=1e-3)
    assert poisson(3) == pytest.approx((0.6187, 8.7673), abs=1e-3)
    assert poisson(100) == pytest.approx((81.364, 121.627), abs=1e-2)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 300), st.integers(0, 200))
def test_intervals_hold_what_was_counted(hits: int, more: int) -> None:
    low, high = wilson(hits, hits + more)
    assert hits + more == 0 or low - 1e-9 <= hits / (hits + more) <= high + 1e-9
    low, high = poisson(hits)
    assert low <= hits <= high


def test_noise_is_mixed_by_the_benchmarks_rule() -> None:
    draw = np.random.default_rng(1)
    speech = (draw.standard_normal(16_000) * 3000).astype(np.int16)
    quiet = in_noise(speech, np.zeros(40_000, np.int16), 10.0, draw)
    assert np.abs(quiet).max() == pytest.approx(32767 / 2, abs=2)
    noise = (draw.standard_normal(40_000) * 50).astype(np.int16)
    mixed = in_noise(speech, noise, 10.0, draw).astype(np.float64)
    scale = float(np.dot(mixed, speech) / np.dot(speech.astype(np.float64), speech))
    under = mixed - scale * speech
    ratio_db = 10 * np.log10(np.square(scale * speech).mean() / np.square(under).mean())
    assert ratio_db == pytest.approx(10.0, abs=1.5)


def test_folders_name_their_phrases() -> None:
    assert phrase_of(Path("x/smart_mirror")) == phrase_of(Path("x/smart mirror")) == "smart mirror"


def test_a_folder_without_sound_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError) as missing:
        sound_files(tmp_path)
    assert missing.value.code == "file_missing"


def test_the_command_measures_the_sample(models_dir: Path, tmp_path: Path) -> None:
    sound = read_sound(SAMPLE)
    talk = tmp_path / "talk"
    talk.mkdir()
    for phrase, start_s in zip(PHRASES, (0.6, 44.0), strict=True):
        folder = tmp_path / "words" / phrase.replace(" ", "_")
        folder.mkdir(parents=True)
        clip = sound[int(start_s * SAMPLE_RATE_HZ) : int((start_s + 3) * SAMPLE_RATE_HZ)]
        soundfile.write(folder / "1.flac", clip, SAMPLE_RATE_HZ)
    soundfile.write(talk / "1.flac", sound[28 * SAMPLE_RATE_HZ : 39 * SAMPLE_RATE_HZ], SAMPLE_RATE_HZ)
    shutil.copy(talk / "1.flac", tmp_path / "noise.flac")
    config = tmp_path / "config.yaml"
    config.write_text(json.dumps({"asr": {"models_dir": str(models_dir)}}))
    arguments = ["bench", "wake", str(tmp_path / "words"), "--noise", str(tmp_path / "noise.flac"), "--json"]
    more = ["--negatives", str(talk), "--synthetic", str(talk), "--sensitivity", "0.5", "--config", str(config)]
    done = CliRunner().invoke(main, [*arguments, *more])
    assert done.exit_code == 0, done.output
    found = json.loads(done.output)
    assert [(one["phrase"], one["clips"]) for one in found["misses"] if one["condition"] == "clean"] == [
        (PHRASES[1], 1),
        (PHRASES[0], 1),
        ("all", 2),
    ]
    assert sum(one["missed"] for one in found["misses"] if one["condition"] == "clean") == 0
    assert [(one["kind"], one["count"]) for one in found["false_accepts"]] == [
        ("real speech", 0),
        ("synthetic talk", 0),
        ("other phrases", 0),
    ]
    assert all(-1500 < delay < 1500 for delay in found["delay_ms"])
    shown = CliRunner().invoke(main, [*arguments[:-1], "--sensitivity", "0.5", "--config", str(config)])
    assert "False accepts" in shown.output
    assert "0/2" in shown.output
