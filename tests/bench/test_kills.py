"""What the killing benchmarks count as lost, and that they count it."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from benchmarks import journal_load, kills
from benchmarks.ledger import Found, Ledger

FULL = {"a": True, "b": True}


def _ledger(*lines: str) -> Ledger:
    ledger = Ledger()
    for line in lines:
        ledger.feed(line)
    return ledger


def _found(turns: dict[str, bool] | None = None, **values: str) -> Found:
    return Found(turns or {}, values, [])


def test_what_is_there_as_it_was_told_is_good() -> None:
    ledger = _ledger("phase open", "kept a", "kept b", "putting k v1", "put", "[ 3.1] random: crng init done")
    assert ledger.acknowledged == 3
    assert ledger.judge(_found({**FULL, "c": False}, k="v1", other="x")).good, "more than was told may be there"


@pytest.mark.parametrize("found", [_found({"a": True}), _found({"a": True, "b": False})], ids=["gone", "half"])
def test_an_acknowledged_turn_that_is_not_whole_is_lost(found: Found) -> None:
    verdict = _ledger("kept a", "kept b").judge(found)
    assert not verdict.good
    assert verdict.lost == ["b"]


def test_what_was_being_deleted_may_be_there_or_not() -> None:
    lines = ("kept a", "kept b", "deleting a b")
    for turns in (FULL, {"b": True}, {}):
        assert _ledger(*lines).judge(_found(turns)).good
    assert _ledger(*lines).judge(_found({"a": False, "b": True})).lost == ["a"], "but not half of it"


def test_what_was_deleted_does_not_come_back() -> None:
    ledger = _ledger("kept a", "kept b", "deleting a", "deleted a")
    assert ledger.judge(_found(FULL)).returned == ["a"]
    ledger = _ledger("kept a", "kept b", "deleting a")
    assert ledger.judge(_found({"b": True})).good
    assert ledger.judge(_found(FULL)).returned == ["a"], "nor what was found to be gone"


def test_a_sweep_takes_the_old_ones_only() -> None:
    assert _ledger("kept-old a", "kept b", "sweeping").judge(_found({"b": True})).good
    assert _ledger("kept-old a", "kept b", "sweeping").judge(_found({"a": True})).lost == ["b"]
    assert _ledger("kept-old a", "kept b", "sweeping", "swept").judge(_found(FULL)).returned == ["a"]


def test_a_value_is_the_one_put_last_or_the_one_being_put() -> None:
    lines = ("putting k v1", "put", "putting k v2")
    assert _ledger(*lines).judge(_found(k="v1")).good
    assert _ledger(*lines).judge(_found(k="v2")).good
    assert _ledger(*lines).judge(_found()).lost == ["k"]
    assert _ledger(*lines, "put").judge(_found(k="v1")).lost == ["k"]
    assert _ledger(*lines, "put", "dropping k").judge(_found()).good
    assert _ledger(*lines, "put", "dropping k", "dropped").judge(_found(k="v2")).returned == ["k"]


def test_what_two_killed_processes_left_open_stays_open_until_the_look() -> None:
    ledger = _ledger("kept a", "putting k v1", "put", "putting k v2", "deleting a")
    ledger.killed()
    for line in ("phase open", "kept b", "putting j w"):
        ledger.feed(line)
    assert ledger.judge(_found({"b": True}, k="v2")).good
    assert ledger.judge(_found({"b": True}, k="v1")).lost == ["k"], "the look has settled it"


def test_faults_of_the_file_are_no_good() -> None:
    assert not _ledger().judge(Found({}, {}, ["row 3 missing from index"])).good


def test_what_was_found_survives_the_wire() -> None:
    found = Found({"a": True, "b": False}, {"k": "v"}, ["x"], 12.5)
    assert Found.from_line(found.to_line()) == found


def test_a_process_is_killed_and_its_rows_are_there(tmp_path: Path) -> None:
    tally, ledger, draw = kills.Tally(), Ledger(), random.Random(1)
    for kind in ("new file", "migrate", "delete"):
        assert kills.run(kind, tmp_path / "j.db", draw, ledger, tally, []).good
    assert tally.good
    assert sum(tally.runs.values()) == 3
    assert "rows lost                   0" in tally.report()


def test_a_process_that_ends_by_itself_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "j.db").mkdir()
    tally = kills.Tally()
    told: list[str] = []
    assert not kills.kill_one(kills.load_command(tmp_path / "j.db", "write", 1), 20.0, told.append)
    assert told == ["phase open"]
    assert tally.good


def test_arguments() -> None:
    assert kills.arguments([]).n == 500
    assert kills.arguments(["--n", "3", "--seed", "9"]).seed == 9
    with pytest.raises(SystemExit):
        journal_load.arguments(["load", "x", "--activity", "dance"])
