"""Where tools keep values: JSON by key, in a namespace of their own, in the journal's file."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TypeVar

from sqlite_utils import Database

from agentbox.errors import StorageError
from agentbox.messages import JSON
from agentbox.storage.connection import Connection
from agentbox.storage.rows import as_json, clean

T = TypeVar("T")


class SqliteStore:
    """Every method raises `StorageError` (`disk_full`, `disk_failed`, `state_not_writable`, `database_failed`, ...)
    and then changed nothing. Each takes a few milliseconds, so that it may be called from the event loop; but what
    changes something waits while the file is looked through or written anew, which takes minutes where it is big."""

    def __init__(self, namespace: str, connection: Connection) -> None:
        self._namespace = clean(namespace)
        self._connection = connection

    def get(self, key: str) -> JSON | None:
        """The value, or null when there is none."""
        sql = "SELECT value FROM tool_store WHERE namespace = ? AND key = ?"
        row = self._find(lambda database: database.execute(sql, [self._namespace, clean(key)]).fetchone())
        return None if row is None else json.loads(row[0])

    def put(self, key: str, value: JSON) -> None:
        """Keep the value; it is on disk when this returns. Raises `TypeError` for what JSON cannot carry."""
        text = clean(as_json(value))
        sql = "INSERT OR REPLACE INTO tool_store (namespace, key, value) VALUES (?, ?, ?)"
        self._do(lambda database: database.execute(sql, [self._namespace, clean(key), text]))

    def delete(self, key: str) -> None:
        """Forget the key; nothing happens when it is not there."""
        sql = "DELETE FROM tool_store WHERE namespace = ? AND key = ?"
        self._do(lambda database: database.execute(sql, [self._namespace, clean(key)]))

    def items(self) -> dict[str, JSON]:
        """Everything in this namespace."""
        sql = "SELECT key, value FROM tool_store WHERE namespace = ? ORDER BY key"
        rows = self._find(lambda database: database.execute(sql, [self._namespace]).fetchall())
        return {key: json.loads(value) for key, value in rows}

    def _find(self, work: Callable[[Database], T]) -> T:
        """What is on disk, all that was put among it, without a wait for who writes."""
        try:
            return self._connection.read(work)
        except StorageError:
            return self._do(work)  # who writes may still know what it was, or begins a fresh file

    def _do(self, work: Callable[[Database], T]) -> T:
        try:
            with self._connection.use() as database:
                return work(database)
        except StorageError as error:
            if error.code != "database_damaged":
                raise
        with self._connection.use() as database:  # a fresh file
            return work(database)
