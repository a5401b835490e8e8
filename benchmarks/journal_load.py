"""A process that uses a journal as the daemon does, until it is killed; and one that looks at what is left.

    python -m benchmarks.journal_load load FILE --activity delete --seed 1
    python -m benchmarks.journal_load look FILE

`load` tells what it does in the lines that `benchmarks.ledger` reads; `look` prints what it found as one line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import sqlite3
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from agentbox.messages import Notice, new_id
from agentbox.storage.journal import Journal
from benchmarks.ledger import Found
from tests.storage.talk import whole_turn

ACTIVITIES = ("write", "delete", "sweep", "search", "open", "migrate")

DAY_S = 86_400.0
YEARS_HENCE = 2_524_608_000.0
"""2050-01-01: the load's own clock begins here, so that there is room for turns that are too old."""
RETENTION_DAYS = 3650
KEYS = 12
MANY = 1500
"""Turns in the file past which more are deleted than written, so that looking at it stays quick."""


def tell(*words: str) -> None:
    """One line, in as few system calls as there can be, so that a kill leaves whole lines."""
    line = (" ".join(words) + "\n").encode()
    while line:
        line = line[os.write(1, line) :]


class Load:
    """Uses the journal at `path`. `too_early`: tells a turn before it is on disk, to see whether losses are found."""

    def __init__(self, path: Path, draw: random.Random, *, too_early: bool = False, unsafe: bool = False) -> None:
        self._path = path
        self._draw = draw
        self._too_early = too_early
        self._unsafe = unsafe
        self._turns: list[str] = []
        self._now = YEARS_HENCE
        self._monotonic_s = 0.0

    def open(self) -> Journal:
        tell("phase", "open")
        journal = Journal.open(self._path, retention_days=RETENTION_DAYS, keep_audio=True)
        if self._unsafe:
            with journal._connection._lock:
                journal._connection._current().execute("PRAGMA synchronous = OFF").fetchall()
        return journal

    async def run(self, activity: str) -> None:
        """Never returns."""
        if activity in ("open", "migrate"):
            await self._open_and_close(older=activity == "migrate")
        journal = self.open()
        self._turns = [str(turn["id"]) for turn in journal.recent(10_000)]
        with contextlib.closing(sqlite3.connect(self._path)) as database:
            row = database.execute("SELECT believed_at FROM clock").fetchone()
        self._now = row[0] if row and row[0] else YEARS_HENCE
        beside = {"delete": self._delete, "sweep": self._sweep, "search": self._search}
        tell("phase", activity)
        loops = [self._talk(journal), self._keep_values(journal)]
        if activity in beside:
            loops.append(beside[activity](journal))
        await asyncio.gather(*loops)

    async def _talk(self, journal: Journal) -> None:
        while True:
            await self._turn(journal)
            if len(self._turns) > MANY:
                await self._delete_some(journal, 100)
            await asyncio.sleep(self._draw.choice((0.0, 0.0, 0.003)))

    async def _turn(self, journal: Journal, *, old: bool = False) -> None:
        at = self._now - (RETENTION_DAYS + 10) * DAY_S if old else self._now
        words = f"add 牛奶 and milk {self._draw.randrange(10**6)} " + "word " * self._draw.choice((3, 50, 900))
        turn, events = whole_turn(words.strip(), at=at, turn=self._id())
        for event in events:
            journal.record(event)
        if self._too_early or await journal.settled():
            tell("kept-old" if old else "kept", turn)
            if not old:
                self._turns.append(turn)

    def _id(self) -> str:
        """As `new_id`, but told by the seed: a machine that is started from one image may draw the same again."""
        return f"{new_id()[:12]}{self._draw.getrandbits(80):020x}"

    async def _keep_values(self, journal: Journal) -> None:
        store = journal.store("lists")
        there: set[str] = set(store.items())
        while True:
            key = f"key{self._draw.randrange(KEYS)}"
            if key in there and self._draw.random() < 0.2:
                tell("dropping", key)
                store.delete(key)
                tell("dropped")
                there.discard(key)
            else:
                value = f"v{self._draw.getrandbits(64):x}" + "x" * self._draw.choice((1, 30, 3000))
                tell("putting", key, value)
                store.put(key, value)
                tell("put")
                there.add(key)
            await asyncio.sleep(0.002)

    async def _delete(self, journal: Journal) -> None:
        while True:
            await self._delete_some(journal, self._draw.choice((1, 1, 5, 30)))
            await asyncio.sleep(0.01)

    async def _delete_some(self, journal: Journal, count: int) -> None:
        some = [self._turns.pop(self._draw.randrange(len(self._turns))) for _ in range(min(count, len(self._turns)))]
        if some:
            tell("deleting", *some)
            await asyncio.to_thread(journal.delete, some)
            tell("deleted", *some)

    async def _sweep(self, journal: Journal) -> None:
        await asyncio.to_thread(journal.sweep, self._now, self._monotonic_s)
        while True:
            for _ in range(self._draw.choice((1, 10))):
                await self._turn(journal, old=True)
            self._pass(DAY_S + 1)
            tell("sweeping")
            if await asyncio.to_thread(journal.sweep, self._now, self._monotonic_s):
                tell("swept")

    def _pass(self, seconds: float) -> None:
        self._now += seconds
        self._monotonic_s += seconds

    async def _search(self, journal: Journal) -> None:
        while True:
            await asyncio.to_thread(journal.search, "牛奶 mil", 50)
            await asyncio.to_thread(lambda: list(journal.export()))
            await asyncio.to_thread(journal.recent, 100)
            await asyncio.sleep(0.005)

    async def _open_and_close(self, *, older: bool) -> None:
        while True:
            if older:
                _take_a_step_back(self._path)
            journal = self.open()
            for _ in range(self._draw.choice((0, 1, 3))):
                await self._turn(journal)
            journal.close()
            tell("phase", "closed")


