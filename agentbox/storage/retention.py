"""How old is too old, on a machine whose clock may be wrong. Pure.

A box without a battery for its clock may start in 1970, or with the last time it remembers, and jump when the network
tells it the time; one with a dying battery may be years ahead and run evenly there. So two things are asked of the
clock before anything is deleted by its word: that it runs evenly (`Retention`), and that it shows a time that can
follow the last one that was believed (`Clock`).
"""

from __future__ import annotations

from dataclasses import dataclass

DAY_S = 86_400.0
MAX_DRIFT_S = 60.0
WATCH_S = 600.0

UNSET_BEFORE = 1_735_689_600.0
"""2025-01-01: a clock before this was never set. Turns stamped with it count from when the clock is right."""

MAX_BEHIND_S = DAY_S
MAX_AHEAD_S = 2 * DAY_S
DOUBT_S = 2 * DAY_S
"""A clock that shows an unbelievable time is believed when it has run on from there for so long: a box that was
switched off for months must not wait for ever."""


@dataclass(frozen=True)
class Clock:
    """What is known of the wall clock; kept in the journal's file. Times in seconds since 1970."""

    believed_at: float | None = None
    """The last time that was believed, and what has passed since; null before the first look, which believes."""
    doubted_at: float | None = None
    """The last time that was not believed; null while the clock is believed."""
    doubted_s: float = 0.0
    """How long the clock has run on since it was first doubted."""

    def seen(self, now: float, passed_s: float) -> Clock:
        """After one more look at the clock, `passed_s` after the last one (0 when that is not known)."""
        if self.believed_at is None or _follows(now, self.believed_at + passed_s):
            return Clock(now)
        believed_at = self.believed_at + passed_s
        if self.doubted_at is None or not _follows(now, self.doubted_at + passed_s):
            return Clock(believed_at, now)
        doubted_s = self.doubted_s + passed_s
        return Clock(now) if doubted_s >= DOUBT_S else Clock(believed_at, now, doubted_s)


def _follows(now: float, expected: float) -> bool:
    return expected - MAX_BEHIND_S <= now <= expected + MAX_AHEAD_S


class Retention:
    """Watches the wall clock beside the monotonic one. Right after a start, or a jump, it says that nothing may be
    deleted."""

    def __init__(self, days: int) -> None:
        self._days = days
        self._since: tuple[float, float] | None = None
        self._looked_s: float | None = None
        self._deleted_s: float | None = None

    def look(self, now: float, monotonic_s: float) -> float | None:
        """Seconds since the last look that told something (0 for the first); null while the clock was never set, or
        has not run evenly for ten minutes yet, or when turns are kept for ever."""
        if self._days == 0 or now < UNSET_BEFORE:
            self._since = None
            return None
        if self._since is not None:
            wall_s, even_s = now - self._since[0], monotonic_s - self._since[1]
            if abs(wall_s - even_s) > MAX_DRIFT_S:
                self._since = None
        if self._since is None:
            self._since = (now, monotonic_s)
            return None
        if monotonic_s - self._since[1] < WATCH_S:
            return None
        passed_s = 0.0 if self._looked_s is None else monotonic_s - self._looked_s
        self._looked_s = monotonic_s
        return passed_s

    def cutoff(self, now: float, monotonic_s: float) -> float | None:
        """Seconds since 1970 before which turns are too old; null for a day after the last deletion."""
        if self._deleted_s is not None and monotonic_s - self._deleted_s < DAY_S:
            return None
        return now - self._days * DAY_S

    def deleted(self, monotonic_s: float) -> None:
        """Something was deleted now."""
        self._deleted_s = monotonic_s
