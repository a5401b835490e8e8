"""The journal as it is leafed through: which turns, a page at a time, newest first, and how much there is.

A page ends with a turn, and the next one begins after that turn, whatever was said or deleted meanwhile. Turns that
began at the same time come in the order of their ids.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlite_utils import Database

from agentbox.messages import JSON
from agentbox.storage.latency import latency
from agentbox.storage.search import query

SUMMARY = """
    SELECT turns.id, turns.started_at, turns.activated_by, coalesce(transcripts.text, turns.text) AS text,
           intents.name AS intent, intents.slots,
           (SELECT tool FROM tool_calls WHERE turn_id = turns.id ORDER BY started_at LIMIT 1) AS tool,
           (SELECT state FROM tool_calls WHERE turn_id = turns.id ORDER BY started_at LIMIT 1) AS tool_state,
           (SELECT text FROM replies WHERE turn_id = turns.id ORDER BY id DESC LIMIT 1) AS reply,
           (SELECT outcome FROM replies WHERE turn_id = turns.id ORDER BY id DESC LIMIT 1) AS outcome
    FROM turns
    LEFT JOIN transcripts ON transcripts.turn_id = turns.id
    LEFT JOIN intents ON intents.turn_id = turns.id
"""


@dataclass(frozen=True, kw_only=True)
class Which:
    """Turns to be listed; null: any. Times in seconds since 1970.

    `text`: all its words were heard. `before`: they began earlier or, with `before_id`, at that time with a smaller id.
    `since` and `until`: they began then or later, and before. `outcome`: of the last answer. `tool`: it was called.
    """

    text: str | None = None
    before: float | None = None
    before_id: str | None = None
    since: float | None = None
    until: float | None = None
    activated_by: str | None = None
    outcome: str | None = None
    tool: str | None = None


def turns(database: Database, limit: int, which: Which) -> list[dict[str, JSON]]:
    """`limit` turns at most, newest first; none for a `text` without words."""
    conditions, values = _conditions(which)
    source = "turns"
    if which.text is not None:
        match = query(which.text)
        if not match:
            return []
        # First the index of words, then the turns that it names: CROSS JOIN keeps this order.
        source = "search CROSS JOIN turns ON turns.number = search.rowid"
        conditions, values = ["search MATCH ?", *conditions], [match, *values]
    order = "ORDER BY turns.started_at DESC, turns.id DESC"
    numbers = f"SELECT turns.number FROM {source} WHERE {' AND '.join(conditions) or '1'} {order} LIMIT ?"  # noqa: S608
    return summaries(database, f"{SUMMARY} WHERE turns.number IN ({numbers}) {order}", [*values, limit])


def summaries(database: Database, sql: str, values: Sequence[JSON]) -> list[dict[str, JSON]]:
    """The turns that `sql`, which begins with `SUMMARY`, finds."""
    found = [decoded(row) for row in database.query(sql, list(values))]
    for turn in found:
        turn["latency"] = _latency(database, turn["id"])
    return found


def kept(database: Database, since: float | None, until: float | None) -> dict[str, JSON]:
    """How many turns there are (from `since` to before `until`), with how many sounds, and when the oldest began."""
    conditions, values = _conditions(Which(since=since, until=until))
    where = " AND ".join(conditions) or "1"
    what = "count(*), count(audio.turn_id), min(turns.started_at)"
    sql = f"SELECT {what} FROM turns LEFT JOIN audio ON audio.turn_id = turns.id WHERE {where}"  # noqa: S608
    count, with_sound, oldest_at = database.execute(sql, values).fetchone()
    return {"turns": count, "with_sound": with_sound, "oldest_at": oldest_at}


def egress(
    database: Database, limit: int, since: float = 0.0, before: float | None = None, before_id: str | None = None
) -> list[dict[str, JSON]]:
    """What left the box from `since` on, newest first; `before` and `before_id` as in `Which`."""
    where = "started_at >= ?"
    values: list[JSON] = [since]
    if before is not None:
        where, values = f"{where} AND (started_at, id) < (?, ?)", [*values, before, before_id or ""]
    sql = f"SELECT * FROM egress WHERE {where} ORDER BY started_at DESC, id DESC LIMIT ?"  # noqa: S608
    return [decoded(row) for row in database.query(sql, [*values, limit])]


def egress_days(database: Database, limit: int, since: float) -> list[dict[str, JSON]]:
    """What left the box from `since` on, summed up for each day (of the box's clock) and backend, newest first."""
    sql = """
        SELECT date(started_at, 'unixepoch', 'localtime') AS day, backend, count(*) AS uses,
               sum(reason = 'turn') AS turns, sum(seconds_out) AS seconds_out, sum(seconds_in) AS seconds_in,
               sum(bytes_out) AS bytes_out, sum(bytes_in) AS bytes_in, sum(price) AS price
        FROM egress WHERE started_at >= ? GROUP BY day, backend ORDER BY day DESC, backend LIMIT ?
    """
    return list(database.query(sql, [since, limit]))


def spent(database: Database, since: float) -> tuple[float, float]:
    """Minutes of sound, both ways, and the price of all that left the box from `since` on."""
    sql = "SELECT total(seconds_out + seconds_in) / 60, total(price) FROM egress WHERE started_at >= ?"
    minutes, price = database.execute(sql, [since]).fetchone()
    return minutes, price


def decoded(row: dict[str, Any]) -> dict[str, JSON]:
    """The row with what is JSON in it read."""
    for name in ("slots", "arguments", "data", "timings", "units"):
        if row.get(name) is not None:
            row[name] = json.loads(row[name])
    return row


def _conditions(which: Which) -> tuple[list[str], list[JSON]]:
    conditions = {
        "(turns.started_at, turns.id) < (?, ?)": None
        if which.before is None
        else (which.before, which.before_id or ""),
        "turns.started_at >= ?": which.since,
        "turns.started_at < ?": which.until,
        "turns.activated_by = ?": which.activated_by,
        "(SELECT outcome FROM replies WHERE turn_id = turns.id ORDER BY id DESC LIMIT 1) = ?": which.outcome,
        "EXISTS (SELECT 1 FROM tool_calls WHERE turn_id = turns.id AND tool = ?)": which.tool,
    }
    wanted = {sql: value for sql, value in conditions.items() if value is not None}
    values = [one for value in wanted.values() for one in (value if isinstance(value, tuple) else (value,))]
    return list(wanted), values


def _latency(database: Database, turn_id: str) -> dict[str, float | None]:
    sql = "SELECT stage, state, monotonic_s, timings FROM stage_times WHERE turn_id = ? ORDER BY monotonic_s, id"
    return latency([decoded(row) for row in database.query(sql, [turn_id])])


def last_calls(database: Database) -> list[dict[str, JSON]]:
    """The last call of each tool: `tool`, `at`, `caller`, `state`, `error_code`.

    Beside max() SQLite gives the columns of the row that holds it.
    """
    sql = "SELECT tool, max(started_at) AS at, caller, state, error_code FROM tool_calls GROUP BY tool"
    return list(database.query(sql))