def _take_a_step_back(path: Path) -> None:
    """Leave the file in the layout before its last step, so that opening it takes that step once more."""
    if not path.exists():
        return
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        tables = {row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if "_sqlite_migrations" not in tables:
            return  # killed before the first step
        database.execute("BEGIN IMMEDIATE")
        database.execute("DELETE FROM _sqlite_migrations WHERE name = 'm003_clock'")
        database.execute("DROP TABLE IF EXISTS clock")
        database.execute("COMMIT")


def look(path: Path) -> Found:
    """Open the journal as a box does at its start, then read all of it with plain SQLite."""
    notices: list[Notice] = []
    began_s = time.perf_counter()
    journal = Journal.open(path, retention_days=RETENTION_DAYS, on_notice=notices.append)
    journal.recent(1)
    reopen_ms = (time.perf_counter() - began_s) * 1000
    journal.close()
    faults = [notice.what for notice in notices if notice.level == "error"]
    with contextlib.closing(sqlite3.connect(path)) as database:
        faults += _faults(database)
        turns = {row[0]: bool(row[1]) for row in database.execute(_TURNS)}
        values = database.execute("SELECT key, json_extract(value, '$') FROM tool_store WHERE namespace = 'lists'")
        return Found(turns, dict(values.fetchall()), faults, reopen_ms)


def _faults(database: sqlite3.Connection) -> Iterator[str]:
    for (line,) in database.execute("PRAGMA integrity_check").fetchall():
        if line != "ok":
            yield line
    for row in database.execute("PRAGMA foreign_key_check").fetchall():
        yield f"foreign key: {row}"
    try:
        database.execute("INSERT INTO search (search) VALUES ('integrity-check')")
    except sqlite3.Error as error:
        yield f"search index: {error}"


_TURNS = """
    SELECT id, EXISTS (SELECT 1 FROM transcripts WHERE turn_id = turns.id)
           AND EXISTS (SELECT 1 FROM intents WHERE turn_id = turns.id)
           AND EXISTS (SELECT 1 FROM tool_calls WHERE turn_id = turns.id AND state = 'done')
           AND EXISTS (SELECT 1 FROM audio WHERE turn_id = turns.id)
           AND EXISTS (SELECT 1 FROM replies WHERE turn_id = turns.id)
           AND EXISTS (SELECT 1 FROM search WHERE rowid = turns.number)
    FROM turns
"""


def arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("load", "look", "look-and-load"))
    parser.add_argument("file", type=Path)
    parser.add_argument("--activity", choices=ACTIVITIES, default="write")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--too-early", action="store_true", help="acknowledge before it is on disk: must show losses")
    parser.add_argument("--unsafe", action="store_true", help="synchronous = OFF: a power cut must show losses")
    return parser.parse_args(words)


def main(words: Sequence[str]) -> None:
    asked = arguments(words)
    if asked.what != "load":
        tell("found", look(asked.file).to_line())
    if asked.what == "look":
        return
    load = Load(asked.file, random.Random(asked.seed), too_early=asked.too_early, unsafe=asked.unsafe)
    asyncio.run(load.run(asked.activity))


if __name__ == "__main__":
    main(sys.argv[1:])
