"""What is asked of the journal, and how things leave it for good."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, TypeVar

from sqlite_utils import Database

from agentbox.messages import JSON
from agentbox.storage.retention import UNSET_BEFORE
from agentbox.storage.search import query

T = TypeVar("T")

MIN_PREFIX = 6
"""Characters of an id that count as one; fewer would make a slip of the finger delete something."""

_SUMMARY = """
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


def recent(database: Database, limit: int, before: float | None) -> list[dict[str, JSON]]:
    """The last turns, newest first."""
    return _summaries(
        database,
        f"{_SUMMARY} WHERE ? IS NULL OR turns.started_at < ? ORDER BY turns.started_at DESC, turns.id DESC LIMIT ?",
        [before, before, limit],
    )


def search(database: Database, text: str, limit: int) -> list[dict[str, JSON]]:
    """Turns that hold all words of `text`, best first; none for a text without words."""
    match = query(text)
    if not match:
        return []
    return _summaries(
        database,
        f"{_SUMMARY} JOIN search ON search.turn_id = turns.id WHERE search MATCH ? ORDER BY search.rank LIMIT ?",
        [match, limit],
    )


def whole(database: Database, turn_id: str) -> dict[str, JSON] | None:
    """All rows of one turn, by its id or the start of it."""
    found = _resolve(database, turn_id)
    if found is None:
        return None
    [turn] = database.query("SELECT * FROM turns WHERE id = ?", [found])

    def rows(table: str, order: str) -> list[dict[str, Any]]:
        return [
            _decoded(row)
            for row in database.query(f"SELECT * FROM {table} WHERE turn_id = ? ORDER BY {order}", [found])  # noqa: S608
        ]

    (has_audio,) = database.execute("SELECT count(*) FROM audio WHERE turn_id = ?", [found]).fetchone()
    return {
        **turn,
        "transcript": next(iter(rows("transcripts", "turn_id")), None),
        "intent": next(iter(rows("intents", "turn_id")), None),
        "tool_calls": rows("tool_calls", "started_at"),
        "replies": rows("replies", "id"),
        "stages": rows("stage_times", "id"),
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
    """Turns, and what was said unasked and noticed, in a stretch of time."""
    for table in ("replies", "notices"):
        database.execute(f"DELETE FROM {table} WHERE at >= ? AND at < ?", [since, until])  # noqa: S608
    return int(database.execute("DELETE FROM turns WHERE started_at >= ? AND started_at < ?", [since, until]).rowcount)


def delete_all(database: Database) -> int:
    for table in ("replies", "notices"):
        database.execute(f"DELETE FROM {table}")  # noqa: S608
    return int(database.execute("DELETE FROM turns").rowcount)


def scrub(database: Database) -> None:
    """Make what was deleted unreadable: `secure_delete` overwrites freed pages, the search index forgets its words
    only when it is built anew, and the write-ahead log still holds old pages until it is cut to nothing."""
    with database.atomic():
        database.execute("INSERT INTO search (search) VALUES ('rebuild')")
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def any_before(database: Database, cutoff: float) -> bool:
    return bool(database.execute("SELECT EXISTS (SELECT 1 FROM turns WHERE started_at < ?)", [cutoff]).fetchone()[0])


def adopt_unset(database: Database, now: float) -> None:
    """Turns from before the clock was ever set are as old as of `now`."""
    database.execute("UPDATE turns SET started_at = ? WHERE started_at < ?", [now, UNSET_BEFORE])


def settle_crashed_calls(database: Database) -> int:
    """Calls that were under way when the box stopped: what became of them is not known."""
    return int(database.execute("UPDATE tool_calls SET state = 'unknown' WHERE state = 'started'").rowcount)


def _resolve(database: Database, turn_id: str) -> str | None:
    """The whole id that `turn_id` is or begins; null when there is none or more than one."""
    if len(turn_id) < MIN_PREFIX:
        return None
    rows = database.execute(
        "SELECT id FROM turns WHERE substr(id, 1, ?) = ? LIMIT 2", [len(turn_id), turn_id]
    ).fetchall()
    return rows[0][0] if len(rows) == 1 else None


def _summaries(database: Database, sql: str, values: list[Any]) -> list[dict[str, JSON]]:
    return [_decoded(row) for row in database.query(sql, values)]


def _decoded(row: dict[str, Any]) -> dict[str, JSON]:
    for name in ("slots", "arguments", "data", "timings"):
        if row.get(name) is not None:
            row[name] = json.loads(row[name])
    return row
