"""What is asked of the journal, and how things leave it for good."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from sqlite_utils import Database

from agentbox.messages import JSON
from agentbox.storage.latency import latency
from agentbox.storage.listing import SUMMARY, decoded, summaries
from agentbox.storage.retention import MAX_DRIFT_S, UNSET_BEFORE, Clock
from agentbox.storage.rows import clean
from agentbox.storage.search import query

LOT = 500
"""Turns deleted in one transaction: a tool's store, used from the event loop, waits no longer than for these."""

MIN_PREFIX = 6
"""Characters of an id that count as one; fewer would make a slip of the finger delete something."""


def search(database: Database, text: str, limit: int) -> list[dict[str, JSON]]:
    """Turns that hold all words of `text`, best first; none for a text without words."""
    match = query(text)
    if not match:
        return []
    which = "JOIN search ON search.rowid = turns.number WHERE search MATCH ? ORDER BY search.rank LIMIT ?"
    return summaries(database, f"{SUMMARY} {which}", [match, limit])


def whole(database: Database, turn_id: str) -> dict[str, JSON] | None:
    """All rows of one turn, by its id or the start of it."""
    found = _resolve(database, turn_id)
    return None if found is None else next(iter(wholes(database, [found])), None)


def wholes(database: Database, ids: Sequence[str]) -> list[dict[str, JSON]]:
    """All rows of several turns, in their order; without those that are gone."""
    turns = (_whole(database, turn_id) for turn_id in ids)
    return [turn for turn in turns if turn is not None]


def _whole(database: Database, turn_id: str) -> dict[str, JSON] | None:
    def rows(table: str, order: str) -> list[dict[str, Any]]:
        found = database.query(f"SELECT * FROM {table} WHERE turn_id = ? ORDER BY {order}", [turn_id])  # noqa: S608
        return [decoded(row) for row in found]

    turn = next(iter(list(database.query("SELECT * FROM turns WHERE id = ?", [turn_id]))), None)
    if turn is None:
        return None
    del turn["number"]
    (has_audio,) = database.execute("SELECT count(*) FROM audio WHERE turn_id = ?", [turn_id]).fetchone()
    stages = rows("stage_times", "monotonic_s, id")
    return {
        **turn,
        "transcript": next(iter(rows("transcripts", "turn_id")), None),
        "readings": rows("readings", "kind"),
        "intent": next(iter(rows("intents", "turn_id")), None),
        "tool_calls": rows("tool_calls", "started_at, id"),
        "replies": rows("replies", "id"),
        "stages": stages,
        "latency": latency(stages),
        "audio": bool(has_audio),
    }


def all_ids(database: Database) -> list[str]:
    return [row[0] for row in database.execute("SELECT id FROM turns ORDER BY started_at, id").fetchall()]


def delete_ids(database: Database, turn_ids: Sequence[str]) -> int:
    """Delete turns by id or the start of one; how many there were."""
    found = {turn for turn in (_resolve(database, turn_id) for turn_id in turn_ids) if turn is not None}
    for turn in found:
        database.execute("DELETE FROM turns WHERE id = ?", [turn])
    return len(found)


def delete_between(database: Database, since: float, until: float) -> int:
    """Turns, a lot of them at most, and what was said unasked and noticed, in a stretch of time."""
    for table, which in (("replies", "turn_id IS NULL AND"), ("notices", "")):
        database.execute(f"DELETE FROM {table} WHERE {which} at >= ? AND at < ?", [since, until])  # noqa: S608
    which = "SELECT number FROM turns WHERE started_at >= ? AND started_at < ? LIMIT ?"
    return int(database.execute(f"DELETE FROM turns WHERE number IN ({which})", [since, until, LOT]).rowcount)  # noqa: S608


def delete_all(database: Database) -> int:
    """Turns, a lot of them at most, and everything said unasked and noticed."""
    return delete_between(database, -math.inf, math.inf)


def delete_before(database: Database, until: float) -> int:
    """What is older than `until`, a lot of turns at most. What left the box and who came in goes by its age alone: it
    holds no words."""
    database.execute("DELETE FROM egress WHERE started_at < ?", [until])
    database.execute("DELETE FROM audit WHERE at < ?", [until])
    return delete_between(database, 0.0, until)


def audit(database: Database, limit: int) -> list[dict[str, JSON]]:
    """What paired devices did, newest first."""
    return list(database.query("SELECT * FROM audit ORDER BY id DESC LIMIT ?", [limit]))


def any_before(database: Database, cutoff: float) -> bool:
    """Whether anything is older than `cutoff`."""
    sql = """
        SELECT EXISTS (SELECT 1 FROM turns WHERE started_at < :cutoff)
            OR EXISTS (SELECT 1 FROM replies WHERE turn_id IS NULL AND at < :cutoff)
            OR EXISTS (SELECT 1 FROM notices WHERE at < :cutoff)
            OR EXISTS (SELECT 1 FROM egress WHERE started_at < :cutoff)
            OR EXISTS (SELECT 1 FROM audit WHERE at < :cutoff)
    """
    return bool(database.execute(sql, {"cutoff": cutoff}).fetchone()[0])


def adopt_strays(database: Database, now: float) -> None:
    """What is from before the clock was ever set, or from when it was ahead, is as old as of `now`."""
    dated = ("turns", "started_at"), ("replies", "at"), ("notices", "at"), ("egress", "started_at"), ("audit", "at")
    for table, column in dated:
        sql = f"UPDATE {table} SET {column} = ? WHERE {column} < ? OR {column} > ?"  # noqa: S608
        database.execute(sql, [now, UNSET_BEFORE, now + MAX_DRIFT_S])


def clock(database: Database) -> Clock:
    """What is known of the wall clock."""
    row = database.execute("SELECT believed_at, doubted_at, doubted_s FROM clock").fetchone()
    return Clock(*row) if row else Clock()


def keep_clock(database: Database, clock: Clock) -> None:
    sql = "INSERT OR REPLACE INTO clock (id, believed_at, doubted_at, doubted_s) VALUES (1, ?, ?, ?)"
    database.execute(sql, [clock.believed_at, clock.doubted_at, clock.doubted_s])


def settle_crashed_calls(database: Database) -> int:
    """Calls that were under way when the box stopped: what became of them is not known."""
    return int(database.execute("UPDATE tool_calls SET state = 'unknown' WHERE state = 'started'").rowcount)


def _resolve(database: Database, turn_id: str) -> str | None:
    """The whole id that `turn_id` is or begins; null when there is none or more than one."""
    turn_id = clean(turn_id)
    if len(turn_id) < MIN_PREFIX:
        return None
    sql = "SELECT id FROM turns WHERE id >= ? AND id < ? ORDER BY id LIMIT 2"
    found = [row[0] for row in database.execute(sql, [turn_id, f"{turn_id}\uffff"]).fetchall()]
    return found[0] if len(found) == 1 or turn_id in found else None
