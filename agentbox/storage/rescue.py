"""What can still be read where the journal's file is damaged, or cannot be written; and the copies kept of damaged
ones."""

from __future__ import annotations

import contextlib
import glob
import json
import os
import shutil
import sqlite3
import tempfile
from pathlib import Path

from sqlite_utils import Database

from agentbox.storage.retention import MAX_DRIFT_S, UNSET_BEFORE

COPY_BYTES = 64_000_000
"""A file larger than this is not copied whole into memory."""

Value = tuple[str, str, str]
"""A row of `tool_store`: namespace, key, JSON."""


def open_read_only(path: Path) -> sqlite3.Connection:
    """For reading a file on a disk that cannot be written. Raises `sqlite3.Error`.

    SQLite wants to write beside a file that has a log; where it cannot, a copy in memory is opened or, of a large
    file, the file without its log.
    """
    uri = path.absolute().as_uri()
    log = Path(f"{path}-wal")
    with contextlib.suppress(sqlite3.Error, OSError):
        if log.stat().st_size:
            try:
                return _readable(sqlite3.connect(f"{uri}?mode=ro", uri=True))
            except sqlite3.Error:
                if path.stat().st_size + log.stat().st_size <= COPY_BYTES:
                    return _copied(path, log)
    return _readable(sqlite3.connect(f"{uri}?immutable=1", uri=True))


def _readable(connection: sqlite3.Connection) -> sqlite3.Connection:
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _copied(path: Path, log: Path) -> sqlite3.Connection:
    """Its files have no name any more when this returns; they are gone when it is closed."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        copy = Path(folder) / "copy"
        shutil.copyfile(path, copy)
        shutil.copyfile(log, f"{copy}-wal")
        return _readable(sqlite3.connect(copy))


def tool_values(connection: sqlite3.Connection) -> list[Value]:
    """The rows of `tool_store` that can be read; some or none where the file is damaged."""
    found: dict[tuple[str, str], str] = {}
    for order in ("ASC", "DESC"):  # from both ends up to a broken page
        with contextlib.suppress(sqlite3.Error):
            sql = f"SELECT namespace, key, value FROM tool_store ORDER BY namespace {order}, key {order}"  # noqa: S608
            for namespace, key, value in connection.execute(sql):
                if isinstance(namespace, str) and isinstance(key, str) and _is_json(value):
                    found[namespace, key] = value
    return [(namespace, key, value) for (namespace, key), value in found.items()]


def keep_tool_values(database: Database, values: list[Value]) -> None:
    with database.atomic():
        database.conn.executemany("INSERT OR IGNORE INTO tool_store (namespace, key, value) VALUES (?, ?, ?)", values)


def copies_aside(path: Path) -> list[Path]:
    """What else holds words of the journal at `path`: damaged files that were kept, with their companions, and what
    upgrades left (deploy/journal.py), and what a restored backup replaced."""
    name = glob.escape(path.name)
    patterns = (
        f"{name}.corrupt-*",
        f"{name}.newer*",
        f"{name}.before-restore-*",
        f"backups/{glob.escape(path.stem)}-*.db",
    )
    return sorted(copy for pattern in patterns for copy in path.parent.glob(pattern))


def delete_copies(path: Path, before: float | None = None, now: float = 0.0) -> None:
    """Delete the copies kept aside; with `before`, those last written to before that time. One that seems to be from
    before the clock was set, or from the future, counts from `now`. Raises `OSError`."""
    for copy in copies_aside(path):
        if before is None:
            copy.unlink(missing_ok=True)
            continue
        written_at = copy.stat().st_mtime
        if written_at < UNSET_BEFORE or written_at > now + MAX_DRIFT_S:
            os.utime(copy, (now, now))
        elif written_at < before:
            copy.unlink(missing_ok=True)


def _is_json(value: object) -> bool:
    try:
        json.loads(value)  # type: ignore[arg-type]
    except (ValueError, TypeError, RecursionError):
        return False
    return True
