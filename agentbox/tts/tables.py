"""Dictionaries that stay on disk: one SQLite file, written once, of which only what is looked up is read.

A voice's pronouncing dictionary of 180,000 words takes 100 MB as Python dictionaries and a second to load; on disk it
takes 1 MB of memory, and a lookup some 20 microseconds.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path

from agentbox.caches import whole
from agentbox.messages import JSON

_FINISHED = 1
"""`user_version` of a file that was written to its end."""


class Table:
    """What a dictionary is asked for: `get` and `in`."""

    def __init__(self, connection: sqlite3.Connection, name: str) -> None:
        self._connection = connection
        self._query = f"SELECT value FROM [{name}] WHERE key = ?"  # noqa: S608 (the names are ours)

    def get(self, key: str, default: JSON = None) -> JSON:
        """The value of `key`, or `default`. Raises `sqlite3.DatabaseError` where the file is damaged."""
        row = self._connection.execute(self._query, (key,)).fetchone()
        try:
            return default if row is None else json.loads(row[0])
        except ValueError as error:
            raise sqlite3.DatabaseError("a damaged value") from error

    def __contains__(self, key: str) -> bool:
        return self._connection.execute(self._query, (key,)).fetchone() is not None


class Tables:
    """The dictionaries of one file. Raises `OSError` where it is not there, or not whole."""

    def __init__(self, path: Path) -> None:
        try:
            # Whoever uses a voice does so from one thread at a time, but not always from the same.
            self._connection = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True, check_same_thread=False
            )
        except sqlite3.Error as error:
            raise OSError(f"{path.name} cannot be opened") from error
        try:
            (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        except sqlite3.Error as error:
            self._connection.close()
            raise OSError(f"{path.name} cannot be read") from error
        if version != _FINISHED:
            self._connection.close()
            raise OSError(f"{path.name} is not whole")

    def table(self, name: str) -> Table:
        return Table(self._connection, name)

    def close(self) -> None:
        self._connection.close()


def write(path: Path, tables: Mapping[str, Iterable[tuple[str, JSON]]]) -> None:
    """Write dictionaries by name to `path`, whole or not at all. Raises `OSError`."""
    try:
        with whole(path) as part, closing(sqlite3.connect(part)) as connection:
            connection.execute("PRAGMA journal_mode = OFF")
            for table, rows in tables.items():
                connection.execute(f"CREATE TABLE [{table}] (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID")
                plain = ((key, json.dumps(value, ensure_ascii=False)) for key, value in rows)
                connection.executemany(f"INSERT INTO [{table}] VALUES (?, ?)", plain)  # noqa: S608
            connection.execute(f"PRAGMA user_version = {_FINISHED}")
            connection.commit()
    except sqlite3.Error as error:
        raise OSError(f"{path.name} cannot be written") from error
