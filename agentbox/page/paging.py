"""Lists by pages: where a page ends and the next one begins, which a link can carry; days as the box counts them."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from typing import Any

from agentbox.errors import InputError

PAGE = 25

_PLACE = re.compile(r"(?P<at>[0-9]{1,12}(?:\.[0-9]{1,9})?)_(?P<id>[0-9A-Za-z.-]{1,64})")


def page_of(rows: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], str]:
    """Of one row more than a page holds: the page, and where the next one begins; empty where there is none."""
    shown = rows[:PAGE]
    return shown, f"{shown[-1]['started_at']!r}_{shown[-1]['id']}" if len(rows) > PAGE else ""


def place_of(text: str) -> dict[str, Any]:
    """The parameters with which the daemon begins there; none for an empty text.

    Raises `InputError` `bad_parameter`.
    """
    if not text:
        return {}
    if (found := _PLACE.fullmatch(text)) is None:
        raise InputError("bad_parameter", "There is no such place in the list.", "Begin with the newest.")
    return {"before": float(found["at"]), "before_id": found["id"]}


def day_of(text: str) -> dict[str, float]:
    """An ISO date -> when that day of the box's clock begins and ends, seconds since 1970; nothing for an empty text.

    Raises `InputError` `bad_parameter`.
    """
    if not text:
        return {}
    try:
        day = date.fromisoformat(text)
        return {"since": begin_of(day), "until": begin_of(day + timedelta(days=1))}
    except (ValueError, OverflowError) as error:
        raise InputError("bad_parameter", "That is no date.", "Write it as 2026-01-31.") from error


def days_until(last: date, count: int) -> list[date]:
    """`count` days, the last one `last`."""
    return [last - timedelta(days=back) for back in range(count - 1, -1, -1)]


def today() -> date:
    """By the box's clock."""
    return datetime.now().astimezone().date()


def begin_of(day: date) -> float:
    """When it begins by the box's clock, seconds since 1970."""
    return datetime.combine(day, time()).astimezone().timestamp()
