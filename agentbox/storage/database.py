"""Opening the file: its settings, its migrations, and what happens when it is damaged."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import time
from pathlib import Path

from sqlite_utils import Database

from agentbox.errors import StorageError
from agentbox.messages import Notice
from agentbox.paths import prepare
from agentbox.storage import rescue
from agentbox.storage.schema import is_foreign, is_newer, migrations

OPENING_BUSY_MS = 5000
BUSY_MS = 1000
"""How long a statement waits for another process. A tool's store is used from the event loop, so it is short."""

QUICK_CHECK_BYTES = 64_000_000
"""A file larger than this is checked at the start only after a crash: reading it all would take seconds."""


class Presence:
    """Tells other processes that this one uses the journal, by a lock on a file beside it (`<journal>-lock`).

    Whoever finds nobody else may judge what a crash left behind, and move a damaged file away.
    """

    def __init__(self, path: Path) -> None:
        """Raises `StorageError` `state_not_writable`."""
        try:
            self._fd = os.open(f"{path}-lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise not_writable(path) from error

    def alone(self) -> bool:
        """Whether no other process uses the journal; then none can begin to, until `share`."""
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fcntl.flock(self._fd, fcntl.LOCK_SH)
            return False
        return True

    def share(self) -> None:
        fcntl.flock(self._fd, fcntl.LOCK_SH)

    def leave(self) -> None:
        fcntl.flock(self._fd, fcntl.LOCK_UN)

    def close(self) -> None:
        os.close(self._fd)


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file itself is broken, and not the disk full or the file locked."""
    return _code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def open_database(path: Path, *, alone: bool) -> tuple[Database, Notice | None]:
    """The database at `path`, made or brought up to date. Who is `alone` with a damaged one keeps it aside and
    starts a fresh one, which the notice tells.

    Raises `StorageError` `state_not_writable`, `disk_full`, `disk_failed`, `database_damaged`, `database_foreign`,
    `database_newer`, `database_failed`.
    """
    try:
        return _open(path), None
    except sqlite3.Error as error:
        if not (is_damage(error) and alone):
            raise storage_failed(path, error) from error
    return begin_anew(path)


def begin_anew(path: Path) -> tuple[Database, Notice]:
    """Keep the damaged file at `path` aside, and begin a fresh one with what tools kept, as far as it can be read.

    Raises `StorageError` as `open_database` does.
    """
    aside = _set_aside(path)
    try:
        database = _open(path)
        values: list[rescue.Value] = []
        with contextlib.suppress(sqlite3.Error), contextlib.closing(rescue.open_read_only(aside)) as damaged:
            values = rescue.tool_values(damaged)
        rescue.keep_tool_values(database, values)
    except sqlite3.Error as error:
        raise storage_failed(path, error) from error
    notice = Notice(
        code="database_damaged",
        what=f"The journal {path.name} was damaged. It is kept as {aside.name}, and a new one was begun "
        f"with {len(values)} of the values that tools keep (timers, lists).",
        todo=f"What else can be saved: sqlite3 {aside.name} .recover",
        level="error",
    )
    return database, notice


def open_memory(path: Path) -> tuple[Database, bool]:
    """A database that forgets at exit: the box goes on where its disk cannot be written, with what it can read of the
    file at `path`: all of it or, of a large or damaged one, what tools keep. Whether turns were copied."""
    values: list[rescue.Value] = []
    with contextlib.suppress(sqlite3.Error, OSError), contextlib.closing(rescue.open_read_only(path)) as source:
        known = Database(source, execute_plugins=False)
        if is_foreign(known):
            raise sqlite3.DatabaseError("not a journal")
        if path.stat().st_size <= rescue.COPY_BYTES and not is_newer(known):
            with contextlib.suppress(sqlite3.Error):
                database = _memory()
                source.backup(database.conn)
                check(database)
                migrations.apply(database)
                return database, True
        values = rescue.tool_values(source)
    database = _memory()
    migrations.apply(database)
    rescue.keep_tool_values(database, values)
    return database, False


def _memory() -> Database:
    database = Database(sqlite3.connect(":memory:", check_same_thread=False), execute_plugins=False)
    for pragma in ("foreign_keys = ON", "secure_delete = ON"):
        database.execute(f"PRAGMA {pragma}")
    return database


def open_for_reading(path: Path) -> Database:
    """A connection of its own that changes nothing. Raises `sqlite3.Error`."""
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_MS / 1000)
    return Database(connection, execute_plugins=False)


def _set_aside(path: Path) -> Path:
    """Move a damaged file and its companions out of the way; its new place."""
    stamp = time.strftime("%Y%m%dT%H%M%S")
    aside = path.with_name(f"{path.name}.corrupt-{stamp}")
    count = 1
    while aside.exists():
        count += 1
        aside = path.with_name(f"{path.name}.corrupt-{stamp}-{count}")
    try:
        for suffix in ("", "-wal", "-shm"):
            companion = Path(f"{path}{suffix}")
            if companion.exists():
                companion.rename(f"{aside}{suffix}")
    except OSError as error:
        raise not_writable(path) from error
    return aside


def storage_failed(path: Path, error: sqlite3.Error) -> StorageError:
    """`error` as one that a person can act on."""
    code = _code(error)
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return not_writable(path)
    if code == sqlite3.SQLITE_FULL:
        what = f"The journal {path} cannot grow: the disk is full."
        return StorageError("disk_full", what, "Make room on the disk. Lower storage.retention_days to keep less.")
    if code == sqlite3.SQLITE_IOERR:
        what = f"The disk failed while the journal {path} was read or written."
        return StorageError("disk_failed", what, "Is it full, over its quota, or broken? The kernel's log tells: dmesg")
    if is_damage(error):
        todo = "A running box keeps it aside and begins a new one; agentbox doctor tells more."
        return StorageError("database_damaged", f"The journal {path} is damaged.", todo)
    return StorageError("database_failed", f"The journal {path} cannot be used: {error}.", "Run: agentbox doctor")


def not_writable(path: Path) -> StorageError:
    """That the file or its folder is not this user's to write."""
    todo = "Give this user write access to the folder and the file, or set storage.path."
    return StorageError("state_not_writable", f"The journal {path} cannot be written.", todo)


def _code(error: sqlite3.Error) -> int:
    """SQLite's primary result code; 0 for an error of the Python module's own."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _open(path: Path) -> Database:
    prepare(path.parent)
    try:
        # Made by us before SQLite does, or others could read it for a moment; -wal and -shm follow its mode.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        size = path.stat().st_size
    except OSError as error:
        raise not_writable(path) from error
    crashed = Path(f"{path}-wal").exists()
    connection = sqlite3.connect(path, timeout=OPENING_BUSY_MS / 1000, check_same_thread=False)
    try:
        database = Database(connection, execute_plugins=False)
        _refuse_strangers(path, database)
        _close_to_others(path)
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "secure_delete = ON"):
            database.execute(f"PRAGMA {pragma}").fetchall()
        if crashed or size <= QUICK_CHECK_BYTES:
            check(database)
        migrations.apply(database)
        # Says now whether the file can be written, and cuts off what a crash left of deleted rows in the log.
        database.execute("BEGIN IMMEDIATE")
        database.rollback()
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        database.execute(f"PRAGMA busy_timeout = {BUSY_MS}").fetchall()
    except BaseException:
        connection.close()
        raise
    return database


def _refuse_strangers(path: Path, database: Database) -> None:
    if is_foreign(database):
        what = f"{path} is the database of another program; it was left as it is."
        raise StorageError("database_foreign", what, "Give the journal a file of its own: storage.path.")
    if is_newer(database):
        what = f"The journal {path} was written by a newer agentbox; it was left as it is."
        raise StorageError("database_newer", what, "Install that version again, or set storage.path to another file.")


def _close_to_others(path: Path) -> None:
    """What was copied or restored may be readable by everybody."""
    for file in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        with contextlib.suppress(FileNotFoundError, PermissionError):  # it may be another's, and is to be used still
            if file.stat().st_mode & 0o077:
                file.chmod(0o600)


def check(database: Database) -> None:
    (verdict,) = database.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        damage = sqlite3.DatabaseError("database disk image is malformed")
        damage.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise damage
