"""From the parts of a spoken time ("tomorrow", "eight", "in the evening") to a moment. Pure; `now` is given."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal

from agentbox.errors import ToolError

Period = Literal["am", "pm", "night"]
Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
NextWeek = Literal[
    "monday_next_week",
    "tuesday_next_week",
    "wednesday_next_week",
    "thursday_next_week",
    "friday_next_week",
    "saturday_next_week",
    "sunday_next_week",
]
Day = Literal["today", "tomorrow", "day_after_tomorrow", "in_three_days"] | Weekday | NextWeek

_AHEAD = {"today": 0, "tomorrow": 1, "day_after_tomorrow": 2, "in_three_days": 3}
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_NEXT_WEEK = "_next_week"

SMALL_HOURS = 5
"""A night has the hours up to this one of the next morning: "one at night" is after midnight, "five" in the evening."""


def resolve(
    now: datetime, hour: int, minute: int = 0, period: Period | None = None, day: Day | None = None, *, by_day: bool
) -> datetime:
    """The moment that is meant, in `now`'s zone and after `now`.

    Without a period, an hour from 1 to 12 may be in either half of the day: it is the next time that a clock face
    shows it. On a named day to come that would be in the morning; `by_day` then takes the hours when people are up:
    7 to 11 in the morning, 12 noon, 1 to 6 in the afternoon. A weekday is the next one, and may be today. The small
    hours of a day's night are those of the day after; of tonight, said in the small hours, the same. A time that the
    change to summer time skips is as much later as the clock is put forward.
    Raises `ToolError`: `time_unclear` (there is no such time), `time_past` (today, but over).
    """
    hours = hours_meant(hour, minute, period)
    if day is not None and day != "today" and len(hours) == 2 and by_day:
        hours = [hour if hour >= 7 and hour != 12 else hour % 12 + 12]
    for which in days_meant(now.date(), day, after_midnight=_is_after_midnight(period, hours)):
        moments = [at for each in hours for at in both(which, time(each, minute), now)]
        later = [at for at in moments if at.timestamp() > now.timestamp()]
        if later:
            return min(later, key=datetime.timestamp)
    raise ToolError("time_past", "That time is over.")


def moved(
    now: datetime,
    before: datetime,
    hour: int | None,
    minute: int = 0,
    period: Period | None = None,
    day: Day | None = None,
    *,
    by_day: bool,
) -> datetime:
    """The moment that is meant by another time, or another day, for what was set for `before`.

    What is not said stays: the time of day, and the day as long as the time is still to come on it. Where the day
    stays, an hour that may be in either half of the day is the one nearest to `before`, be it past midnight; so are
    midnight and the small hours of a night. With a day it is as for `resolve`.
    Raises `ToolError`: `time_missing` (nothing was said), `time_unclear`, `time_past`.
    """
    if hour is None:
        if day is None and period is None:
            raise ToolError("time_missing", "It needs a time.", asks=True)
        period = period or ("am" if before.hour < 12 else "pm")
        hour, minute = before.hour % 12 or 12, before.minute
    hours = hours_meant(hour, minute, period)
    if day is None:
        near = len(hours) == 2 or hours == [0] or _is_after_midnight(period, hours)
        beside = (-1, 0, 1) if near else (0,)
        days = [before.date() + timedelta(days=ahead) for ahead in beside]
        moments = [at for which in days for each in hours for at in both(which, time(each, minute), now)]
        later = [at for at in moments if at.timestamp() > now.timestamp()]
        if later:
            return min(later, key=lambda at: (abs(at.timestamp() - before.timestamp()), -at.timestamp()))
    return resolve(now, hour, minute, period, day, by_day=by_day)


def both(day: date, clock: time, now: datetime) -> Iterator[datetime]:
    """The moments at which clocks in `now`'s zone show this: two in the hour that the end of summer time repeats."""
    first = datetime.combine(day, clock, now.tzinfo)
    second = first.replace(fold=1)
    yield first
    # In the hour that is skipped, fold=1 lies before fold=0 (PEP 495); only what is really shown twice counts.
    if second.astimezone(UTC) > first.astimezone(UTC):
        yield second


def hours_meant(hour: int, minute: int, period: Period | None) -> list[int]:
    """The hours of the day, 0 to 23, that may be meant. Raises `ToolError` `time_unclear`."""
    if not 0 <= hour <= 24 or not 0 <= minute <= 59 or (period == "am" and hour > 12):
        raise ToolError("time_unclear", "There is no such time of day.")
    if hour == 24:
        return [0]
    if period == "night":
        if hour > 12:
            return [hour]
        return [hour % 12 + (0 if hour % 12 < SMALL_HOURS else 12)]
    if period is not None:
        return [hour % 12 + (12 if period == "pm" else 0)]
    return [hour] if hour == 0 or hour > 12 else [hour % 12, hour % 12 + 12]


def days_meant(today: date, day: Day | None, *, after_midnight: bool = False) -> list[date]:
    """The days on which it may be, in order. `after_midnight`: it is in the small hours of that day's night."""
    late = int(after_midnight)
    if day is None:
        ahead = [0, 1, 2]
    elif day == "today":
        ahead = [0, 1] if after_midnight else [0]
    elif day in _AHEAD:
        ahead = [_AHEAD[day] + late]
    elif day.endswith(_NEXT_WEEK):
        ahead = [7 - today.weekday() + _WEEKDAYS.index(day.removesuffix(_NEXT_WEEK)) + late]
    else:
        first = (_WEEKDAYS.index(day) - today.weekday()) % 7 + late
        ahead = [first - 7, first, first + 7] if after_midnight else [first, first + 7]
    return [today + timedelta(days=days) for days in ahead]


def _is_after_midnight(period: Period | None, hours: list[int]) -> bool:
    return period == "night" and hours[0] < SMALL_HOURS
