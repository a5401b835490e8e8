"""The journal: one writer thread, one file. Stage events go in; turns come out (queries.py).

`record` never blocks and never raises. What was recorded is on disk when `settled` says so: one transaction with
`synchronous = FULL`, so it survives kill -9 and power loss. When the disk fails, rows wait in memory and are tried
again; the owner is told once, and once more when it works.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import soundfile
from sqlite_utils import Database

from agentbox.errors import StorageError
from agentbox.messages import JSON, Audit, Egress, Notice, StageEvent, Utterance
from agentbox.storage import listing, queries, rescue, rows, wiping
from agentbox.storage.connection import Connection
from agentbox.storage.database import not_writable
from agentbox.storage.pending import Pending, without_sound
from agentbox.storage.store import SqliteStore
from agentbox.storage.sweep import Sweep

RETRY_S = (0.5, 1.0, 2.0, 5.0, 15.0)
BATCH = 500
MAX_WAITING = 20_000
"""Events kept while the disk fails, some hours of talk; past that the oldest are given up, and counted."""

CUT_AGAIN_S = 1.0
PAUSE_S = 0.005
"""Between two lots of a large deletion, so that who waits for the file gets it: Python's locks are not fair."""

EXPORT_TURNS = 100
"""Turns read at once for an export."""

T = TypeVar("T")

_log = logging.getLogger("agentbox.storage")


