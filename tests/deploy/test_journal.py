"""deploy/journal.py on real journals: what an upgrade backs up, and what going back keeps."""

from __future__ import annotations

import importlib.util
import sqlite3
import stat
import time
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from agentbox.storage.journal import Journal
from agentbox.storage.schema import KNOWN

SCRIPT = Path(__file__).parents[2] / "deploy" / "journal.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("deploy_journal", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal with a turn in it and a value that a tool keeps."""
    file = tmp_path / "agentbox.db"
    Journal.open(file).close()
    add_turn(file, "one", "add milk")
    return file


def add_turn(path: Path, name: str, text: str) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute(
            "INSERT INTO turns (id, started_at, activated_by, text) VALUES (?, ?, 'control', ?)",
            (name, time.time(), text),
        )
        database.execute("INSERT INTO search (rowid, words) SELECT number, text FROM turns WHERE id = ?", (name,))
        database.execute("INSERT OR REPLACE INTO tool_store VALUES ('lists', 'shopping', ?)", (f'"{text}"',))
        database.commit()


def migrate(path: Path, statements: str) -> None:
    """A step of a version of the future."""
    with closing(sqlite3.connect(path)) as database:
        database.executescript(statements)
        (columns,) = database.execute("SELECT count(*) FROM pragma_table_info('_sqlite_migrations')").fetchone()
        row = database.execute("SELECT * FROM _sqlite_migrations LIMIT 1").fetchone()
        names = [info[1] for info in database.execute("PRAGMA table_info(_sqlite_migrations)")]
        values = dict(zip(names, row, strict=True)) | {"name": "m900_of_the_future"}
        values = {key: value for key, value in values.items() if key != "id"}
        assert columns == len(names)
        marks = ", ".join("?" * len(values))
        database.execute(
            f"INSERT INTO _sqlite_migrations ({', '.join(values)}) VALUES ({marks})", tuple(values.values())
        )
        database.commit()


def rows(path: Path, statement: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as database:
        return database.execute(statement).fetchall()


def test_nothing_is_backed_up_where_there_is_no_journal(script: ModuleType, tmp_path: Path) -> None:
    assert script.back_up(tmp_path / "agentbox.db") is None
    assert list(tmp_path.iterdir()) == []


def test_a_journal_in_use_is_backed_up_with_its_last_row(script: ModuleType, path: Path) -> None:
    with closing(sqlite3.connect(path)) as user:
        user.execute("PRAGMA journal_mode = WAL").fetchall()
        user.execute("UPDATE turns SET text = 'add butter'")
        user.commit()
        backup = script.back_up(path)
    assert rows(backup, "SELECT text FROM turns") == [("add butter",)]
    assert [file.name for file in backup.parent.iterdir()] == ["agentbox-000001.db"]
    assert stat.S_IMODE(backup.parent.stat().st_mode) == 0o700


def test_the_last_three_backups_are_kept(script: ModuleType, path: Path) -> None:
    for _ in range(5):
        script.back_up(path)
    assert [file.name for file in script.backups(path)] == [f"agentbox-00000{n}.db" for n in (3, 4, 5)]


def test_a_damaged_journal_is_no_backup(script: ModuleType, path: Path) -> None:
    script.back_up(path)
    path.write_bytes(path.read_bytes()[:4096] + b"\0" * 8192)
    with pytest.raises(sqlite3.DatabaseError):
        script.back_up(path)
    assert len(script.backups(path)) == 1


def test_a_journal_that_is_known_stays_as_it_is(script: ModuleType, path: Path) -> None:
    script.back_up(path)
    before = path.read_bytes()
    assert "nothing to do" in script.go_back(path, KNOWN)
    assert path.read_bytes() == before


def test_going_back_keeps_every_row_of_now(script: ModuleType, path: Path) -> None:
    script.back_up(path)
    migrate(path, "ALTER TABLE turns ADD COLUMN mood TEXT; CREATE TABLE moods (name TEXT);")
    with closing(sqlite3.connect(path)) as database:
        database.execute("DELETE FROM turns WHERE id = 'one'")
        database.commit()
    add_turn(path, "two", "add butter")
    assert "all its rows" in script.go_back(path, KNOWN)
    opened = Journal.open(path)
    try:
        assert not opened.in_memory
        assert [turn["text"] for turn in opened.recent()] == ["add butter"], "what was deleted stays deleted"
        assert [turn["text"] for turn in opened.search("butter", 10)] == ["add butter"]
        assert opened.search("milk", 10) == []
    finally:
        opened.close()
    assert rows(path, "SELECT value FROM tool_store") == [('"add butter"',)]
    assert b"add milk" not in path.read_bytes()
    assert not path.with_name("agentbox.db.newer").exists()


def test_rows_that_do_not_fit_are_kept_beside_the_backup(script: ModuleType, path: Path) -> None:
    script.back_up(path)
    migrate(path, "DROP TABLE replies")
    add_turn(path, "two", "add butter")
    assert "agentbox.db.newer" in script.go_back(path, KNOWN)
    assert rows(path, "SELECT text FROM turns") == [("add milk",)]
    aside = path.with_name("agentbox.db.newer")
    assert rows(aside, "SELECT text FROM turns ORDER BY number") == [("add milk",), ("add butter",)]
    Journal.open(path).close()


def test_without_a_backup_that_fits_nothing_is_changed(script: ModuleType, path: Path) -> None:
    migrate(path, "CREATE TABLE moods (name TEXT)")
    script.back_up(path)
    before = rows(path, "SELECT name FROM sqlite_master ORDER BY name")
    with pytest.raises(FileNotFoundError):
        script.go_back(path, KNOWN)
    assert rows(path, "SELECT name FROM sqlite_master ORDER BY name") == before


def test_forgetting_everything_reaches_what_upgrades_left(script: ModuleType, path: Path) -> None:
    backup = script.back_up(path)
    newer = path.with_name("agentbox.db.newer")
    script.copy(path, newer)
    assert b"add milk" in backup.read_bytes()
    journal = Journal.open(path)
    assert journal.delete_all() == 1
    journal.close()
    assert not backup.exists()
    assert not newer.exists()
