"""The watchdog is fed while all is well, and only then."""

from __future__ import annotations

import os

import pytest

from agentbox.asr.worker import InferenceThread
from agentbox.daemon.figures import BUCKETS_MS, Figures, Histogram, memory_bytes
from agentbox.daemon.health import Health
from agentbox.messages import Notice, StageEvent
from agentbox.service import watchdog_s


class Part:
    """The inference thread and the microphone, as health sees them."""

    state = "listening"
    device: str | None = "pulse"

    def __init__(self) -> None:
        self.well = True

    def alive(self) -> bool:
        return self.well

    def seen_to(self) -> bool:
        return self.well

    async def feed(self, hearing: object) -> None: ...


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def worker() -> Part:
    return Part()


@pytest.fixture
def source() -> Part:
    return Part()


@pytest.fixture
def health(worker: Part, source: Part, told: list[str]) -> Health:
    def notify(state: str) -> bool:
        told.append(state)
        return True

    thread: InferenceThread = worker  # type: ignore[assignment]
    return Health(thread, source, notify=notify)


def test_the_state_is_told_when_it_changes_and_the_watchdog_each_time(
    health: Health, source: Part, told: list[str]
) -> None:
    health.look()
    health.look()
    source.state = "no microphone: gone (3 s ago; looking for it)"
    health.look()
    assert told == [
        "WATCHDOG=1\nSTATUS=listening",
        "WATCHDOG=1",
        "WATCHDOG=1\nSTATUS=no microphone: gone (3 s ago; looking for it)",
    ]


@pytest.mark.parametrize("part", ["worker", "source"])
def test_a_part_that_hangs_leaves_the_watchdog_hungry(
    health: Health, worker: Part, source: Part, told: list[str], part: str, caplog: pytest.LogCaptureFixture
) -> None:
    broken = {"worker": worker, "source": source}[part]
    broken.well = False
    health.look()
    health.look()
    assert health.problem() is not None
    assert told == [f"STATUS={health.problem()}"]
    assert len(caplog.records) == 1
    broken.well = True
    health.look()
    assert told[-1] == "WATCHDOG=1\nSTATUS=listening"


def test_the_watchdog_is_fed_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    assert watchdog_s() is None
    monkeypatch.setenv("WATCHDOG_USEC", "3000000")
    assert watchdog_s() == 3.0
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid() + 1))
    assert watchdog_s() is None  # another process of the service is meant
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    assert watchdog_s() == 3.0


def event(stage: str, state: str, **timings: float) -> StageEvent:
    return StageEvent(stage=stage, state=state, at=0.0, monotonic_s=0.0, timings=timings)  # type: ignore[arg-type]


def test_figures_count_what_happened_and_how_long_it_took() -> None:
    now = [0.0]
    figures = Figures(lambda: now[0])
    for at in (0.0, 10.0, 3605.0):
        now[0] = at
        figures(event("utterance", "ended", silence_ms=250, speech_ms=3000))
    assert figures.events["utterance", "ended"] == 3
    assert figures.utterances_last_hour == 2
    assert figures.up_s == 3605.0
    assert figures.last_error is None
    error = Notice(code="no_device", what="a", level="error")
    figures(StageEvent(stage="notice", state="no_device", at=0.0, monotonic_s=0.0, message=error))
    assert figures.last_error == error
    assert dict(figures.timings["silence"].cumulative())["250"] == 3
    assert "score" not in figures.timings


def test_a_histogram_counts_every_value_once() -> None:
    histogram = Histogram()
    for value in (0.0, 10.0, 10.1, 99_999.0):
        histogram.add(value)
    counts = dict(histogram.cumulative())
    assert (counts["10"], counts["25"], counts["+Inf"]) == (2, 3, 4)
    assert len(counts) == len(BUCKETS_MS) + 1


def test_the_memory_of_this_process_is_known() -> None:
    memory = memory_bytes()
    assert memory is not None
    assert 10 << 20 < memory < 10 << 30
