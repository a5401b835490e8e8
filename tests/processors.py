"""Whether the machine's processors were there for it: on a virtual machine the host may lend them to others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

LATE = 0.02
"""From such a share of the time in which the machine had work to do, sound that is heard and played as time passes has
holes: it is not taken evenly, but tenths of a second at a time. A machine that is left alone has 0.00."""

_ATTEMPTS = 3


class Ticks(NamedTuple):
    """Of all processors since the machine started (proc_stat(5))."""

    worked: int
    stolen: int
    """There was work, and the host ran something else."""

    @classmethod
    def now(cls) -> Ticks:
        user, nice, system, _, _, irq, softirq, stolen, *_ = map(
            int, Path("/proc/stat").read_text().splitlines()[0].split()[1:]
        )
        return cls(user + nice + system + irq + softirq, stolen)

    def stolen_since(self) -> float:
        """The share of the time since then in which there was work to do and the processors were elsewhere."""
        now = Ticks.now()
        stolen = now.stolen - self.stolen
        return stolen / max(1, now.worked - self.worked + stolen)


def in_real_time(have: Callable[[], None], afresh: Callable[[], object]) -> None:
    """`have` a test. Where it fails and the processors were elsewhere meanwhile, it is had again, after `afresh`; where
    they always are, it is skipped: it can show nothing on such a machine. It fails as ever where they were there."""
    for _ in range(_ATTEMPTS):
        began = Ticks.now()
        try:
            return have()
        except AssertionError:
            stolen = began.stolen_since()
            if stolen < LATE:
                raise
        afresh()
    pytest.skip(f"the host had taken the processors away for {stolen:.0%} of the time they were needed")
