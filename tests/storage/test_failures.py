"""Full disks, dead processes, broken files: nothing that was acknowledged is lost, and the journal works again."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agentbox.errors import StorageError
from agentbox.storage.journal import Journal
from tests.storage.conftest import Box
from tests.storage.talk import called, heard

ROOT = Path(__file__).parents[2]
Keep = Callable[..., str]


class Obedient:
    """A journal in a process of its own (writer.py)."""

    def __init__(self, file: Path, user: int | None = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.storage.writer", str(file), "obey"],
            cwd=ROOT,
            env={**os.environ, "AS_USER": str(user or "")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, command: str) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{command}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def until(self, command: str, answer: str) -> None:
        for _ in range(200):
            if (last := self(command)) == answer:
                return
            time.sleep(0.05)
        pytest.fail(f"{command}: {last} instead of {answer}")

    def end(self) -> str:
        _, errors = self.process.communicate(timeout=20)
        return errors


@pytest.fixture
def obedient() -> Iterator[Callable[..., Obedient]]:
    started: list[Obedient] = []

    def start(file: Path, user: int | None = None) -> Obedient:
        started.append(Obedient(file, user))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.communicate()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m,mode=0700", "none", str(folder)]
    if os.getuid() != 0 or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("only root, where mounting is allowed, can make a small disk")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def _fill(disk: Path) -> Path:
    ballast = disk / "ballast"
    with ballast.open("ab", buffering=0) as file:
        for size in (65536, 4096, 512, 1):
            try:
                while file.write(b"x" * size) == size:
                    pass
            except OSError:
                continue
    return ballast


def _check(path: Path) -> None:
    with sqlite3.connect(path) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
        database.execute("INSERT INTO search (search) VALUES ('integrity-check')")


def test_on_a_full_disk_it_goes_on_and_catches_up(small_disk: Path, obedient: Callable[..., Obedient]) -> None:
    journal = obedient(small_disk / "j.db")
    journal("write")
    assert journal("settle") == "True"
    assert journal("put old") == "None"
    ballast = _fill(small_disk)
    for _ in range(300):  # past the room that the log still has
        journal("write")
    journal.until("settle", "False")
    assert journal("put " + "new" * 10_000) == "disk_full"
    assert journal("get") == "old"
    assert journal("notices") == "['disk_full']"
    ballast.unlink()
    journal.until("settle", "True")
    assert journal("turns") == "301"
    assert journal("notices") == "['disk_full', 'storage_back']"
    assert journal("put new") == "None"
    assert journal("get") == "new"
    journal("close")
    _check(small_disk / "j.db")


def test_deletion_makes_room_on_a_full_disk(small_disk: Path, obedient: Callable[..., Obedient]) -> None:
    journal = obedient(small_disk / "j.db")
    for _ in range(100):
        journal("write")
    assert journal("settle") == "True"
    ballast = _fill(small_disk)
    answer = journal("delete_all")
    assert answer in ("100", "disk_full")
    assert journal("turns") == ("0" if answer == "100" else "100"), "all or nothing"
    ballast.unlink()
    journal("delete_all")
    assert journal("turns") == "0"


def test_a_file_that_may_not_grow_is_told_and_tried_again(tmp_path: Path, obedient: Callable[..., Obedient]) -> None:
    journal = obedient(tmp_path / "j.db")
    journal("write")
    assert journal("settle") == "True"
    assert journal("put old") == "None"
    journal("limit")
    for _ in range(30):
        journal("write")
    journal.until("settle", "False")
    assert journal("put " + "new" * 100_000) == "disk_failed"
    assert journal("get") == "old"
    assert journal("notices") == "['disk_failed']"
    journal("unlimit")
    journal.until("settle", "True")
    assert journal("turns") == "31"


def test_closing_while_the_disk_fails_ends_and_says_what_is_lost(
    tmp_path: Path, obedient: Callable[..., Obedient]
) -> None:
    journal = obedient(tmp_path / "j.db")
    for _ in range(3):
        journal("write")
    assert journal("settle") == "True"
    journal("limit")
    for _ in range(300):
        journal("write")
    journal.until("settle", "False")
    assert journal("close") == "None"
    journal("exit")
    assert "rows of the journal could not be written and are lost" in journal.end()
    _check(tmp_path / "j.db")
    with sqlite3.connect(tmp_path / "j.db") as database:
        assert database.execute("SELECT count(*) FROM turns").fetchone()[0] >= 3


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize("what", ["folder", "file"])
def test_what_may_not_be_written_is_said_and_the_box_goes_on_without(
    box: Box, keep: Keep, obedient: Callable[..., Obedient], what: str
) -> None:
    # The folder must be reachable by the other user; pytest's own is not.
    folder = Path("/tmp") / f"agentbox-readonly-{os.getpid()}-{what}"
    folder.mkdir(mode=0o755)
    try:
        if what == "file":
            keep(box.open(), "hello")
            box.close()
            shutil.copy(box.path, folder / "j.db")
            (folder / "j.db").chmod(0o444)
            folder.chmod(0o777)
        journal = obedient(folder / "j.db", user=65534)
        assert journal("in_memory") == "True"
        assert journal("notices") == "['state_not_writable']"
        journal("write")
        assert journal("settle") == "True"
        assert journal("turns") == ("2" if what == "file" else "1"), "what is in the file can be read"
        assert journal("put x") == "None"
    finally:
        shutil.rmtree(folder)


def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    file = tmp_path / "j.db"
    acknowledged: list[str] = []
    for round_ in range(8):
        with subprocess.Popen(
            [sys.executable, "-m", "tests.storage.writer", str(file), "write"], cwd=ROOT, stdout=subprocess.PIPE
        ) as child:
            assert child.stdout is not None
            acknowledged += [child.stdout.readline().decode().strip() for _ in range(20 + 13 * round_)]
            child.kill()
            rest = child.stdout.read().decode()
            acknowledged += rest.split("\n")[:-1]  # the last line may be cut off
        _check(file)
        with sqlite3.connect(file) as database:
            kept = {row[0] for row in database.execute("SELECT id FROM turns")}
            replies = {row[0] for row in database.execute("SELECT turn_id FROM replies")}
        assert set(acknowledged) - kept == set()
        assert set(acknowledged) - replies == set(), "a turn was acknowledged with all its rows"
    assert len(set(acknowledged)) == len(acknowledged) >= 400


def _spoil(path: Path) -> None:
    """Overwrite every page after the first ones, as a dying disk may."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (size - 4096))


