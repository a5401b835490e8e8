"""`agentbox`, on a machine whose wall clock stands where a file says: `python -m tests.daemon.moved_clock run ...`.

The file in $MOVED_CLOCK holds how many seconds it is off, and may change at any time. Other clocks are the machine's.
(libfaketime 0.9.10 breaks clock_nanosleep(2) on the monotonic clock, with which Python sleeps.)
"""

from __future__ import annotations

import os
import runpy
import time
from datetime import UTC, datetime, tzinfo
from pathlib import Path

FILE = Path(os.environ["MOVED_CLOCK"])

_real = time.time


def moved() -> float:
    return _real() + float(FILE.read_text())


class MovedDatetime(datetime):
    @classmethod
    def now(cls, tz: tzinfo | None = None) -> MovedDatetime:
        return cls.fromtimestamp(moved(), tz)


if __name__ == "__main__":
    time.time = moved
    import agentbox.tools.time_source

    vars(agentbox.tools.time_source)["datetime"] = MovedDatetime
    assert abs(agentbox.tools.time_source.SystemClock().read().wall - datetime.fromtimestamp(moved(), UTC)).seconds < 2
    runpy.run_module("agentbox", run_name="__main__", alter_sys=True)
