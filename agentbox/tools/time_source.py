"""What time it is: on the wall, which may jump, and since the machine started, which never does."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import NamedTuple, Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_LOCALTIME = Path("/etc/localtime")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Now(NamedTuple):
    """One reading of both clocks."""

    wall: datetime
    """Aware, in the machine's own zone with its summer-time rules."""
    elapsed_s: float
    """Seconds since the machine started, sleep included (CLOCK_BOOTTIME)."""
    boot_id: str
    """Names this run of the machine; readings of `elapsed_s` compare only where it is the same. Empty: unknown."""


class Clock(Protocol):
    def read(self) -> Now: ...


class SystemClock:
    """The machine's clocks."""

    def __init__(self) -> None:
        try:
            self._boot_id = _BOOT_ID.read_text(encoding="ascii").strip()
        except OSError:
            # A sandbox without /proc/sys: every start then counts as a new boot, and timers fall back to wall time.
            self._boot_id = ""

    def read(self) -> Now:
        return Now(datetime.now(local_zone()), time.clock_gettime(time.CLOCK_BOOTTIME), self._boot_id)


def local_zone() -> tzinfo:
    """The machine's zone, read anew each time, so that a changed zone counts at once.

    `$TZ` where it names a zone or a file, else /etc/localtime, else UTC (tzset(3)).
    """
    name = os.environ.get("TZ", "").removeprefix(":")
    try:
        if name and not name.startswith("/"):
            return ZoneInfo(name)
        with Path(name or _LOCALTIME).open("rb") as file:
            return ZoneInfo.from_file(file)
    except (ZoneInfoNotFoundError, OSError, ValueError):
        # A rule such as CET-1CEST: the C library knows today's offset, if not the one of next summer.
        return datetime.now().astimezone().tzinfo or UTC
