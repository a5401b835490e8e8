"""Writing the file anew after a deletion, so that no deleted word can be read from it.

`secure_delete` overwrites a row where it lies, but not the older copies that stay in the gaps of a B-tree page when
rows move about in it; only VACUUM leaves none, and it gives the room back to the disk. The deleting transaction marks
in the file's header (`user_version`) that this is due, so that a crash or a full disk only delays it.
"""

from __future__ import annotations

from sqlite_utils import Database

CLEAN, REWRITE, CUT = 0, 1, 2
"""What is due: nothing; all of it; only cutting the log, which holds pages as they were before."""

IN_MEMORY_BYTES = 64_000_000
"""VACUUM makes its copy of a file up to this size in memory, so that no words go to /var/tmp."""


def mark(database: Database) -> None:
    """To be called in the transaction that deletes."""
    database.execute(f"PRAGMA user_version = {REWRITE}")


def due(database: Database) -> bool:
    return _state(database) != CLEAN


def wipe(database: Database, busy_ms: int) -> bool:
    """Do what is due, outside any transaction. False while a reader keeps the log from being cut.

    Raises `sqlite3.Error`; what is due then stays due.
    """
    if _state(database) == REWRITE:
        _rewrite(database)
    if _state(database) == CUT and _cut(database, busy_ms):
        _advance(database, CUT, CLEAN)
    return not due(database)


def rebuild_index(database: Database, *, damaged: bool = False) -> None:
    """Build the search index anew from the words that are kept beside it."""
    with database.atomic():
        if damaged:  # FTS5 refuses to open a table whose own records are damaged: give it those of an empty one
            database.execute("DELETE FROM search_data")
            database.execute("DELETE FROM search_idx")
            database.execute("INSERT INTO search_data (id, block) VALUES (1, x''), (10, x'00000000000000')")
        database.execute("INSERT INTO search (search) VALUES ('rebuild')")


def _rewrite(database: Database) -> None:
    size = _pragma(database, "page_count") * _pragma(database, "page_size")
    database.execute(f"PRAGMA temp_store = {'MEMORY' if size <= IN_MEMORY_BYTES else 'DEFAULT'}")
    before = _pragma(database, "data_version")
    rebuild_index(database)  # a deletion only marks its words as gone; SQLite's own cure came with 3.42
    database.execute("VACUUM")
    _advance(database, REWRITE, CUT, data_version=before)


def _cut(database: Database, busy_ms: int) -> bool:
    database.execute("PRAGMA busy_timeout = 0").fetchall()
    try:
        (busy, _, _) = database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    finally:
        database.execute(f"PRAGMA busy_timeout = {busy_ms}").fetchall()
    return not busy


def _advance(database: Database, old: int, new: int, data_version: int | None = None) -> None:
    """From one state to the next, unless another process has deleted something meanwhile."""
    database.execute("BEGIN IMMEDIATE")
    try:
        if _state(database) == old and data_version in (None, _pragma(database, "data_version")):
            database.execute(f"PRAGMA user_version = {new}")
    finally:
        database.conn.commit()


def _state(database: Database) -> int:
    return _pragma(database, "user_version")


def _pragma(database: Database, name: str) -> int:
    return int(database.execute(f"PRAGMA {name}").fetchone()[0])