@pytest.mark.parametrize(
    "spoil",
    [_spoil, lambda path: path.write_bytes(b"this is no database" * 500)],
    ids=["pages", "no database"],
)
def test_a_file_found_damaged_at_the_start_is_kept_aside(box: Box, keep: Keep, spoil: Callable[[Path], None]) -> None:
    journal = box.open()
    keep(journal, "before")
    journal.close()
    spoil(box.path)
    spoiled = box.path.read_bytes()
    journal = box.open()
    assert box.codes == ["database_damaged"]
    assert not journal.in_memory
    [aside] = box.path.parent.glob("*.corrupt-*")
    assert aside.read_bytes() == spoiled
    assert aside.name in box.notices[0].what
    after = keep(journal, "after")
    assert [turn["id"] for turn in journal.recent()] == [after]
    journal.close()
    spoil(box.path)
    box.open()
    assert len([file for file in box.path.parent.glob("*.corrupt-*") if not file.name.endswith(("wal", "shm"))]) == 2


def _spoil_while_open(journal: Journal, box: Box) -> None:
    """Damage the file under a running journal, with nothing left in its log."""
    with sqlite3.connect(box.path) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    _spoil(box.path)


def test_damage_found_while_it_runs_loses_nothing_that_comes_after(box: Box, keep: Keep) -> None:
    journal = box.open()
    for number in range(300):  # more than SQLite keeps of it in memory
        keep(journal, f"before {number} " + "word " * 200)
    turn = "a" * 32
    for one in heard(turn, "under way"):
        journal.record(one)
    assert journal.settle()
    _spoil_while_open(journal, box)
    journal.record(called(turn))
    after = keep(journal, "after")
    assert [one["id"] for one in journal.recent()] == [after]
    assert box.codes == ["database_damaged"]
    assert len(list(box.path.parent.glob("*.corrupt-*"))) >= 1
    assert journal.store("lists").get("x") is None
    _check(box.path)


def test_a_tool_that_finds_the_damage_can_keep_its_value(box: Box) -> None:
    journal = box.open()
    store = journal.store("lists")
    for number in range(2000):
        store.put(f"list {number}", "word " * 300)
    _spoil_while_open(journal, box)
    store.put("list 7", ["milk"])
    assert store.items() == {"list 7": ["milk"]}
    assert box.codes == ["database_damaged"]


def test_upkeep_finds_damage_that_nobody_has_met(box: Box, keep: Keep) -> None:
    journal = box.open()
    for number in range(100):
        keep(journal, f"before {number} " + "word " * 200)
    assert journal.tend() == box.path.stat().st_size
    assert Path(f"{box.path}-wal").stat().st_size == 0
    assert box.codes == []
    _spoil_while_open(journal, box)
    with pytest.raises(StorageError) as caught:
        journal.tend()
    assert caught.value.code == "database_damaged"
    after = keep(journal, "after")
    assert [one["id"] for one in journal.recent()] == [after]
    assert box.codes == ["database_damaged"]


def test_a_damaged_file_that_another_process_uses_is_left_alone(box: Box, keep: Keep) -> None:
    keep(box.open(), "before")
    _spoil(box.path)
    other = Box(box.path)
    with pytest.raises(StorageError) as caught:
        other.open()
    assert caught.value.code == "database_damaged"
    assert list(box.path.parent.glob("*.corrupt-*")) == []


def test_a_locked_file_delays_and_loses_nothing(box: Box, keep: Keep) -> None:
    journal = box.open()
    keep(journal, "before")
    blocker = sqlite3.connect(box.path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    for one in heard("b" * 32, "meanwhile"):
        journal.record(one)
    assert journal.settle(0.2) is False
    with pytest.raises(StorageError):
        journal.store("lists").put("x", 1)
    blocker.execute("ROLLBACK")
    blocker.close()
    assert any(journal.settle(1.0) for _ in range(10))
    assert len(journal.recent()) == 2
    assert journal.store("lists").get("x") is None
