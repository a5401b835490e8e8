"""Counts of what happened since the start, and how long it took: what `agentbox status` and the metrics are made of."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal

from agentbox.messages import Egress, Notice, StageEvent

HOUR_S = 3600.0

BUCKETS_MS = (10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000)
"""Upper bounds of a histogram's buckets."""


class Histogram:
    """How often a figure was at most so large."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS_MS) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        self.counts[next((at for at, bound in enumerate(BUCKETS_MS) if value <= bound), len(BUCKETS_MS))] += 1
        self.sum += value

    def cumulative(self) -> Iterator[tuple[str, float]]:
        """Each bound and how many values were no greater, as Prometheus counts."""
        total = 0
        for bound, count in zip([*map(str, BUCKETS_MS), "+Inf"], self.counts, strict=True):
            total += count
            yield bound, float(total)


class Figures:
    """A sink of the stage events. It keeps numbers alone, and a bounded lot of them."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._began_s = monotonic()
        self._turns: deque[float] = deque(maxlen=10_000)
        self.events: Counter[tuple[str, str]] = Counter()
        """By stage and state."""
        self.timings: dict[str, Histogram] = {}
        """By the name of a figure in milliseconds."""
        self.last_error: Notice | None = None
        self._uses: set[str] = set()

    def __call__(self, event: StageEvent) -> None:
        self.events[event.stage, event.state] += 1
        for name, value in event.timings.items():
            if name.endswith("_ms"):
                self.timings.setdefault(name.removesuffix("_ms"), Histogram()).add(value)
        if event.stage == "utterance" and event.state == "ended":
            self._turns.append(self._monotonic())
        if isinstance(event.message, Egress):
            if event.state == "started":
                self._uses.add(event.message.id)
            elif event.state == "ended":
                self._uses.discard(event.message.id)
        if isinstance(event.message, Notice) and event.message.level == "error":
            self.last_error = event.message

    @property
    def cloud_uses(self) -> int:
        """How many uses of what is elsewhere are open: something may leave the box now."""
        return len(self._uses)

    @property
    def up_s(self) -> float:
        return self._monotonic() - self._began_s

    @property
    def utterances_last_hour(self) -> int:
        since = self._monotonic() - HOUR_S
        return sum(at >= since for at in self._turns)


def memory_bytes(process: int | Literal["self"] = "self", *, kind: Literal["Pss", "Pss_Anon"] = "Pss") -> int | None:
    """A process's share of the machine's memory (PSS, proc(5)), or of it what no file backs; null where the kernel
    does not tell."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    sizes: Mapping[str, str] = dict(line.split(":", 1) for line in lines if ":" in line)
    return int(sizes[kind].split()[0]) * 1024 if kind in sizes else None
