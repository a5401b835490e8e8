"""The benchmark of spoken commands: what counts as understood, how noise is mixed, and what the scores tell."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from agentbox.bench.commands import Clip, Heard, Tally, by_condition, clips_of, is_right, mean_in_noise, write_scores
from agentbox.bench.mixing import loudest, mix
from agentbox.daemon.transcribe import FileCommand
from agentbox.errors import InputError
from agentbox.intents.confidence import Evidence
from agentbox.intents.decide import Decision
from agentbox.messages import Intent
from benchmarks.fit_confidence import cross_validated, fit, read_rows

EVIDENCE = Evidence(ratio=0.2, loss=0.1, margin=4.0, gain=1.0, tokens=7, same_words=True)


def intent(name: str = "orderDrink", **slots: object) -> Intent:
    return Intent(utterance_id="", name=name, slots=slots, text="", source="mine", match="spoken", score=0.9)


def heard(outcome: str, right: bool, condition: str = "6", name: str = "a.flac") -> Heard:
    label = {"intent": "orderDrink", "slots": {}}
    decision = Decision(outcome, intent(), EVIDENCE)  # type: ignore[arg-type]
    return Heard(Clip(Path("secret") / name, label), condition, decision, "what was said", 0.1, right)


def test_only_what_is_acted_on_rightly_is_understood() -> None:
    tally = Tally()
    for one in (heard("act", True), heard("act", False), heard("ask", True), heard("ask", False), heard("none", True)):
        tally.add(one)
    assert (tally.clips, tally.understood, tally.acted_wrongly, tally.asked) == (5, 1, 1, 2)
    assert len(tally.missed) == 4


def test_the_mean_is_over_the_noise_alone() -> None:
    tallies = by_condition(
        [heard("act", True, "clean"), heard("act", True), heard("none", True), heard("act", True, "9")]
    )
    assert list(tallies) == ["clean", "6", "9"]
    assert mean_in_noise(tallies) == pytest.approx(0.75)
    assert mean_in_noise(by_condition([heard("act", True, "clean")])) is None


def test_a_command_is_right_when_its_labelled_slots_are() -> None:
    label = {"intent": "orderDrink", "slots": {"size": "eight ounce"}}

    def right(found: Intent | None) -> bool:
        return is_right(FileCommand("", Decision("act", found), 1.0, 0.1), label)

    assert right(intent(size="eight ounce"))
    assert right(intent(size="8 Ounce", sugar="some"))
    assert not right(intent(size="twelve ounce"))
    assert not right(intent())
    assert not right(intent("another", size="eight ounce"))
    assert not right(None)
    assert not is_right(FileCommand("", Decision("act", intent()), 1.0, 0.1), None)


@given(st.integers(600, 4000), st.integers(10, 6000), st.sampled_from((0.0, 6.0, 24.0)), st.integers(0, 99))
def test_the_loudest_frames_are_so_far_apart(speech_size: int, noise_size: int, snr_db: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    speech = rng.normal(0, 0.2, speech_size).astype(np.float32)
    noise = rng.normal(0, 0.01, noise_size).astype(np.float32)
    mixed = mix(speech, noise, snr_db, np.random.default_rng(seed))
    assert mixed.size == speech.size
    assert np.abs(mixed).max() == pytest.approx(0.5, abs=1e-3)
    # The same stretch of noise, by the same generator.
    tiled = np.tile(noise, speech.size // noise.size + 2) if noise.size <= speech.size else noise
    start = int(np.random.default_rng(seed).integers(0, tiled.size - speech.size))
    design = np.stack([speech, tiled[start : start + speech.size]], axis=1).astype(np.float64)
    (gain, under), *_ = np.linalg.lstsq(design, mixed.astype(np.float64), rcond=None)
    ratio = loudest(speech * gain) / loudest(design[:, 1] * under)
    assert 10 * np.log10(ratio) == pytest.approx(snr_db, abs=0.1)


def test_folders_with_labels_and_without(tmp_path: Path) -> None:
    (tmp_path / "audio").mkdir()
    for name in ("b.flac", "a.wav"):
        soundfile.write(tmp_path / "audio" / name, np.zeros(160, np.float32), 16_000)
    assert [clip.path.name for clip in clips_of(tmp_path)] == ["a.wav", "b.flac"]
    assert clips_of(tmp_path)[0].label is None
    labels = {"b.flac": {"intent": "x", "slots": {}}}
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    assert clips_of(tmp_path) == [Clip(tmp_path / "audio" / "b.flac", labels["b.flac"])]
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no recordings"):
        clips_of(tmp_path / "empty")


def test_scores_tell_neither_words_nor_names_and_are_what_the_fit_reads(tmp_path: Path) -> None:
    file = tmp_path / "scores.csv"
    counts = write_scores(file, "drinks", [heard("act", True), heard("none", False, name="b.flac")])
    write_scores(file, "talk", [heard("none", False, "clean", "c.flac")])
    assert counts == {"act": 1, "none": 1}
    text = file.read_text()
    assert not any(word in text for word in ("secret", "a.flac", "said", "order"))
    assert [row["set"] for row in csv.DictReader(file.open())] == ["drinks", "drinks", "talk"]
    rows = read_rows(file)
    assert [(row.right, row.is_command) for row in rows] == [(True, True), (False, True), (False, False)]
    assert rows[0].evidence == EVIDENCE


def test_the_fit_tells_commands_from_other_speech_by_clips_it_has_not_seen(tmp_path: Path) -> None:
    file = tmp_path / "scores.csv"
    rng = np.random.default_rng(1)

    def some(name: str, right: bool, ratio: float, count: int) -> None:
        write_scores(
            file,
            name,
            [
                heard("act", right, "6", f"{name}{number}.flac")._replace(
                    decision=Decision(
                        "act", intent(), EVIDENCE._replace(ratio=ratio + float(rng.normal(0, 0.3)), same_words=False)
                    )
                )
                for number in range(count)
            ],
        )

    some("commands", True, 0.3, 80)
    some("talk", False, 2.5, 60)
    rows = read_rows(file)
    told = cross_validated(rows)
    right = np.array([row.right for row in rows])
    assert told[right].min() > 0.5 > told[~right].max()
    assert fit(rows)[1] < 0  # the worse it fits, the less likely
