"""What a backend costs, by the vendor's prices as the owner wrote them down, and how much of the day's budget is left.
Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


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


@dataclass(slots=True)
class Budget:
    """So much a day; null: as much as it takes. Days are the box's own."""

    minutes: float | None = None
    money: float | None = None
    day: str = ""
    spent_minutes: float = 0.0
    spent_money: float = 0.0

    def spend(self, day: str, minutes: float, money: float) -> None:
        """On `day` (ISO date), so much was used."""
        self._turn(day)
        self.spent_minutes += minutes
        self.spent_money += money

    def is_left(self, day: str) -> bool:
        """Whether another turn may be given away."""
        self._turn(day)
        minutes = self.minutes is None or self.spent_minutes < self.minutes
        return minutes and (self.money is None or self.spent_money < self.money)

    def _turn(self, day: str) -> None:
        if day != self.day:
            self.day, self.spent_minutes, self.spent_money = day, 0.0, 0.0