class Journal:
    """Made by `Journal.open`. Its methods may be called from any thread; what reads and deletes raises
    `StorageError`."""

    def __init__(
        self,
        connection: Connection,
        *,
        keep_transcripts: bool,
        keep_audio: bool,
        retention_days: int,
        on_notice: Callable[[Notice], None],
    ) -> None:
        self.path = connection.path
        self.in_memory = connection.in_memory
        self._connection = connection
        self._keep = keep_transcripts
        self._keep_audio = keep_audio
        self._sweep = Sweep(connection, retention_days, self._delete_before, on_notice)
        self._on_notice = on_notice
        self._changed = threading.Condition()
        """Guards all below, and tells of changes."""
        self._pending = Pending()
        self._waiting: deque[StageEvent] = deque()
        self._taken = self._done = 0
        self._lost = 0
        """Of the events done, those that are on no disk."""
        self._given_up = 0
        self._failures = 0
        """Attempts to write that failed, ever; `_failure` says why the last one did, until one works."""
        self._failure: StorageError | None = None
        self._hurry = False
        self._closing = False
        self._log_to_cut = False
        self._wipe_told = False
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

        Raises `StorageError` `state_not_writable`, `disk_full`, `disk_failed`, `database_damaged` (and another
        process uses it), `database_foreign`, `database_newer`, `database_failed`.
        """
        try:
            connection = Connection(path, on_notice)
        except StorageError as error:
            if not or_in_memory:
                raise
            connection = Connection(path, on_notice, in_memory=True)
            read = "What is in it can be read. " if connection.copied else ""
            what = f"{error.what} {read}Nothing new is remembered beyond the next restart."
            on_notice(Notice(code=error.code, what=what, todo=error.todo, level="error"))
        if connection.calls_unknown:
            count = connection.calls_unknown
            what = f"{count} action(s) were under way when the box stopped; whether they took effect is not known."
            todo = "They are not repeated. agentbox transcripts list shows the turns."
            on_notice(Notice(code="calls_unknown", what=what, todo=todo))
        return cls(
            connection,
            keep_transcripts=keep_transcripts,
            keep_audio=keep_audio,
            retention_days=retention_days,
            on_notice=on_notice,
        )

    def record(self, event: StageEvent) -> None:
        """Take an event, from any thread."""
        if not self._keep and not isinstance(event.message, Egress | Audit):
            return  # what left the box, and who came in, is kept in any case: it holds no words
        with self._changed:
            # A failing disk costs the sound first: it is what would fill the memory.
            if not self._keep_audio or self._failure is not None:
                event = without_sound(event)
            for admitted in self._pending.admit(event):
                if len(self._waiting) >= MAX_WAITING:
                    self._waiting.popleft()
                    self._given_up += 1
                    self._lost += 1
                    self._done += 1
                self._waiting.append(admitted)
                self._taken += 1
            self._changed.notify_all()

    def settle(self, timeout_s: float = 5.0) -> bool:
        """Wait until everything recorded so far is on disk; false if it is not, or not after `timeout_s`. A disk that
        is known to fail is given one more attempt."""
        with self._changed:
            wanted, lost, failures, failing = self._taken, self._lost, self._failures, self._failure is not None
            if self._done >= wanted:
                return True
            self._hurry = True
            self._changed.notify_all()
            self._changed.wait_for(
                lambda: self._done >= wanted or (failing and self._failures > failures) or not self._thread.is_alive(),
                timeout_s,
            )
            return self._done >= wanted and self._lost == lost

    async def settled(self, timeout_s: float = 5.0) -> bool:
        """`settle`, beside the event loop."""
        with self._changed:
            if self._done >= self._taken:
                return True
        return await asyncio.to_thread(self.settle, timeout_s)

    def close(self, timeout_s: float = 2.0) -> None:
        """Write what waits, with one last attempt, and close the file. May be called twice."""
        with self._changed:
            already, self._closing = self._closing, True
            self._changed.notify_all()
        self._thread.join(timeout_s)
        self._connection.close()
        if self._waiting and not already:
            _log.error("%d rows of the journal could not be written and are lost", len(self._waiting))

    def store(self, namespace: str) -> SqliteStore:
        """Where the tool module `namespace` keeps its values; durable when `put` returns."""
        return SqliteStore(namespace, self._connection)

    def recent(self, limit: int = 20, before: float | None = None) -> list[dict[str, JSON]]:
        """The last turns, newest first, each with its text, intent and reply. `before`: only older ones."""
        return self.read(lambda database: listing.turns(database, limit, listing.Which(before=before)))

    def read(self, work: Callable[[Database], T]) -> T:
        """What `work` (listing.py) finds in one unchanging state of the file."""
        return self._connection.read(work)

    def search(self, text: str, limit: int = 20) -> list[dict[str, JSON]]:
        """Turns whose words hold all words of `text`, best first."""
        return self._connection.read(lambda database: queries.search(database, text, limit))

    def get(self, turn_id: str) -> dict[str, JSON] | None:
        """Everything kept of one turn. `turn_id` may be the start of an id that no other turn shares."""
        return self._connection.read(lambda database: queries.whole(database, turn_id))

    def export(self) -> Iterator[dict[str, JSON]]:
        """Every turn whole, oldest first."""
        ids = self._connection.read(queries.all_ids)
        for start in range(0, len(ids), EXPORT_TURNS):
            yield from self._connection.read(functools.partial(queries.wholes, ids=ids[start : start + EXPORT_TURNS]))

    def egress(self, limit: int = 50, since: float = 0.0) -> list[dict[str, JSON]]:
        """What left the box from `since` on (seconds since 1970), newest first."""
        return self.read(lambda database: listing.egress(database, limit, since))

    def egress_days(self, limit: int = 31, since: float = 0.0) -> list[dict[str, JSON]]:
        """What left the box from `since` on, a row for each of the box's days and backends, newest first."""
        return self.read(lambda database: listing.egress_days(database, limit, since))

    def audit(self, limit: int = 50) -> list[dict[str, JSON]]:
        """What paired devices changed, and who tried to be one, newest first."""
        return self._connection.read(lambda database: queries.audit(database, limit))

    def delete(self, turn_ids: Sequence[str]) -> int:
        """Delete turns by id (or the start of one) for good; how many there were."""
        self._refuse_to_pretend()
        return self._delete(lambda database: queries.delete_ids(database, turn_ids))

    def delete_between(self, since: float, until: float) -> int:
        """Delete the turns that started at `since` or later and before `until`, and what was said unasked then."""
        self._refuse_to_pretend()
        return self._delete(lambda database: queries.delete_between(database, since, until))

    def delete_all(self) -> int:
        """Delete every turn, reply and notice, and the copies kept of damaged files. What tools keep (timers, lists)
        stays: it is not talk."""
        self._refuse_to_pretend()
        count = self._delete(queries.delete_all)
        if not self.in_memory:
            try:
                rescue.delete_copies(self.path)
            except OSError as error:
                raise not_writable(self.path) from error
        return count

    def tend(self) -> int:
        """See to the file: is it sound, its statistics, its log; its size in bytes. Raises `StorageError`."""
        return self._connection.tend()

    def sweep(self, now: float, monotonic_s: float) -> int:
        """Delete what is older than `retention_days`, if the clock can be trusted; how many turns that were.

        A failing disk is told by a notice; the next sweep tries again. After a deletion the next one is a day away,
        because each writes the file anew.
        """
        if not self.in_memory:
            self._wipe_again()
        try:
            return self._sweep(now, monotonic_s)
        except StorageError as error:
            self._on_notice(Notice(code=error.code, what=error.what, todo=error.todo, level="error"))
            return 0

    def _refuse_to_pretend(self) -> None:
        if self._connection.copied:
            raise not_writable(self.path)  # what is deleted in memory only would be back after a restart

    def _delete_before(self, until: float) -> int:
        return self._delete(lambda database: queries.delete_before(database, until))

    def _delete(self, work: Callable[[Database], int]) -> int:
        settled = self.settle()
        count = self._delete_now(work)
        if not settled:
            # What waited for the disk may belong to what is deleted. The deletion may have made room for it.
            if not self.settle():
                what = "What the disk did not take yet waits in memory, and cannot be deleted before it is written."
                raise self._failure or StorageError("database_failed", what, "Try again.")
            count += self._delete_now(work)
        return count

    def _delete_now(self, work: Callable[[Database], int]) -> int:
        total, changed, count = 0, False, queries.LOT
        while count >= queries.LOT:
            if total:
                time.sleep(PAUSE_S)
            with self._connection.use() as database:
                changes = database.conn.total_changes
                count = work(database)
                if database.conn.total_changes != changes:
                    changed = True
                    wiping.mark(database)
            total += count
        if changed:
            self._wipe()
        return total

    def _wipe(self) -> None:
        try:
            done = self._connection.wipe()
        except StorageError as error:
            if not self._wipe_told:
                self._wipe_told = True
                what = f"What was deleted cannot be found any more, but its bytes are still in the file. {error.what}"
                self._on_notice(Notice(code="wipe_delayed", what=what, todo=error.todo, level="warning"))
            return
        self._wipe_told = False
        if not done:
            with self._changed:
                self._log_to_cut = True
                self._changed.notify_all()

    def _wipe_again(self) -> None:
        with contextlib.suppress(StorageError):  # what cannot be read now is tried by the next sweep
            if self._connection.read(wiping.due):
                self._wipe()

    # From here on: the writer thread.

    def _work(self) -> None:
        failures = 0
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closing or self._log_to_cut)
                if self._log_to_cut:  # a reader is in the way; look again soon
                    self._changed.wait_for(lambda: self._waiting or self._closing, CUT_AGAIN_S)
                if not self._waiting and self._closing:
                    return
                batch = list(itertools.islice(self._waiting, BATCH))
                self._hurry = False
            try:
                if batch:
                    unwritable = self._write(batch)
                else:
                    unwritable = 0
                    self._log_to_cut = False  # before it is cut: a deletion meanwhile sets it again
                    self._log_to_cut |= not self._connection.wipe()
            except StorageError as error:
                failures += 1
                self._log_to_cut |= not batch
                if error.code == "database_damaged" and failures == 1:
                    continue  # the next attempt finds a fresh file, and the owner has been told
                self._failed(error)
                if self._closing:
                    return
                with self._changed:
                    pause_s = RETRY_S[min(failures, len(RETRY_S)) - 1]
                    self._changed.wait_for(lambda: self._closing or self._hurry, pause_s)
                continue
            failures = 0
            self._worked(batch, unwritable)

    def _write(self, batch: list[StageEvent]) -> int:
        """All of the batch in one transaction; how many events no row could hold."""
        with_sound = [(event, self._sound(event)) for event in batch]
        unwritable = 0
        with self._connection.use() as database:
            for event, sound in with_sound:
                try:
                    with database.atomic():
                        rows.write(database, event, sound)
                except rows.UNWRITABLE as error:
                    unwritable += 1
                    _log.error("an event of the stage %s cannot be kept: %s", event.stage, type(error).__name__)
        return unwritable

    def _sound(self, event: StageEvent) -> bytes | None:
        if not self._keep_audio or not isinstance(event.message, Utterance) or not event.message.pcm:
            return None
        try:
            return rows.as_flac(event.message.pcm)
        except (ValueError, soundfile.SoundFileError) as error:
            _log.error("the sound of an utterance cannot be kept: %s", type(error).__name__)
            return None

    def _failed(self, error: StorageError) -> None:
        with self._changed:
            first, self._failure = self._failure is None, error
            self._failures += 1
            self._changed.notify_all()
        if first:
            what = f"{error.what} What is said now is kept in memory and written when it works again."
            self._tell(Notice(code=error.code, what=what, todo=error.todo, level="error"))

    def _worked(self, batch: list[StageEvent], unwritable: int) -> None:
        with self._changed:
            for event in batch:
                # The oldest may have been given up meanwhile; then it is no longer at the head.
                if self._waiting and self._waiting[0] is event:
                    self._waiting.popleft()
                    self._done += 1
            self._lost += unwritable
            failed, self._failure = self._failure is not None, None
            given_up, self._given_up = self._given_up, 0
            self._changed.notify_all()
        if failed:
            lost = f" {given_up} events were given up." if given_up else ""
            self._tell(Notice(code="storage_back", what=f"The journal is written again.{lost}", level="info"))

    def _tell(self, notice: Notice) -> None:
        if self._closing:
            _log.error("%s [%s]", notice.what, notice.code)  # who listened may be gone
        else:
            self._on_notice(notice)
