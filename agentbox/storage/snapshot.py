"""The journal's file as part of a backup: copied whole while others write, looked at before it is trusted, and given
what belongs to this box and not to the backup."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from sqlite_utils import Database

from agentbox.errors import InputError
from agentbox.storage import wiping
from agentbox.storage.database import BUSY_MS, storage_failed
from agentbox.storage.rescue import open_read_only
from agentbox.storage.schema import is_foreign, is_newer, migrations

_STATEMENTS = "SELECT type, name, sql FROM sqlite_master"

_SHADOWS = ("search_", "sqlite_", "_sqlite_")
"""Tables that SQLite and its tools make for themselves; what they look like is theirs to choose."""


def copy(source: Path, target: Path, leave_out: Sequence[str]) -> None:
    """Everything in the journal at `source` as of one moment, in one file, without the tool values of the namespaces
    `leave_out`; no byte of them stays in it. Raises `StorageError`."""
    os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        with contextlib.closing(open_read_only(source)) as reading, contextlib.closing(sqlite3.connect(target)) as made:
            reading.backup(made)
            made.execute("PRAGMA journal_mode = DELETE").fetchall()
            database = Database(made, execute_plugins=False)
            with database.atomic():
                _forget(database, leave_out)
                wiping.mark(database)
            wiping.wipe(database, BUSY_MS)
    except sqlite3.Error as error:
        raise storage_failed(source, error) from error


def examine(file: Path) -> None:
    """Look whether a file from elsewhere is a whole journal and nothing else, and bring it up to date.

    Raises `InputError` `backup_newer`, `backup_damaged`, `backup_invalid`.
    """
    try:
        with contextlib.closing(sqlite3.connect(file)) as connection:
            # No function of the file's own choosing runs, and no table is what its pages say against its statement.
            for pragma in ("trusted_schema = OFF", "cell_size_check = ON", "mmap_size = 0"):
                connection.execute(f"PRAGMA {pragma}").fetchall()
            database = Database(connection, execute_plugins=False)
            if is_foreign(database) or not migrations.applied(database):
                raise InputError("backup_invalid", "The database in it is not agentbox's.", "Is it the right file?")
            if is_newer(database):
                raise InputError(
                    "backup_newer", "It was made by a newer agentbox than this one.", "Install that version first."
                )
            if database.execute("PRAGMA integrity_check(1)").fetchone() != ("ok",):
                raise InputError("backup_damaged", "The database in it is damaged.", "Use another backup.")
            _refuse_strange_schema(database)
            connection.execute("PRAGMA journal_mode = DELETE").fetchall()
            migrations.apply(database)
    except sqlite3.Error as error:
        raise InputError("backup_damaged", "The database in it cannot be read.", "Use another backup.") from error


def carry_over(present: Path, restored: Path, namespaces: Sequence[str]) -> None:
    """Give a restored journal what stays this box's own: the tool values of `namespaces` and the rows of `audit`. What
    the backup brought of them is gone. Raises `StorageError`."""
    try:
        with contextlib.closing(sqlite3.connect(restored)) as connection:
            database = Database(connection, execute_plugins=False)
            values: list[tuple[object, ...]] = []
            rows: list[tuple[object, ...]] = []
            # What cannot be read of a damaged file is lost with it: then devices pair anew.
            with contextlib.suppress(sqlite3.Error), contextlib.closing(open_read_only(present)) as before:
                marks = ", ".join("?" * len(namespaces))
                sql = f"SELECT namespace, key, value FROM tool_store WHERE namespace IN ({marks})"  # noqa: S608
                values = before.execute(sql, namespaces).fetchall()
                sql = "SELECT at, device_id, device_name, address, action, target, outcome FROM audit ORDER BY id"
                rows = before.execute(sql).fetchall()
            with database.atomic():
                _forget(database, namespaces)
                connection.execute("DELETE FROM audit")
                connection.executemany("INSERT INTO tool_store (namespace, key, value) VALUES (?, ?, ?)", values)
                columns = "at, device_id, device_name, address, action, target, outcome"
                connection.executemany(f"INSERT INTO audit ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?)", rows)  # noqa: S608
    except sqlite3.Error as error:
        raise storage_failed(restored, error) from error


def _forget(database: Database, namespaces: Sequence[str]) -> None:
    for namespace in namespaces:
        database.execute("DELETE FROM tool_store WHERE namespace = ?", [namespace])


def _refuse_strange_schema(database: Database) -> None:
    """A trigger or view of another's making would act in this box's name. An older file has the layout of its time."""
    own = Database(memory=True, execute_plugins=False)
    migrations.apply(own, stop_before=[step.name for step in migrations.pending(database)])
    expected = _schema(own)
    own.close()
    for kind, name, _ in _schema(database) - expected:
        if kind != "table" or not name.startswith("sqlite_"):  # statistics, which SQLite keeps where it likes
            what = "The database in it has a table, trigger or view that is not agentbox's."
            raise InputError("backup_invalid", what, "Choose a file made by agentbox backup.")


def _schema(database: Database) -> set[tuple[str, str, str | None]]:
    found = database.execute(_STATEMENTS).fetchall()
    return {(kind, name, None if kind == "table" and name.startswith(_SHADOWS) else sql) for kind, name, sql in found}
