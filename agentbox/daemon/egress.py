"""Writes down what leaves the box: a row before anything does, and what it came to."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal, Protocol

import msgspec

from agentbox.daemon.events import Events
from agentbox.messages import Egress, new_id
from agentbox.realtime.prices import Budget, Prices

Reason = Literal["connect", "turn", "probe", "test", "close"]


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


class Use:
    """One use of a backend, from `begin` to `end`. Between them a link may come, and go."""

    def __init__(self, meter: Meter, egress: Egress, prices: Prices, link: Counts | None) -> None:
        self._meter = meter
        self._egress = egress
        self._prices = prices
        self._link = link
        self._before = _counts(link)
        self._begun_s = time.monotonic()
        self._over = False

    def over(self, link: Counts) -> None:
        """It goes over this link, from the link's first byte on."""
        self._link, self._before = link, _counts(None)

    def end(self, outcome: str = "ok") -> None:
        """It is over; `outcome`: `ok`, or the code of what went wrong. A second end is none."""
        if self._over:
            return
        self._over = True
        now = _counts(self._link)
        spent = {name: now[name] - self._before.get(name, 0.0) for name in now}
        out_s, in_s, out, back = (spent.pop(name) for name in ("seconds_out", "seconds_in", "bytes_out", "bytes_in"))
        units = {name: count for name, count in spent.items() if count}
        self._meter.tell(
            msgspec.structs.replace(
                self._egress,
                seconds_out=round(out_s, 3),
                seconds_in=round(in_s, 3),
                bytes_out=int(out),
                bytes_in=int(back),
                units=units,
                price=round(self._prices.of(out_s, in_s, units), 6),
                duration_ms=round((time.monotonic() - self._begun_s) * 1000, 1),
                outcome=outcome,
            ),
            ended=True,
        )


class Meter:
    """Counts against the day's budget. `today` gives the box's own day (ISO date)."""

    def __init__(self, events: Events, budget: Budget, today: Callable[[], str]) -> None:
        self._events = events
        self._budget = budget
        self._today = today

    @property
    def is_left(self) -> bool:
        """Whether another turn may be given away today."""
        return self._budget.is_left(self._today())

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
        self.tell(egress, ended=False)
        return Use(self, egress, prices, link)

    def tell(self, egress: Egress, *, ended: bool) -> None:
        """Put the row down, or what it came to."""
        if ended:
            self._budget.spend(self._today(), (egress.seconds_out + egress.seconds_in) / 60, egress.price)
        self._events.emit("egress", "ended" if ended else "started", message=egress)


def _counts(link: Counts | None) -> dict[str, float]:
    names = ("seconds_out", "seconds_in", "bytes_out", "bytes_in")
    if link is None:
        return dict.fromkeys(names, 0.0)
    return {name: float(getattr(link, name)) for name in names} | link.units
