"""The one connection that writes, for one user at a time: the journal's writer, a tool's store, a deletion."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from sqlite_utils import Database

from agentbox.errors import StorageError
from agentbox.messages import Notice
from agentbox.paths import prepare
from agentbox.storage import queries, wiping
from agentbox.storage.database import (
    BUSY_MS,
    Presence,
    begin_anew,
    check,
    is_damage,
    open_database,
    open_for_reading,
    open_memory,
    storage_failed,
)

T = TypeVar("T")

_log = logging.getLogger("agentbox.storage")


class Connection:
    """Opens the file at `path`, or a database in memory, with what can be read of the file, where `in_memory`
    is true.

    A file found damaged while it is used is kept aside, and a fresh one begun, by the next use; `on_notice` is told.
    Every method raises `StorageError`.
    """

    def __init__(self, path: Path, on_notice: Callable[[Notice], None], *, in_memory: bool = False) -> None:
        self.path = path
        self.in_memory = in_memory
        self.calls_unknown = 0
        """Calls that were under way when the last user of the file went away without a word."""
        self.copied = False
        """Whether the database in memory began with the turns of a file that cannot be written."""
        self._on_notice = on_notice
        self._lock = threading.Lock()
        self._presence: Presence | None = None
        self._database: Database | None = None
        self._inode = 0
        self._closed = False
        self._mended = False
        if in_memory:
            self._database, self.copied = open_memory(path)
            with self._database.atomic():
                self.calls_unknown = queries.settle_crashed_calls(self._database)
            return
        prepare(path.parent)
        self._presence = Presence(path)
        try:
            self._open(self._presence)
        except BaseException:
            self._presence.close()
            raise

    @contextlib.contextmanager
    def use(self) -> Iterator[Database]:
        """The database in a transaction: all of the block is on disk after it, or nothing if it raises."""
        with self._lock:
            database = self._current()
            try:
                with database.atomic():
                    yield database
            except sqlite3.Error as error:
                self._drop_if_damaged(database, error)
                raise storage_failed(self.path, error) from error

    def read(self, work: Callable[[Database], T]) -> T:
        """What `work` finds in one unchanging state of the file; it holds nobody up."""
        if self.in_memory:
            with self.use() as database:
                return work(database)
        try:
            database = open_for_reading(self.path)
            with contextlib.closing(database.conn), database.atomic():
                return work(database)
        except sqlite3.Error as error:
            with self._lock:
                mended = self._database is not None and self._mend_index(self._database, error)
            if not mended:
                raise storage_failed(self.path, error) from error
        return self.read(work)

    def wipe(self) -> bool:
        """Leave no word of what was deleted in the file and its log (wiping.py). False while a reader is in the way."""
        if self.in_memory:
            return True
        with self._lock:
            database = self._current()
            try:
                return wiping.wipe(database, BUSY_MS)
            except sqlite3.Error as error:
                self._drop_if_damaged(database, error)
                raise storage_failed(self.path, error) from error

    def tend(self) -> int:
        """Look whether the whole file is sound, bring its statistics up to date and cut its log; its size in bytes.

        A damaged file is treated as one that fails in use. Raises `StorageError`.
        """
        if self.in_memory:
            return 0
        with self._lock:
            database = self._current()
            try:
                check(database)
                database.execute("PRAGMA optimize").fetchall()
                database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            except sqlite3.Error as error:
                self._drop_if_damaged(database, error)
                raise storage_failed(self.path, error) from error
        return self.path.stat().st_size

    def close(self) -> None:
        with self._lock:
            self._closed = True
            if self._database is not None:
                self._database.close()
                self._database = None
            if self._presence is not None:
                self._presence.close()
                self._presence = None

    def _current(self) -> Database:
        if self._closed:
            raise StorageError("database_failed", f"The journal {self.path} is closed.")
        if self._database is None:
            assert self._presence is not None
            self._open(self._presence)
        assert self._database is not None
        return self._database

    def _mend_index(self, database: Database, error: sqlite3.Error) -> bool:
        """Where only the search index is damaged, build it anew from the words beside it; once in a file's life."""
        if self._mended or not is_damage(error):
            return False
        self._mended = True
        try:
            if database.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
                return False
            wiping.rebuild_index(database, damaged=True)
        except sqlite3.Error:
            return False
        _log.warning("the search index was damaged and has been built anew")
        return True

    def _drop_if_damaged(self, database: Database, error: sqlite3.Error) -> None:
        if is_damage(error) and not self.in_memory and not self._mend_index(database, error):
            database.close()
            self._database = None

    def _open(self, presence: Presence) -> None:
        """Open the file, the first time or after damage was found in it."""
        alone = presence.alone()
        notice: Notice | None
        try:
            if self._inode and os.path.exists(self.path) and os.stat(self.path).st_ino == self._inode:
                # The damage need not show in SQLite's quick check, so that the file is not tried again.
                if not alone:
                    what = f"The journal {self.path} is damaged, and another process uses it."
                    raise StorageError("database_damaged", what, "It is replaced when the other process has ended.")
                database, notice = begin_anew(self.path)
            else:
                database, notice = open_database(self.path, alone=alone)
            try:
                if alone:
                    with database.atomic():
                        self.calls_unknown = queries.settle_crashed_calls(database)
                    with contextlib.suppress(sqlite3.Error):  # a full disk; a sweep tries again, and tells
                        wiping.wipe(database, BUSY_MS)
            except sqlite3.Error as error:
                database.close()
                raise storage_failed(self.path, error) from error
            self._mended = False
            self._inode = os.stat(self.path).st_ino
            self._database = database
        finally:
            presence.share()
        if notice is not None:
            self._on_notice(notice)
