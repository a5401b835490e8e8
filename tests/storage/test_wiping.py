"""Deleted words are in no gap of any page, the file shrinks, and a wipe that could not be done is done later."""

from __future__ import annotations

import random
import secrets
import sqlite3
from collections.abc import Callable
from typing import Any

import pytest

from agentbox.errors import StorageError
from agentbox.messages import Activation, Reply, new_id
from agentbox.storage import queries
from agentbox.storage.journal import Journal
from tests.storage.conftest import Box
from tests.storage.talk import NOW, event

DAY_S = 86_400.0
Keep = Callable[..., str]


def _fill(journal: Journal, count: int) -> dict[str, bytes]:
    """Turns of any length in no order of their ids, so that rows move about in the pages; the word of each."""
    chance = random.Random(1)
    words = {}
    for _ in range(count):
        turn, word = secrets.token_hex(16), f"zq{secrets.token_hex(8)}"
        words[turn] = word.encode()
        said = Activation(utterance_id=turn, by="always", command=word + " w" * chance.randrange(60))
        answer = Reply(utterance_id=turn, text=word + " r" * chance.randrange(500), sound=None, outcome="done")
        journal.record(event(turn, "activation", "opened", said))
        journal.record(event(turn, "reply", "done", answer))
    assert journal.settle(30)
    return words


def _readable(box: Box, words: dict[str, bytes]) -> int:
    found = box.bytes_on_disk()
    return sum(word in found for word in words.values())


def _version(box: Box) -> int:
    with sqlite3.connect(box.path) as database:
        return int(database.execute("PRAGMA user_version").fetchone()[0])


def test_no_copy_is_left_in_the_gaps_of_pages_and_the_file_shrinks(box: Box) -> None:
    journal = box.open()
    words = _fill(journal, 3000)
    with sqlite3.connect(box.path) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    full = box.path.stat().st_size
    order = random.Random(2).sample(list(words), len(words))
    for lot in range(6):
        gone = order[: (lot + 1) * 400]
        assert journal.delete(gone[-400:]) == 400
        assert _readable(box, {turn: words[turn] for turn in gone}) == 0
    assert _readable(box, words) == 600, "the others are still there"
    assert box.path.stat().st_size < full / 3
    assert _version(box) == 0
    assert journal.delete_all() == 600
    assert _readable(box, words) == 0
    assert box.path.stat().st_size < 150_000


def _deleted_and_no_more(box: Box, journal: Journal) -> dict[str, bytes]:
    """As a crash leaves it: rows are deleted, the index and the pages still hold their words."""
    words = _fill(journal, 300)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("agentbox.storage.connection.Connection.wipe", lambda self: True)
        assert journal.delete(list(words)) == 300
    assert _version(box) == 1
    assert _readable(box, words) > 0
    return words


def test_a_wipe_that_a_crash_cut_short_is_done_at_the_next_start(box: Box) -> None:
    journal = box.open()
    words = _deleted_and_no_more(box, journal)
    journal.close()
    journal = box.open()
    assert _readable(box, words) == 0
    assert _version(box) == 0


def test_a_wipe_that_failed_is_told_once_and_done_by_a_sweep(box: Box) -> None:
    def full(database: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    journal = box.open()
    words = _fill(journal, 300)
    first, second = list(words)[:100], list(words)[100:]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("agentbox.storage.wiping._rewrite", full)
        assert [journal.delete(first), journal.delete(second)] == [100, 200]
        assert journal.sweep(NOW, 0.0) == 0
    assert box.codes == ["wipe_delayed"]
    assert _version(box) == 1
    assert journal.sweep(NOW + 900, 900.0) == 0
    assert _readable(box, words) == 0
    assert _version(box) == 0


def test_a_deletion_of_nothing_rewrites_nothing(box: Box, keep: Keep) -> None:
    journal = box.open()
    keep(journal, "hello")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("agentbox.storage.connection.Connection.wipe", lambda self: pytest.fail("it was rewritten"))
        assert journal.delete([new_id()]) == 0
        assert journal.delete_between(5.0, 6.0) == 0


def test_what_grows_too_old_goes_once_a_day(box: Box, keep: Keep) -> None:
    journal = box.open(retention_days=10)
    for hour in range(3):
        keep(journal, "old", at=NOW - 10 * DAY_S + hour * 3600)
    times = [600.0 + hour * 3600 for hour in range(30)]
    assert journal.sweep(NOW, 0.0) == 0
    deleted = [journal.sweep(NOW + s, s) for s in times]
    assert [(hour, count) for hour, count in enumerate(deleted) if count] == [(0, 1), (24, 2)]


def test_a_store_in_memory_deletes_too(box: Box, keep: Keep) -> None:
    box.path.mkdir()
    journal = box.open(or_in_memory=True)
    assert journal.in_memory
    turn = keep(journal, "hello")
    assert journal.delete([turn]) == 1
    assert journal.recent() == []
    with pytest.raises(StorageError):
        box.open()


@pytest.mark.parametrize("way", ["delete_all", "delete_between"])
def test_a_large_deletion_is_done_in_lots(box: Box, keep: Keep, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    journal = box.open()
    _fill(journal, 35)
    lots: list[int] = []
    real = getattr(queries, way)

    def counted(*arguments: Any) -> int:
        lots.append(real(*arguments))
        return lots[-1]

    monkeypatch.setattr(queries, "LOT", 10)
    monkeypatch.setattr(queries, way, counted)
    assert (journal.delete_all() if way == "delete_all" else journal.delete_between(0.0, NOW + 1)) == 35
    assert lots == [10, 10, 10, 5]
    assert journal.recent() == []
    assert _version(box) == 0
