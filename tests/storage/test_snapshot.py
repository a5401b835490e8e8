"""The journal's file in a backup: whole, without what stays behind, and trusted only after a look."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlite_utils import Database

from agentbox.errors import InputError
from agentbox.storage import snapshot
from agentbox.storage.journal import Journal
from agentbox.storage.schema import migrations

PAIRED = ("paired_devices",)

LATER = "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('agentbox', 'm999_later', '2030')"


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    journal = Journal.open(tmp_path / "agentbox.db")
    journal.store("lists").put("shopping", [{"text": "milk", "done": False}])
    journal.store("paired_devices").put("d1", {"token_hash": "hash-that-stays-here"})
    return journal


def copied(journal: Journal, target: Path) -> Path:
    snapshot.copy(journal.path, target, PAIRED)
    return target


def test_a_copy_is_whole_while_the_journal_is_in_use_and_leaves_devices_out(journal: Journal, tmp_path: Path) -> None:
    copy = copied(journal, tmp_path / "copy.db")
    assert copy.stat().st_mode & 0o777 == 0o600
    data = copy.read_bytes()
    assert b"milk" in data
    assert b"hash-that-stays-here" not in data
    assert not Path(f"{copy}-wal").exists()
    snapshot.examine(copy)
    journal.close()


@pytest.mark.parametrize("step", ["m002_tool_store", "m005_audit", "m006_undertone", "m008_readings"])
def test_the_journal_of_an_older_box_is_taken_and_brought_up_to_date(tmp_path: Path, step: str) -> None:
    """As it was before `step`."""
    file = tmp_path / "old.db"
    with closing(sqlite3.connect(file)) as database:
        migrations.apply(Database(database, execute_plugins=False), stop_before=step)
    snapshot.examine(file)
    with closing(sqlite3.connect(file)) as database:
        columns = [row[1] for row in database.execute("PRAGMA table_info(transcripts)")]
    assert columns[-2:] == ["emotion", "sound_event"]


def broken(statement: str) -> Callable[[Path], None]:
    def work(file: Path) -> None:
        with closing(sqlite3.connect(file)) as database, database:
            database.executescript(statement)

    return work


def cut(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[4096 : len(data) // 2] = b"\xff" * (len(data) // 2 - 4096)
    file.write_bytes(data)


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda file: file.write_bytes(b"no database at all" * 500), "backup_damaged"),
        (lambda file: file.write_bytes(b""), "backup_invalid"),
        (cut, "backup_damaged"),
        (broken(LATER), "backup_newer"),
        (broken("DROP TABLE _sqlite_migrations"), "backup_invalid"),
        (broken("CREATE VIEW spy AS SELECT * FROM turns"), "backup_invalid"),
        (broken("CREATE TABLE more (one)"), "backup_invalid"),
        (broken("CREATE TABLE search_more (one)"), "backup_invalid"),
        (
            broken("CREATE TRIGGER spy AFTER INSERT ON turns BEGIN DELETE FROM audit; END"),
            "backup_invalid",
        ),
        (
            broken(
                "DROP TRIGGER search_follows_turns;"
                "CREATE TRIGGER search_follows_turns AFTER DELETE ON turns BEGIN DELETE FROM audit; END"
            ),
            "backup_invalid",
        ),
    ],
)
def test_what_is_no_journal_of_ours_is_refused(
    journal: Journal, tmp_path: Path, spoil: Callable[[Path], None], code: str
) -> None:
    copy = copied(journal, tmp_path / "copy.db")
    journal.close()
    spoil(copy)
    with pytest.raises(InputError) as caught:
        snapshot.examine(copy)
    assert caught.value.code == code


def test_statistics_of_sqlites_own_are_no_strangers(journal: Journal, tmp_path: Path) -> None:
    copy = copied(journal, tmp_path / "copy.db")
    journal.close()
    broken("ANALYZE")(copy)
    snapshot.examine(copy)


def test_devices_and_audit_stay_those_of_this_box(journal: Journal, tmp_path: Path) -> None:
    copy = copied(journal, tmp_path / "copy.db")
    broken(
        "INSERT INTO tool_store VALUES ('paired_devices', 'evil', '{}');"
        "INSERT INTO audit (at, device_id, device_name, address, action, target, outcome)"
        " VALUES (1, 'x', 'x', 'x', 'forged', '', 'ok')"
    )(copy)
    journal.store("lists").put("todo", [])
    snapshot.carry_over(journal.path, copy, PAIRED)
    snapshot.carry_over(journal.path, copy, PAIRED)
    with closing(sqlite3.connect(copy)) as database:
        kept = set(database.execute("SELECT namespace, key FROM tool_store").fetchall())
        assert database.execute("SELECT count(*) FROM audit").fetchone() == (0,)
    assert kept == {("lists", "shopping"), ("paired_devices", "d1")}
    journal.close()
