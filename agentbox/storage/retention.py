"""How old is too old, on a machine whose clock may be wrong. Pure."""

from __future__ import annotations

DAY_S = 86_400.0
MAX_DRIFT_S = 60.0
WATCH_S = 600.0

UNSET_BEFORE = 1_735_689_600.0
"""2025-01-01: a clock before this was never set. Turns stamped with it count from when the clock is right."""


class Retention:
    """Gives the time before which turns are to go, once the wall clock has run evenly for ten minutes.

    A box without a battery for its clock may start in 1970, or with the last time it remembers, and jump when the
    network tells it the time. Right after a start, or a jump, nothing is deleted.
    """

    def __init__(self, days: int) -> None:
        self._days = days
        self._since: tuple[float, float] | None = None
        self._deleted_s: float | None = None

    def deleted(self, monotonic_s: float) -> None:
        """Something was deleted now: nothing is too old again for a day."""
        self._deleted_s = monotonic_s

    def cutoff(self, now: float, monotonic_s: float) -> float | None:
        """Seconds since 1970 before which turns are too old; null when nothing may be deleted (yet)."""
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
        if self._deleted_s is not None and monotonic_s - self._deleted_s < DAY_S:
            return None
        return now - self._days * DAY_S
