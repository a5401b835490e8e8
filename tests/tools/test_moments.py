"""From spoken parts of a time to a moment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import get_args
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agentbox.errors import ToolError
from agentbox.tools.timers.moments import SMALL_HOURS, Day, Period, hours_meant, moved, resolve

BERLIN = ZoneInfo("Europe/Berlin")
NEW_YORK = ZoneInfo("America/New_York")
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")  # its summer time is half an hour

SATURDAY = datetime(2026, 11, 21, 10, 0, tzinfo=BERLIN)


@pytest.mark.parametrize(
    ("hour", "minute", "period", "day", "expected"),
    [
        (8, 0, None, None, "2026-11-21T20:00"),  # eight: a clock face shows it next in the evening
        (11, 30, None, None, "2026-11-21T11:30"),
        (10, 0, None, None, "2026-11-21T22:00"),  # now is not next
        (8, 0, "am", None, "2026-11-22T08:00"),
        (8, 0, "pm", None, "2026-11-21T20:00"),
        (12, 0, "am", None, "2026-11-22T00:00"),
        (12, 0, "pm", None, "2026-11-21T12:00"),
        (12, 15, None, None, "2026-11-21T12:15"),
        (0, 30, None, None, "2026-11-22T00:30"),
        (24, 0, None, None, "2026-11-22T00:00"),
        (15, 0, "pm", None, "2026-11-21T15:00"),
        (15, 0, None, None, "2026-11-21T15:00"),
        (8, 0, None, "today", "2026-11-21T20:00"),
        (8, 0, None, "tomorrow", "2026-11-22T08:00"),
        (8, 0, "pm", "tomorrow", "2026-11-22T20:00"),
        (7, 45, None, "day_after_tomorrow", "2026-11-23T07:45"),
        (9, 0, "am", "saturday", "2026-11-28T09:00"),  # this Saturday's is over
        (11, 0, "am", "saturday", "2026-11-21T11:00"),
        (9, 0, None, "monday", "2026-11-23T09:00"),
        (9, 0, None, "friday", "2026-11-27T09:00"),
        (9, 0, "am", "in_three_days", "2026-11-24T09:00"),
        (9, 0, "am", "monday_next_week", "2026-11-23T09:00"),
        (9, 0, "am", "sunday_next_week", "2026-11-29T09:00"),
        (8, 0, "night", None, "2026-11-21T20:00"),
        (5, 0, "night", "tomorrow", "2026-11-22T17:00"),
        (12, 0, "night", None, "2026-11-22T00:00"),
        (12, 0, "night", "today", "2026-11-22T00:00"),
        (1, 0, "night", "today", "2026-11-22T01:00"),
        (1, 0, "night", "tomorrow", "2026-11-23T01:00"),
        (1, 30, "night", "saturday", "2026-11-22T01:30"),
        (1, 30, "night", "friday", "2026-11-28T01:30"),
        (21, 0, "night", "friday", "2026-11-27T21:00"),
    ],
)
def test_what_is_meant(hour: int, minute: int, period: Period | None, day: Day | None, expected: str) -> None:
    at = resolve(SATURDAY, hour, minute, period, day, by_day=False)
    assert at.isoformat(timespec="minutes")[:16] == expected


@pytest.mark.parametrize(("hour", "by_day", "expected"), [(3, True, 15), (3, False, 3), (8, True, 8), (12, True, 12)])
def test_a_reminder_for_tomorrow_at_three_is_not_for_the_night(hour: int, by_day: bool, expected: int) -> None:
    assert resolve(SATURDAY, hour, 0, None, "tomorrow", by_day=by_day).hour == expected


@pytest.mark.parametrize(("hour", "minute", "period"), [(25, 0, None), (-1, 0, None), (8, 60, None), (14, 0, "am")])
def test_there_is_no_such_time(hour: int, minute: int, period: Period | None) -> None:
    with pytest.raises(ToolError) as raised:
        resolve(SATURDAY, hour, minute, period, by_day=False)
    assert raised.value.code == "time_unclear"


@pytest.mark.parametrize(
    ("before", "hour", "minute", "period", "day", "expected"),
    [
        ("2026-11-23T07:00", 8, 0, None, None, "2026-11-23T08:00"),  # on the same day, in the same half of it
        ("2026-11-23T19:00", 8, 30, None, None, "2026-11-23T20:30"),
        ("2026-11-23T11:00", 1, 0, None, None, "2026-11-23T13:00"),
        ("2026-11-23T07:00", 1, 0, None, None, "2026-11-23T13:00"),  # as near as 1 AM
        ("2026-11-23T23:00", 12, 30, None, None, "2026-11-24T00:30"),
        ("2026-11-23T22:00", 0, 0, None, None, "2026-11-24T00:00"),
        ("2026-11-23T07:00", 8, 0, "pm", None, "2026-11-23T20:00"),
        ("2026-11-23T07:00", 15, 0, None, None, "2026-11-23T15:00"),
        ("2026-11-21T19:00", 7, 0, "am", None, "2026-11-22T07:00"),  # over today
        ("2026-11-21T10:30", 9, 0, None, None, "2026-11-21T21:00"),
        ("2026-11-22T19:00", 8, 0, None, "monday", "2026-11-23T08:00"),
        ("2026-11-22T19:15", None, 0, None, "monday", "2026-11-23T19:15"),  # the time stays
        ("2026-11-23T00:10", None, 0, None, "tomorrow", "2026-11-22T00:10"),
        ("2026-11-21T19:00", None, 0, "am", None, "2026-11-22T07:00"),
        ("2026-11-23T23:00", 1, 0, "night", None, "2026-11-24T01:00"),
        ("2026-11-23T07:00", None, 0, "night", None, "2026-11-23T19:00"),
    ],
)
def test_what_another_time_means(
    before: str, hour: int | None, minute: int, period: Period | None, day: Day | None, expected: str
) -> None:
    was = datetime.fromisoformat(before).replace(tzinfo=BERLIN)
    at = moved(SATURDAY, was, hour, minute, period, day, by_day=False)
    assert at.isoformat(timespec="minutes")[:16] == expected


def test_tonight_said_after_midnight_is_this_night() -> None:
    late = datetime(2026, 11, 22, 0, 30, tzinfo=BERLIN)
    for day in ("today", "saturday"):
        assert resolve(late, 1, 0, "night", day, by_day=False).isoformat()[:13] == "2026-11-22T01"
    assert resolve(late, 11, 0, "night", "today", by_day=False).isoformat()[:13] == "2026-11-22T23"


def test_another_time_has_to_be_said() -> None:
    with pytest.raises(ToolError) as raised:
        moved(SATURDAY, SATURDAY, None, by_day=False)
    assert raised.value.code == "time_missing"


def test_today_but_over() -> None:
    with pytest.raises(ToolError) as raised:
        resolve(SATURDAY, 9, 0, "am", "today", by_day=False)
    assert raised.value.code == "time_past"


def test_a_time_that_the_change_to_summer_time_skips_is_later_by_as_much() -> None:
    night = datetime(2026, 3, 28, 23, 0, tzinfo=BERLIN)
    at = resolve(night, 2, 30, "am", by_day=False)
    assert at.astimezone(UTC) == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
    assert at.astimezone(UTC).astimezone(BERLIN).hour == 3


def test_in_the_hour_that_comes_twice_the_next_one_is_meant() -> None:
    between = datetime(2026, 10, 25, 2, 40, tzinfo=BERLIN)
    at = resolve(between, 2, 30, "am", by_day=False)
    assert at.fold == 1
    assert at.timestamp() - between.timestamp() == 50 * 60


_FROM, _TO = datetime(2025, 1, 1), datetime(2028, 1, 1)  # noqa: DTZ001 - hypothesis adds the zone


@given(
    now=st.datetimes(_FROM, _TO, timezones=st.sampled_from([UTC, BERLIN, NEW_YORK, LORD_HOWE])),
    hour=st.integers(0, 24),
    minute=st.integers(0, 59),
    period=st.sampled_from([None, *get_args(Period)]),
    day=st.sampled_from([None, *get_args(get_args(Day)[0]), "monday", "saturday", "sunday_next_week"]),
    by_day=st.booleans(),
)
@example(datetime(2026, 10, 25, 2, 59, tzinfo=BERLIN), 2, 30, None, None, False)
@example(datetime(2026, 3, 29, 1, 59, tzinfo=BERLIN), 2, 30, None, None, False)
def test_it_is_later_than_now_on_the_right_day_at_the_right_time_and_the_first_such(
    now: datetime, hour: int, minute: int, period: Period | None, day: Day | None, by_day: bool
) -> None:
    if period == "am" and hour > 12:
        with pytest.raises(ToolError, match="no such time"):
            resolve(now, hour, minute, period, day, by_day=by_day)
        return
    try:
        at = resolve(now, hour, minute, period, day, by_day=by_day)
    except ToolError:
        assert day == "today"
        return
    ahead_s = at.timestamp() - now.timestamp()
    assert at.tzinfo is now.tzinfo
    assert at.minute == minute
    assert at.hour in hours_meant(hour, minute, period)
    assert 0 < ahead_s < (15.1 if day else 2.1) * 86400
    if day is None and period is None and 1 <= hour <= 12:
        assert ahead_s <= 13 * 3600  # a clock face shows it twice a day
    evening = at.date()
    if period == "night" and at.hour < SMALL_HOURS:
        evening -= timedelta(days=1)
        if day == "today" and evening < now.date():
            return  # said in the small hours of the same night
    if day in (days := get_args(get_args(Day)[0])):
        assert (evening - now.date()).days == days.index(day)
    elif day is not None:
        assert evening.strftime("%A").lower() == day.removesuffix("_next_week")
        assert (evening.isocalendar()[:2] == (now + timedelta(days=7)).isocalendar()[:2]) or "next" not in day
