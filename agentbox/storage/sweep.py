"""Deleting what is too old, by a clock that is not believed blindly (retention.py)."""

from __future__ import annotations

from collections.abc import Callable

from agentbox.messages import Notice
from agentbox.storage import queries, rescue
from agentbox.storage.connection import Connection
from agentbox.storage.database import not_writable
from agentbox.storage.retention import DAY_S, Clock, Retention


class Sweep:
    """`delete_before` deletes what began before a time, and tells how many turns that were."""

    def __init__(
        self,
        connection: Connection,
        retention_days: int,
        delete_before: Callable[[float], int],
        on_notice: Callable[[Notice], None],
    ) -> None:
        self._connection = connection
        self._retention = Retention(retention_days)
        self._delete_before = delete_before
        self._on_notice = on_notice

    def __call__(self, now: float, monotonic_s: float) -> int:
        """How many turns were deleted. Raises `StorageError`; the next call tries again."""
        passed_s = self._retention.look(now, monotonic_s)
        if passed_s is None or not self._believes(now, passed_s):
            return 0
        cutoff = self._retention.cutoff(now, monotonic_s)
        if cutoff is None:
            return 0
        if not self._connection.in_memory:
            try:
                rescue.delete_copies(self._connection.path, cutoff, now)
            except OSError as error:
                raise not_writable(self._connection.path) from error
        if not self._connection.read(lambda database: queries.any_before(database, cutoff)):
            return 0
        count = self._delete_before(cutoff)
        self._retention.deleted(monotonic_s)
        return count

    def _believes(self, now: float, passed_s: float) -> bool:
        with self._connection.use() as database:
            before = queries.clock(database)
            after = before.seen(now, passed_s)
            queries.keep_clock(database, after)
            if after.doubted_at is None:
                queries.adopt_strays(database, now)
        if after.doubted_at is not None and before.doubted_at is None:
            self._on_notice(_doubted(after, now))
        return after.doubted_at is None


def _doubted(clock: Clock, now: float) -> Notice:
    days = (now - (clock.believed_at or 0.0)) / DAY_S
    what = f"The clock is about {abs(days):.0f} days {'ahead of' if days > 0 else 'behind'} where it was expected."
    return Notice(
        code="clock_doubted",
        what=f"{what} Nothing is deleted for its age until it has run on from there for two days.",
        todo="Is the time right? timedatectl. If the box was switched off for so long, there is nothing to do.",
        level="warning",
    )
