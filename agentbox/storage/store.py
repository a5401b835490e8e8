"""Where tools keep values: JSON by key, in a namespace of their own, in the journal's file."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path

from sqlite_utils import Database

from agentbox.messages import JSON
from agentbox.storage.database import StorageErrors


class SqliteStore:
    """Every method raises `StorageError` (`disk_full`, `state_not_writable`, `database_failed`) and then changed
    nothing."""

    def __init__(self, namespace: str, database: Callable[[], Database], use: threading.RLock, path: Path) -> None:
        """`database` gives the file's connection of the moment, to be used while holding `use`."""
        self._namespace = namespace
        self._current = database
        self._use = use
        self._path = path

    @property
    def _database(self) -> Database:
        return self._current()

    def get(self, key: str) -> JSON | None:
        """The value, or null when there is none."""
        with self._use, StorageErrors(self._path):
            row = self._database.execute(
                "SELECT value FROM tool_store WHERE namespace = ? AND key = ?", [self._namespace, key]
            ).fetchone()
        return None if row is None else json.loads(row[0])

    def put(self, key: str, value: JSON) -> None:
        """Keep the value; it is on disk when this returns."""
        text = json.dumps(value, ensure_ascii=False)
        with self._use, StorageErrors(self._path), self._database.atomic():
            self._database.execute(
                "INSERT OR REPLACE INTO tool_store (namespace, key, value) VALUES (?, ?, ?)",
                [self._namespace, key, text],
            )

    def delete(self, key: str) -> None:
        """Forget the key; nothing happens when it is not there."""
        with self._use, StorageErrors(self._path), self._database.atomic():
            self._database.execute("DELETE FROM tool_store WHERE namespace = ? AND key = ?", [self._namespace, key])

    def items(self) -> dict[str, JSON]:
        """Everything in this namespace."""
        with self._use, StorageErrors(self._path):
            rows = self._database.execute(
                "SELECT key, value FROM tool_store WHERE namespace = ? ORDER BY key", [self._namespace]
            ).fetchall()
        return {key: json.loads(value) for key, value in rows}
