"""The day's budget, on a machine whose clock may be wrong."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbox.realtime.prices import DAY_S, Budget, Moment, Spent


class Clock:
    """A wall clock that can be set, beside one that cannot."""

    def __init__(self, wall: str) -> None:
        self.elapsed_s = 1_000.0
        self.set(wall)

    def set(self, wall: str) -> None:
        self._wall_s = datetime.fromisoformat(f"{wall}Z").timestamp()

    def pass_(self, hours: float) -> None:
        self._wall_s += hours * 3600
        self.elapsed_s += hours * 3600

    def jump(self, seconds: float) -> None:
        self._wall_s += seconds

    @property
    def now(self) -> Moment:
        return Moment(datetime.fromtimestamp(self._wall_s, UTC).date().isoformat(), self._wall_s, self.elapsed_s)


def test_a_new_day_has_a_new_budget() -> None:
    clock = Clock("2026-11-22 22:00")
    budget = Budget(minutes=10, money=2.0)
    budget.spend(clock.now, 10.0, 0.0)
    clock.pass_(1.9)
    assert not budget.is_left(clock.now)
    clock.pass_(0.2)
    assert budget.is_left(clock.now)
    budget.spend(clock.now, 0.0, 2.0)
    assert not budget.is_left(clock.now)


def test_the_day_before_the_start_counts() -> None:
    budget = Budget(minutes=10, earlier={"2026-11-22": Spent(10.0, 0.0), "2026-11-21": Spent(99.0, 0.0)})
    clock = Clock("2026-11-22 12:00")
    assert not budget.is_left(clock.now)
    clock.pass_(13)
    assert budget.is_left(clock.now)


def test_a_clock_that_is_put_back_gives_nothing_anew() -> None:
    for back in ("2026-11-21 12:00", "1970-01-01 00:00"):
        clock = Clock("2026-11-22 12:00")
        budget = Budget(minutes=10)
        budget.spend(clock.now, 10.0, 0.0)
        clock.set(back)
        assert not budget.is_left(clock.now)
        clock.pass_(13)  # over a midnight that is none
        assert not budget.is_left(clock.now)
        clock.set("2026-11-22 13:00")
        assert not budget.is_left(clock.now)


def test_what_was_spent_before_the_clock_was_set_is_todays_and_is_spent_once() -> None:
    clock = Clock("1970-01-01 00:01")
    earlier = {"2026-11-21": Spent(10.0, 0.0), "2026-11-22": Spent(4.0, 0.0)}
    budget = Budget(minutes=10, earlier=earlier)
    # Which day it is nobody knows: the last that is known is taken for it.
    budget.spend(clock.now, 3.0, 0.0)
    clock.set("2026-11-22 12:00")
    assert budget.is_left(clock.now)
    budget.spend(clock.now, 2.9, 0.0)
    assert budget.is_left(clock.now)
    budget.spend(clock.now, 0.2, 0.0)
    assert not budget.is_left(clock.now)


def test_before_the_clock_is_set_the_last_day_known_counts() -> None:
    clock = Clock("1970-01-01 00:01")
    budget = Budget(minutes=10, earlier={"2026-11-21": Spent(10.0, 0.0)})
    assert not budget.is_left(clock.now)
    clock.set("2026-11-22 12:00")
    assert budget.is_left(clock.now)


def test_the_day_after_todays_counts_as_well() -> None:
    # Of a clock that is a little slow now, or was a little ahead.
    earlier = {"2026-11-23": Spent(1.0, 3.0), "2026-11-22": Spent(4.0, 1.0)}
    clock = Clock("2026-11-22 12:00")
    assert not Budget(minutes=4, earlier=earlier).is_left(clock.now)
    assert not Budget(money=3.0, earlier=earlier).is_left(clock.now)


@pytest.mark.parametrize("start", ["2026-11-22 12:00", "1970-01-01 00:01"])
def test_a_day_that_was_never_there_hides_and_takes_nothing_of_today(start: str) -> None:
    earlier = {"2036-02-07": Spent(10.0, 3.0), "2026-11-22": Spent(4.0, 1.0)}
    clock = Clock(start)
    budget = Budget(minutes=10, money=3.0, earlier=earlier)
    assert budget.is_left(clock.now) == (start > "2026")  # before the clock is set, nobody knows
    clock.set("2026-11-22 12:00")
    assert budget.is_left(clock.now)
    assert not Budget(minutes=4, earlier=earlier).is_left(clock.now)
    budget.spend(clock.now, 6.0, 0.0)
    assert not budget.is_left(clock.now)
    clock.pass_(12.1)  # the midnight after
    assert budget.is_left(clock.now)


def test_a_clock_that_was_ahead_locks_nobody_out_for_longer_than_a_day() -> None:
    clock = Clock("2099-01-01 12:00")
    budget = Budget(minutes=10)
    budget.spend(clock.now, 10.0, 0.0)
    clock.set("2026-11-22 12:00")
    assert not budget.is_left(clock.now)
    clock.pass_(24.1)
    assert budget.is_left(clock.now)
    budget.spend(clock.now, 10.0, 0.0)
    assert not budget.is_left(clock.now)
    clock.pass_(12.1)  # the midnight after
    assert budget.is_left(clock.now)


def test_after_a_night_without_a_look_the_day_is_new() -> None:
    clock = Clock("2026-11-22 12:00")
    budget = Budget(minutes=10)
    budget.spend(clock.now, 10.0, 0.0)
    clock.pass_(20)
    clock.jump(30.0)  # the network's time, against a clock that was slow
    assert budget.is_left(clock.now)


@given(st.lists(st.tuples(st.floats(0, 12), st.sampled_from([0.0, 3600.0, -3600.0, 1e8, -1e8, 86400.0, -86400.0]))))
def test_however_the_clock_jumps_no_two_budgets_are_spent_in_less_time_than_evenly_passed(
    steps: list[tuple[float, float]],
) -> None:
    clock = Clock("2026-11-22 12:00")
    budget = Budget(minutes=1)
    spent = 0
    midnights = 0
    for hours, jump in steps:
        before = clock.now.day
        clock.pass_(hours)
        midnights += clock.now.day != before
        clock.jump(jump)
        while budget.is_left(clock.now):
            budget.spend(clock.now, 1.0, 0.0)
            spent += 1
    elapsed_days = sum(hours for hours, _ in steps) * 3600 / DAY_S
    assert spent <= 1 + midnights + elapsed_days
