"""What is deleted is gone: from every table, from the search index, and from the bytes on the disk."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable

import pytest

from agentbox.storage.journal import Journal
from tests.storage.conftest import Box
from tests.storage.talk import NOW, unasked

DAY_S = 86_400.0
Keep = Callable[..., str]

SECRET = "elephantine 牛奶河马 rendezvous"
TRACES = [word.encode() for word in ("elephantine", "lephantin", "rendezvous", "牛奶", "河马", "马")]
"""The index keeps a common beginning of words only once, so that parts of the words are looked for as well."""


def _fill(journal: Journal, keep: Keep) -> list[str]:
    return [keep(journal, f"ordinary talk {number} 买面包", at=NOW + number) for number in range(30)]


def _traces(box: Box) -> list[bytes]:
    found = box.bytes_on_disk()
    return [trace for trace in TRACES if trace in found]


def _delete_by_id(journal: Journal, turn: str) -> int:
    return journal.delete([turn])


def _delete_by_time(journal: Journal, turn: str) -> int:
    return journal.delete_between(NOW + 999, NOW + 1001)


def _sweep(journal: Journal, turn: str) -> int:
    later = NOW + 90 * DAY_S + 1001
    assert [journal.sweep(later, 0.0), journal.sweep(later + 300, 300.0)] == [0, 0]
    return journal.sweep(later + 700, 700.0)


@pytest.mark.parametrize("audio", [False, True])
@pytest.mark.parametrize("way", [_delete_by_id, _delete_by_time, _sweep])
def test_no_byte_of_a_deleted_turn_is_left(
    box: Box, keep: Keep, way: Callable[[Journal, str], int], audio: bool
) -> None:
    journal = box.open(keep_audio=audio)
    if way is not _sweep:
        _fill(journal, keep)
    secret = keep(journal, SECRET, at=NOW + 1000)
    assert _traces(box) == TRACES, "the search below can find something"
    assert way(journal, secret) == 1
    assert _traces(box) == []
    assert secret.encode() not in box.bytes_on_disk()
    assert journal.search("elephantine") == journal.search("牛奶河马") == []
    assert journal.get(secret) is None
    if way is not _sweep:
        assert len(journal.search("ordinary", 100)) == 30
        assert len(journal.search("面包", 100)) == 30
    with sqlite3.connect(box.path) as database:
        for (table,) in database.execute("SELECT name FROM sqlite_master WHERE sql LIKE '%turn_id%' AND type='table'"):
            assert not database.execute(f"SELECT 1 FROM {table} WHERE turn_id = ?", [secret]).fetchall(), table
        assert not database.execute("PRAGMA foreign_key_check").fetchall()
        database.execute("INSERT INTO search (search) VALUES ('integrity-check')")


def test_delete_all_leaves_only_what_tools_keep(box: Box, keep: Keep) -> None:
    journal = box.open(keep_audio=True)
    _fill(journal, keep)
    keep(journal, SECRET)
    for one in unasked(SECRET):
        journal.record(one)
    journal.store("lists").put("shopping", ["bread"])
    assert journal.delete_all() == 31
    assert _traces(box) == []
    assert b"ordinary" not in box.bytes_on_disk()
    assert journal.recent() == []
    assert journal.store("lists").get("shopping") == ["bread"]
    with sqlite3.connect(box.path) as database:
        words = (
            "turns",
            "transcripts",
            "readings",
            "intents",
            "tool_calls",
            "replies",
            "stage_times",
            "audio",
            "notices",
        )
        for table in words:
            assert database.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table


def test_a_stretch_of_time_takes_what_was_said_unasked_and_leaves_turns_that_began_before(box: Box, keep: Keep) -> None:
    journal = box.open()
    before = keep(journal, "before", at=NOW)
    for one in unasked("inside", at=NOW + 10):
        journal.record(one)
    keep(journal, "inside", at=NOW + 10)
    with sqlite3.connect(box.path) as database:  # an answer that came after the hour struck
        database.execute("UPDATE replies SET at = ? WHERE turn_id = ?", [NOW + 10, before])
    assert journal.delete_between(NOW + 5, NOW + 20) == 1
    assert b"inside" not in box.bytes_on_disk()
    turn = journal.get(before)
    assert turn is not None
    assert [reply["text"] for reply in turn["replies"]] == ["before"]


def test_a_reader_in_the_way_only_delays_it(box: Box, keep: Keep) -> None:
    journal = box.open()
    secret = keep(journal, SECRET)
    reader = sqlite3.connect(box.path)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM turns").fetchall()
    assert journal.delete([secret]) == 1
    assert _traces(box) != []
    reader.close()
    for _ in range(100):
        if not _traces(box):
            return
        time.sleep(0.05)
    pytest.fail("the log was not cut")


def test_what_a_crash_left_of_a_deletion_is_gone_after_the_next_start(box: Box, keep: Keep) -> None:
    journal = box.open()
    secret = keep(journal, SECRET)
    reader = sqlite3.connect(box.path)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM turns").fetchall()
    journal.delete([secret])
    left = {file.name: file.read_bytes() for file in box.path.parent.iterdir() if not file.name.endswith("-shm")}
    reader.close()
    journal.close()
    for name, content in left.items():  # as the disk was at that moment
        box.path.with_name(name).write_bytes(content)
    assert _traces(box) != []
    box.open()
    assert _traces(box) == []


def test_old_turns_go_and_a_clock_that_was_never_set_does_no_harm(box: Box, keep: Keep) -> None:
    journal = box.open(retention_days=10)
    old, young = keep(journal, "old", at=NOW - 11 * DAY_S), keep(journal, "young", at=NOW - 9 * DAY_S)
    unset = keep(journal, "unset", at=5000.0)
    for one in unasked("old notice", at=NOW - 11 * DAY_S):
        journal.record(one)
    assert [journal.sweep(6000.0 + s, s) for s in (0.0, 700.0)] == [0, 0], "the clock shows 1970"
    assert [journal.sweep(NOW + s, s) for s in (1400.0, 1500.0)] == [0, 0], "right after it was set"
    assert journal.sweep(NOW + 2100.0, 2100.0) == 1
    assert {turn["id"] for turn in journal.recent()} == {young, unset}
    assert journal.get(old) is None
    assert b"old notice" not in box.bytes_on_disk()
    assert journal.sweep(NOW + 2200.0, 2200.0) == 0


def test_a_clock_years_ahead_deletes_nothing_and_what_it_stamped_is_adopted(box: Box, keep: Keep) -> None:
    journal = box.open(retention_days=10)
    old, fresh = keep(journal, "old", at=NOW - 9.9 * DAY_S), keep(journal, "fresh", at=NOW)
    assert [journal.sweep(NOW + s, s) for s in (0.0, 900.0)] == [0, 0]
    ahead = NOW + 15 * 365 * DAY_S
    journal.close()
    journal = box.open(retention_days=10)
    assert [journal.sweep(ahead + s, s) for s in range(0, 86_400, 900)] == [0] * 96
    assert box.codes == ["clock_doubted"]
    assert "5475 days ahead" in box.notices[0].what
    future = keep(journal, "future", at=ahead + DAY_S)
    assert [journal.sweep(NOW + DAY_S + s, DAY_S + s) for s in (0.0, 900.0)] == [0, 1]
    assert {turn["id"] for turn in journal.recent()} == {fresh, future}
    assert journal.get(old) is None
    turn = journal.get(future)
    assert turn is not None
    assert turn["started_at"] == NOW + DAY_S + 900.0
    assert box.codes == ["clock_doubted"]


def test_a_box_that_was_off_for_months_sweeps_again_after_two_days(box: Box, keep: Keep) -> None:
    journal = box.open(retention_days=10)
    keep(journal, "old", at=NOW)
    assert [journal.sweep(NOW + s, s) for s in (0.0, 900.0)] == [0, 0]
    journal.close()
    journal = box.open(retention_days=10)
    later = NOW + 100 * DAY_S
    deleted = [journal.sweep(later + s, s) for s in range(0, 200_000, 900)]
    assert [index * 900 // 86_400 for index, count in enumerate(deleted) if count] == [2]
    assert box.codes == ["clock_doubted"]


def test_old_notices_go_even_when_nobody_talks(box: Box) -> None:
    journal = box.open(retention_days=1)
    for one in unasked("forgotten alert", at=NOW - 2 * DAY_S):
        journal.record(one)
    assert journal.settle()
    assert [journal.sweep(NOW + s, s) for s in (0.0, 700.0)] == [0, 0]
    assert b"forgotten" not in box.bytes_on_disk()
