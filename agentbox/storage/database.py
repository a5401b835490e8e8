"""Opening the file: its settings, its migrations, and what happens when it is damaged."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from pathlib import Path
from types import TracebackType

from sqlite_utils import Database

from agentbox.errors import StorageError
from agentbox.messages import Notice
from agentbox.paths import prepare
from agentbox.storage.schema import migrations

BUSY_MS = 5000

_DAMAGED = ("malformed", "not a database", "file is encrypted", "disk image")


def is_damage(error: sqlite3.DatabaseError) -> bool:
    """Whether the file itself is broken, and not the disk full or the file locked."""
    return any(sign in str(error) for sign in _DAMAGED)


def open_database(path: Path) -> tuple[Database, Notice | None]:
    """The database at `path`, made or brought up to date; a damaged one is kept aside and a fresh one started,
    which the notice tells.

    Raises `StorageError` `state_not_writable`, `database_failed`.
    """
    prepare(path.parent)
    try:
        return _open(path), None
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise storage_failed(path, error) from error
    notice = set_aside(path)
    try:
        return _open(path), notice
    except sqlite3.DatabaseError as error:
        raise storage_failed(path, error) from error


def open_memory() -> Database:
    """A database that forgets at exit: the box goes on where its disk cannot be written."""
    database = Database(sqlite3.connect(":memory:", check_same_thread=False))
    database.execute("PRAGMA foreign_keys = ON")
    migrations.apply(database)
    return database


def open_for_reading(path: Path) -> Database:
    """A connection of its own that changes nothing. Raises `StorageError` `database_failed`."""
    try:
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=BUSY_MS / 1000)
        database = Database(connection)
        database.execute("SELECT 1 FROM turns LIMIT 1").fetchone()
    except sqlite3.DatabaseError as error:
        raise storage_failed(path, error) from error
    return database


def set_aside(path: Path) -> Notice:
    """Move a damaged file and its companions out of the way; what can be saved of it can still be saved."""
    aside = path.with_name(f"{path.name}.corrupt-{time.strftime('%Y%m%dT%H%M%S')}")
    for suffix in ("", "-wal", "-shm"):
        companion = Path(f"{path}{suffix}")
        if companion.exists():
            companion.rename(f"{aside}{suffix}")
    return Notice(
        code="database_damaged",
        what=f"The journal {path.name} was damaged. It is kept as {aside.name}, and a new one was begun.",
        todo=f"What can be saved: sqlite3 {aside.name} .recover",
        level="error",
    )


def storage_failed(path: Path, error: sqlite3.Error) -> StorageError:
    """`error` as one that a person can act on."""
    text = str(error)
    if "readonly" in text or "unable to open" in text:
        todo = "Give this user write access to the folder, or set storage.path."
        return StorageError("state_not_writable", f"The journal {path} cannot be written.", todo)
    if "full" in text or "disk I/O" in text:
        todo = "Make room on the disk: agentbox transcripts delete, or lower storage.retention_days."
        return StorageError("disk_full", f"The journal {path} cannot grow: the disk is full.", todo)
    return StorageError("database_failed", f"The journal {path} cannot be used: {text}.", "Run: agentbox doctor")


class StorageErrors(contextlib.AbstractContextManager[None]):
    """Turns SQLite's errors inside the block into `StorageError`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, sqlite3.Error):
            raise storage_failed(self._path, error) from error


def _open(path: Path) -> Database:
    if not path.exists():
        # Made by us before SQLite does, or others could read it for a moment; -wal and -shm follow its mode.
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise sqlite3.OperationalError("unable to open database file") from error
    connection = sqlite3.connect(path, timeout=BUSY_MS / 1000, check_same_thread=False)
    try:
        database = Database(connection)
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "secure_delete = ON"):
            database.execute(f"PRAGMA {pragma}")
        (verdict,) = database.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError("database disk image is malformed")
        migrations.apply(database)
    except BaseException:
        connection.close()
        raise
    return database
