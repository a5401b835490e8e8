"""The journal: one writer thread, one file. Stage events go in; turns come out (queries.py).

`record` never blocks and never raises. What was recorded is on disk when `settled` says so: one transaction with
`synchronous = FULL`, so it survives kill -9 and power loss. When the disk fails, rows wait in memory and are tried
again; the owner is told once, and once more when it works.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from sqlite_utils import Database

from agentbox.errors import StorageError
from agentbox.messages import JSON, Notice, StageEvent
from agentbox.storage import queries
from agentbox.storage.database import (
    StorageErrors,
    is_damage,
    open_database,
    open_for_reading,
    open_memory,
    set_aside,
    storage_failed,
)
from agentbox.storage.retention import Retention
from agentbox.storage.rows import Rows
from agentbox.storage.store import SqliteStore

RETRY_S = (0.5, 1.0, 2.0, 5.0, 15.0)
MAX_WAITING = 20_000
"""Events kept while the disk fails, some hours of talk; past that the oldest are given up, and counted."""


class Journal:
    """Made by `Journal.open`."""

    def __init__(
        self, path: Path, database: Database, rows: Rows, retention_days: int, on_notice: Callable[[Notice], None]
    ) -> None:
        self.path = path
        self.in_memory = False
        self._database = database
        self._rows = rows
        self._retention = Retention(retention_days)
        self._on_notice = on_notice
        self._use = threading.RLock()
        """Held by whoever uses the connection: the writer, a tool's store, a deletion."""
        self._changed = threading.Condition()
        self._waiting: deque[StageEvent] = deque()
        self._taken = self._written = self._given_up = 0
        self._failing = False
        self._closing = False
        self._thread = threading.Thread(target=self._work, name="journal", daemon=True)
        self._thread.start()

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        keep_transcripts: bool = True,
        keep_audio: bool = False,
        retention_days: int = 90,
        on_notice: Callable[[Notice], None] = lambda notice: None,
        or_in_memory: bool = False,
    ) -> Journal:
        """Open or make the file at `path`.

        `on_notice` may be called from any thread. `or_in_memory`: where the file cannot be used go on without one,
        and say so. Calls that a crash left unfinished become `unknown` and are reported; nobody runs them again.

        Raises `StorageError` `state_not_writable`, `disk_full`, `database_failed`.
        """
        rows = Rows(keep_transcripts=keep_transcripts, keep_audio=keep_audio)
        try:
            database, notice = open_database(path)
        except StorageError as error:
            if not or_in_memory:
                raise
            journal = cls(path, open_memory(), rows, retention_days, on_notice)
            journal.in_memory = True
            what = f"{error.what} Nothing is remembered beyond the next restart."
            on_notice(Notice(code=error.code, what=what, todo=error.todo, level="error"))
            return journal
        journal = cls(path, database, rows, retention_days, on_notice)
        if notice is not None:
            on_notice(notice)
        journal._settle_crashed_calls()
        return journal

    def record(self, event: StageEvent) -> None:
        """Take an event, from any thread."""
        if not self._rows.wants(event):
            return
        with self._changed:
            if len(self._waiting) >= MAX_WAITING:
                self._waiting.popleft()
                self._given_up += 1
                self._written += 1
            self._waiting.append(event)
            self._taken += 1
            self._changed.notify_all()

    def settle(self, timeout_s: float = 5.0) -> bool:
        """Wait until everything recorded so far is on disk. False if it is not after `timeout_s`."""
        with self._changed:
            wanted = self._taken
            return self._changed.wait_for(lambda: self._written >= wanted, timeout_s)

    async def settled(self, timeout_s: float = 5.0) -> bool:
        """`settle`, beside the event loop."""
        with self._changed:
            if self._written >= self._taken:
                return True
        return await asyncio.to_thread(self.settle, timeout_s)

    def close(self, timeout_s: float = 2.0) -> None:
        """Write what waits and close the file. May be called twice."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(timeout_s)
        with self._use:
            self._database.close()

    def store(self, namespace: str) -> SqliteStore:
        """Where the tool module `namespace` keeps its values; durable when `put` returns."""
        return SqliteStore(namespace, lambda: self._database, self._use, self.path)

    def recent(self, limit: int = 20, before: float | None = None) -> list[dict[str, JSON]]:
        """The last turns, newest first, each with its text, intent and reply. `before`: only older ones."""
        return self._read(lambda database: queries.recent(database, limit, before))

    def search(self, text: str, limit: int = 20) -> list[dict[str, JSON]]:
        """Turns whose words hold all words of `text`, best first."""
        return self._read(lambda database: queries.search(database, text, limit))

    def get(self, turn_id: str) -> dict[str, JSON] | None:
        """Everything kept of one turn. `turn_id` may be the start of an id that no other turn shares."""
        return self._read(lambda database: queries.whole(database, turn_id))

    def export(self) -> Iterator[dict[str, JSON]]:
        """Every turn whole, oldest first."""
        for turn_id in self._read(queries.all_ids):
            turn = self.get(turn_id)
            if turn is not None:
                yield turn

    def delete(self, turn_ids: Sequence[str]) -> int:
        """Delete turns by id (or the start of one) for good; how many there were."""
        return self._delete(lambda database: queries.delete_ids(database, turn_ids))

    def delete_between(self, since: float, until: float) -> int:
        """Delete the turns that started at `since` or later and before `until`, and what was said unasked then."""
        return self._delete(lambda database: queries.delete_between(database, since, until))

    def delete_all(self) -> int:
        """Delete every turn, reply and notice. What tools keep (timers, lists) stays: it is not talk."""
        return self._delete(queries.delete_all)

    def sweep(self, now: float, monotonic_s: float) -> int:
        """Delete what is older than `retention_days`, if the clock can be trusted; how many turns that were."""
        cutoff = self._retention.cutoff(now, monotonic_s)
        if cutoff is None:
            return 0
        with self._use, StorageErrors(self.path), self._database.atomic():
            queries.adopt_unset(self._database, now)
        return self.delete_between(0.0, cutoff) if self._read(lambda db: queries.any_before(db, cutoff)) else 0

    def _read(self, work: Callable[[Database], queries.T]) -> queries.T:
        if self.in_memory:
            with self._use, StorageErrors(self.path):
                return work(self._database)
        database = open_for_reading(self.path)
        try:
            with StorageErrors(self.path):
                return work(database)
        finally:
            database.close()

    def _delete(self, work: Callable[[Database], int]) -> int:
        self.settle()
        with self._use, StorageErrors(self.path):
            with self._database.atomic():
                count = work(self._database)
            queries.scrub(self._database)
        return count

    def _settle_crashed_calls(self) -> None:
        with self._use, StorageErrors(self.path), self._database.atomic():
            count = queries.settle_crashed_calls(self._database)
        if count:
            what = f"{count} action(s) were under way when the box stopped; whether they took effect is not known."
            todo = "They are not repeated. agentbox transcripts list shows the turns."
            self._on_notice(Notice(code="calls_unknown", what=what, todo=todo))

    # From here on: the writer thread.

    def _work(self) -> None:
        failures = 0
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closing)
                if not self._waiting:
                    return
                batch = list(self._waiting)
            try:
                self._write(batch)
            except sqlite3.Error as error:
                failures += 1
                self._tell_failure(error)
                if self._closing:
                    return
                with self._changed:
                    self._changed.wait_for(lambda: self._closing, RETRY_S[min(failures, len(RETRY_S)) - 1])
                continue
            failures = 0
            self._tell_success()
            with self._changed:
                for event in batch:
                    # The oldest may have been given up meanwhile; then it is no longer at the head.
                    if self._waiting and self._waiting[0] is event:
                        self._waiting.popleft()
                        self._written += 1
                self._changed.notify_all()

    def _write(self, batch: list[StageEvent]) -> None:
        with self._use:
            try:
                with self._database.atomic():
                    for event in batch:
                        self._rows.write(self._database, event)
            except sqlite3.DatabaseError as error:
                if not is_damage(error) or self.in_memory:
                    raise
                self._database.close()
                notice = set_aside(self.path)
                try:
                    self._database, _ = open_database(self.path)
                except StorageError as failed:
                    raise sqlite3.OperationalError(failed.what) from failed
                self._on_notice(notice)
                with self._database.atomic():
                    for event in batch:
                        self._rows.write(self._database, event)

    def _tell_failure(self, error: sqlite3.Error) -> None:
        if self._failing:
            return
        self._failing = True
        failed = storage_failed(self.path, error)
        what = f"{failed.what} What is said now is kept in memory and written when it works again."
        self._on_notice(Notice(code=failed.code, what=what, todo=failed.todo, level="error"))

    def _tell_success(self) -> None:
        if self._failing:
            lost = f" {self._given_up} rows were given up." if self._given_up else ""
            self._on_notice(Notice(code="storage_back", what=f"The journal is written again.{lost}", level="info"))
        self._failing, self._given_up = False, 0
