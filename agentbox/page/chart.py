"""Bars per day, as numbers that a template puts into SVG. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

DAY_WIDTH = 10
GAP = 2
HEIGHT = 60
LEAST = 1.5
"""Of a bar: what is little can be seen, and is not nothing."""

MEASURES = ("seconds", "bytes", "price")


@dataclass(frozen=True)
class Bar:
    """A day's. In units of the drawing, from its upper left corner; `value` in the measure's unit."""

    day: str
    value: float
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Chart:
    """One backend's days in one measure. All backends have the same scale, so that they can be compared."""

    measure: str
    backend: str
    bars: list[Bar]
    total: float
    most: float
    """Of the backend's days."""
    width: int
    height: int = HEIGHT


def charts(sums: Sequence[Mapping[str, Any]], days: Sequence[str]) -> dict[str, list[Chart]]:
    """`sums`: rows of `egress.days`; `days`: ISO dates, the oldest first. Measures of which there was nothing are
    left out."""
    found: dict[str, list[Chart]] = {}
    backends = sorted({str(row["backend"]) for row in sums})
    for measure in MEASURES:
        values = {(str(row["backend"]), str(row["day"])): _value(row, measure) for row in sums}
        top = max((value for (_, day), value in values.items() if day in set(days)), default=0.0)
        if top > 0:
            found[measure] = [_chart(measure, backend, days, values, top) for backend in backends]
    return found


def _chart(
    measure: str, backend: str, days: Sequence[str], values: Mapping[tuple[str, str], float], top: float
) -> Chart:
    bars = []
    for number, day in enumerate(days):
        value = values.get((backend, day), 0.0)
        if value > 0:
            height = round(max(LEAST, HEIGHT * value / top), 2)
            bars.append(Bar(day, value, number * DAY_WIDTH, round(HEIGHT - height, 2), DAY_WIDTH - GAP, height))
    most = max((bar.value for bar in bars), default=0.0)
    return Chart(measure, backend, bars, sum(bar.value for bar in bars), most, len(days) * DAY_WIDTH)


def _value(row: Mapping[str, Any], measure: str) -> float:
    if measure == "price":
        return float(row["price"])
    return float(row[f"{measure}_out"] + row[f"{measure}_in"])
