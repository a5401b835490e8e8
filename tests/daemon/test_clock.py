"""A box without a battery for its clock starts in 1970, and the clock jumps when the network tells the time."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.daemon.conftest import Home, Running

DAY_S = 86_400.0


class Clock:
    def __init__(self, file: Path) -> None:
        self._file = file

    def set(self, moment: datetime) -> None:
        self.move(moment.timestamp() - time.time())

    def move(self, seconds: float) -> None:
        """How far the wall clock is off from now on."""
        new = self._file.with_suffix(".new")
        new.write_text(str(seconds))
        new.rename(self._file)


@pytest.fixture
def clock(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock(tmp_path / "clock")
    home.environ = {"MOVED_CLOCK": str(tmp_path / "clock")}
    clock.move(0.0)
    monkeypatch.setattr(home, "program", [sys.executable, "-m", "tests.daemon.moved_clock"])
    return clock


START = datetime(1970, 1, 1, 0, 1, tzinfo=UTC)


def test_a_timer_set_in_1970_rings_when_its_time_is_over_not_when_the_clock_is_set(
    home: Home, start: Callable[..., Running], clock: Clock
) -> None:
    clock.set(START)
    daemon = start("--source", "-")
    before_s = time.monotonic()
    [set_] = home.json("ask", "set a timer for 4 seconds")
    assert set_["outcome"] == "done"
    home.json("ask", "set a timer for 2 hours")
    clock.move(0.0)
    rung = daemon.until("reply", "alert")
    assert time.monotonic() - before_s >= 4.0
    assert "4 second" in rung["message"]["text"]
    home.json("ask", "stop")
    for days in (3, -400):
        clock.move(days * DAY_S)
        [left] = home.json("ask", "how much time is left")
        assert "2 hours left" in left["reply"]


def test_an_alarm_rings_when_the_clock_shows_its_time(home: Home, start: Callable[..., Running], clock: Clock) -> None:
    clock.set(START.replace(hour=5))
    daemon = start("--source", "-")
    home.json("ask", "set an alarm for 7:30 am")
    clock.set(datetime(2026, 11, 21, 7, 29, 57, tzinfo=UTC))
    rung = daemon.until("reply", "alert")
    assert "7:30" in rung["message"]["text"]


def test_a_clock_that_jumps_deletes_nothing(home: Home, start: Callable[..., Running], clock: Clock) -> None:
    home.configure({"storage": {"retention_days": 1}})
    clock.set(START)
    daemon = start("--source", "-")
    for days in (0, 400, -400):
        home.json("ask", "what time is it")
        clock.move(days * DAY_S)
    assert daemon.stop() == 0
    daemon = start("--source", "-")
    home.json("ask", "what time is it")
    daemon.stop()
    assert len(home.turns()) == 4
