"""Writes down what leaves the box: a row before anything does, and what it came to."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal, Protocol

import msgspec

from agentbox.daemon.events import Events
from agentbox.messages import Egress, new_id
from agentbox.realtime.prices import Budget, Moment, Prices

Reason = Literal["connect", "turn", "reply", "probe", "test", "close"]


class Counts(Protocol):
    """What counts what goes over a connection: a `Link`, or `TextCounts`."""

    @property
    def bytes_out(self) -> int: ...
    @property
    def bytes_in(self) -> int: ...
    @property
    def seconds_out(self) -> float: ...
    @property
    def seconds_in(self) -> float: ...
    @property
    def units(self) -> dict[str, float]: ...

    late: Callable[[], None]
    """Called when more is to be counted for whom nobody may wait any longer: `Use` sets it."""


class Use:
    """One use of a backend, from `begin` to `end`. Between them a link may come, and go.

    What still goes over the link afterwards, until the next use of it begins, is this one's: what the vendor bills for
    an answer is told after its end, and so is what of it was on its way when the owner broke it off.
    """

    def __init__(self, meter: Meter, egress: Egress, prices: Prices, link: Counts | None) -> None:
        self._meter = meter
        self._egress = egress
        """As it was last told."""
        self._prices = prices
        self._link: Counts | None = None
        self._before = self._told = _counts(None)
        self._begun_s = time.monotonic()
        self._over = False
        if link is not None:
            self.over(link)

    def over(self, link: Counts) -> None:
        """It goes over this link, from now on."""
        link.late()  # what came so far belongs to the use before
        link.late = self._late
        self._link = link
        self._before = self._told = _counts(link)

    def end(self, outcome: str = "ok") -> None:
        """It is over; `outcome`: `ok`, or the code of what went wrong. A second end is none."""
        if self._over:
            return
        self._over = True
        duration_ms = round((time.monotonic() - self._begun_s) * 1000, 1)
        self._tell("ended", msgspec.structs.replace(self._egress, duration_ms=duration_ms, outcome=outcome))

    def _late(self) -> None:
        if self._over and _counts(self._link) != self._told:
            self._tell("late", self._egress)

    def _tell(self, state: str, egress: Egress) -> None:
        self._told = now = _counts(self._link)
        spent = {name: now[name] - self._before.get(name, 0.0) for name in now}
        out_s, in_s, out, back = (spent.pop(name) for name in ("seconds_out", "seconds_in", "bytes_out", "bytes_in"))
        units = {name: count for name, count in spent.items() if count}
        before, self._egress = (
            self._egress,
            msgspec.structs.replace(
                egress,
                seconds_out=round(out_s, 3),
                seconds_in=round(in_s, 3),
                bytes_out=int(out),
                bytes_in=int(back),
                units=units,
                price=round(self._prices.of(out_s, in_s, units), 6),
            ),
        )
        self._meter.tell(state, self._egress, before)


class Meter:
    """Counts against the day's budget."""

    def __init__(self, events: Events, budget: Budget, clock: Callable[[], Moment]) -> None:
        self._events = events
        self._budget = budget
        self._clock = clock

    @property
    def is_left(self) -> bool:
        """Whether another turn may be given away today."""
        return self._budget.is_left(self._clock())

    def begin(
        self,
        backend: str,
        model: str,
        reason: Reason,
        prices: Prices,
        *,
        turn_id: str = "",
        link: Counts | None = None,
    ) -> Use:
        """Before anything leaves. `link`: the connection it will go over, where there is one already."""
        egress = Egress(id=new_id(), backend=backend, model=model, reason=reason, turn_id=turn_id)
        self._events.emit("egress", "started", message=egress)
        return Use(self, egress, prices, link)

    def tell(self, state: str, egress: Egress, before: Egress) -> None:
        """Put down what a row came to, which was told as `before`."""
        self._budget.spend(self._clock(), _minutes(egress) - _minutes(before), egress.price - before.price)
        self._events.emit("egress", state, message=egress)


def _minutes(egress: Egress) -> float:
    return (egress.seconds_out + egress.seconds_in) / 60


def _counts(link: Counts | None) -> dict[str, float]:
    names = ("seconds_out", "seconds_in", "bytes_out", "bytes_in")
    if link is None:
        return dict.fromkeys(names, 0.0)
    return {name: float(getattr(link, name)) for name in names} | link.units
