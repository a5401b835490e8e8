"""What a backend costs, by the vendor's prices as the owner wrote them down, and how much of the day's budget is left.
Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import NamedTuple

DAY_S = 86_400.0

MAX_DRIFT_S = 60.0
"""By so much two clocks may differ, between two looks, without one of them having been set."""

SET_SINCE = "2026-01-01"
"""A clock that shows an earlier day was not set yet: the box is younger."""


@dataclass(frozen=True, slots=True)
class Prices:
    """In the owner's money. `minute_out`, `minute_in`: a minute of sound sent and received; `million`: a million of the
    units that the vendor counts (`Used.units`), by their name."""

    minute_out: float = 0.0
    minute_in: float = 0.0
    million: Mapping[str, float] = field(default_factory=dict)

    def of(self, seconds_out: float, seconds_in: float, units: Mapping[str, float]) -> float:
        """What this much costs."""
        sound = self.minute_out * seconds_out / 60 + self.minute_in * seconds_in / 60
        return sound + sum(self.million.get(name, 0.0) * count / 1e6 for name, count in units.items())


class Moment(NamedTuple):
    """One reading of the clocks."""

    day: str
    """The box's own (ISO date)."""
    wall_s: float
    """Seconds since 1970, as the clock shows it: it may jump."""
    elapsed_s: float
    """On a clock that never jumps, and goes on while the machine sleeps."""


class Spent(NamedTuple):
    minutes: float = 0.0
    money: float = 0.0


class Budget:
    """So much a day; null: as much as it takes. `earlier`: what each day had cost before the start.

    A clock that jumps gives nothing anew and takes nothing away: a new day begins where the clock ran evenly over
    midnight, or when a whole day has passed, whatever the clock shows. Set forward, as after a start in 1970, what was
    spent since the day began counts beside what is known of the day that it turns out to be. What an `earlier` day of
    a far future had cost, when the clock was once ahead, is nobody's: otherwise it would count after every start.
    """

    def __init__(
        self,
        minutes: float | None = None,
        money: float | None = None,
        earlier: Mapping[str, Spent] | None = None,
    ) -> None:
        self.minutes = minutes
        self.money = money
        self._earlier = earlier or {}
        self._day = ""
        """The latest that was seen since the budget was given."""
        self._is_unset = False
        """It was taken from what is known of earlier days, as the clock shows none that can be."""
        self._begun_s = 0.0
        self._seen: Moment | None = None
        self._before = Spent()
        """Of this day, before the start."""
        self._since = Spent()

    def spend(self, now: Moment, minutes: float, money: float) -> None:
        """So much was used."""
        self._look(now)
        self._since = Spent(self._since.minutes + minutes, self._since.money + money)

    def is_left(self, now: Moment) -> bool:
        """Whether another turn may be given away."""
        self._look(now)
        minutes = self._before.minutes + self._since.minutes
        money = self._before.money + self._since.money
        return (self.minutes is None or minutes < self.minutes) and (self.money is None or money < self.money)

    def _look(self, now: Moment) -> None:
        seen, self._seen = self._seen, now
        if seen is None:
            self._begun_s = now.elapsed_s
            self._begin(now.day)
            return
        passed_s = now.elapsed_s - seen.elapsed_s
        is_even = abs(now.wall_s - seen.wall_s - passed_s) <= MAX_DRIFT_S
        if now.elapsed_s - self._begun_s >= DAY_S or (is_even and now.day > self._day):
            self._day, self._begun_s = now.day, now.elapsed_s
            self._before = self._since = Spent()
        elif now.day > self._day or (self._is_unset and now.day >= SET_SINCE):
            self._begin(now.day)

    def _begin(self, shown: str) -> None:
        """It turns out to be this day. Where a later one was written down, the clock is wrong now or was wrong then:
        both count."""
        self._is_unset = shown < SET_SINCE
        self._day = max([shown, *(day for day in self._earlier if _may_be(day, shown))])
        days = [self._earlier.get(day, Spent()) for day in (shown, self._day)]
        self._before = Spent(max(day.minutes for day in days), max(day.money for day in days))


def _may_be(day: str, shown: str) -> bool:
    """Whether it may be `day` where the clock shows another: it is a little slow, or was not set at all."""
    return shown < SET_SINCE or date.fromisoformat(day) - date.fromisoformat(shown) <= timedelta(days=1)
