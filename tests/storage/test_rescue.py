"""Timers and talk are still there where the disk cannot be written or the file is damaged."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agentbox.errors import StorageError
from agentbox.storage.journal import Journal
from tests.storage.conftest import Box
from tests.storage.talk import NOW, called, heard

DAY_S = 86_400.0
Keep = Callable[..., str]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m,mode=0700", "none", str(folder)]
    if os.getuid() != 0 or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("only root, where mounting is allowed, can make a small disk")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def _read_only(folder: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)


def _full(folder: Path) -> None:
    with (folder / "ballast").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)


@pytest.mark.parametrize("spoil", [_read_only, _full])
@pytest.mark.parametrize("log", [False, True], ids=["closed", "killed"])
def test_what_is_there_can_be_read_and_timers_ring(
    disk: Path, keep: Keep, spoil: Callable[[Path], None], log: bool
) -> None:
    box = Box(disk / "agentbox.db")
    journal = box.open()
    turn = keep(journal, "buy milk")
    journal.store("timers").put("all", ["egg"])
    open_one = "c" * 32
    for one in [*heard(open_one, "half done"), called(open_one)]:
        journal.record(one)
    assert journal.settle()
    if log:
        (disk / "copy").mkdir()
        for file in ("agentbox.db", "agentbox.db-wal"):
            (disk / "copy" / file).write_bytes((disk / file).read_bytes())
        journal.close()
        box = Box(disk / "copy" / "agentbox.db")
    journal.close()
    spoil(disk)
    try:
        journal = box.open(or_in_memory=True)
        assert journal.store("timers").get("all") == ["egg"]
        if not journal.in_memory:  # a full disk with some room left in the file
            return
        assert {one["id"] for one in journal.recent()} == {turn, open_one}
        assert [one["id"] for one in journal.search("milk")] == [turn]
        assert "can be read" in box.notices[0].what
        whole = journal.get(open_one)
        assert whole is not None
        assert whole["tool_calls"][0]["state"] == "unknown"
        keep(journal, "new")
        assert len(journal.recent()) == 3
        with pytest.raises(StorageError) as caught:
            journal.delete_all()
        assert caught.value.code == "state_not_writable"
    finally:
        box.close()


def test_of_a_large_file_only_what_tools_keep_is_copied(
    disk: Path, keep: Keep, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = Box(disk / "agentbox.db")
    journal = box.open()
    keep(journal, "buy milk")
    journal.store("timers").put("all", ["egg"])
    journal.close()
    _read_only(disk)
    monkeypatch.setattr("agentbox.storage.rescue.COPY_BYTES", 1000)
    journal = box.open(or_in_memory=True)
    assert (journal.in_memory, journal.recent()) == (True, [])
    assert journal.store("timers").get("all") == ["egg"]
    assert "can be read" not in box.notices[0].what
    box.close()


def _spoil_page_of(path: Path, table: str) -> None:
    with sqlite3.connect(path) as database:
        (page,) = database.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", [table]).fetchone()
        (size,) = database.execute("PRAGMA page_size").fetchone()
    database.close()
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xa5" * size)


def _damaged(box: Box, keep: Keep, table: str = "stage_times") -> Journal:
    journal = box.open()
    for number in range(50):
        keep(journal, f"elephantine {number}")
    journal.store("timers").put("all", ["alarm at seven"])
    journal.close()
    _spoil_page_of(box.path, table)
    return box.open()


def test_timers_are_carried_over_from_a_damaged_file(box: Box, keep: Keep) -> None:
    journal = _damaged(box, keep)
    assert box.codes == ["database_damaged"]
    assert journal.store("timers").get("all") == ["alarm at seven"]
    assert journal.recent() == []
    assert len(list(box.path.parent.glob("*.corrupt-*"))) == 1, "reading it left nothing beside it"


def test_where_the_timers_themselves_are_damaged_the_box_begins_without(box: Box, keep: Keep) -> None:
    journal = _damaged(box, keep, "tool_store")
    assert journal.store("timers").items() == {}
    assert " 0 of the values" in box.notices[0].what


def test_delete_all_removes_the_copies_kept_aside(box: Box, keep: Keep) -> None:
    journal = _damaged(box, keep)
    assert b"elephantine" in box.bytes_on_disk()
    assert journal.delete_all() == 0
    assert b"elephantine" not in box.bytes_on_disk()
    assert list(box.path.parent.glob("*.corrupt-*")) == []
    assert journal.store("timers").get("all") == ["alarm at seven"]


def test_copies_kept_aside_grow_too_old(box: Box, keep: Keep) -> None:
    _damaged(box, keep).close()
    [aside] = box.path.parent.glob("*.corrupt-*")
    os.utime(aside, (5000.0, 5000.0))  # from before the clock was set
    journal = box.open(retention_days=10)
    for day in range(13):
        assert aside.exists() == (day <= 11)
        for second in (0.0, 900.0):
            journal.sweep(NOW + day * DAY_S + second, day * DAY_S + second)
