"""The journal is leafed through without a turn twice or left out, by what is looked for, and by way of indexes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlite_utils import Database

from agentbox.messages import Reply
from agentbox.storage import listing
from agentbox.storage.journal import Journal
from agentbox.storage.latency import FIGURES, latency
from agentbox.storage.listing import Which
from tests.storage.conftest import Box
from tests.storage.talk import NOW, event, heard

Keep = Callable[..., str]


def found(journal: Journal, limit: int = 100, **which: Any) -> list[str]:
    return [str(turn["id"]) for turn in journal.read(lambda database: listing.turns(database, limit, Which(**which)))]


@pytest.mark.parametrize("text", [None, "add"])
def test_pages_of_turns_that_began_at_one_time_hold_each_once(box: Box, keep: Keep, text: str | None) -> None:
    journal = box.open()
    ids = [keep(journal, f"add {number}", at=NOW + number // 4) for number in range(11)]
    seen: list[str] = []
    place: dict[str, Any] = {}
    while page := journal.read(partial(listing.turns, limit=3, which=Which(text=text, **place))):
        seen += [str(turn["id"]) for turn in page]
        place = {"before": page[-1]["started_at"], "before_id": page[-1]["id"]}
        keep(journal, "add another", at=NOW + 100)  # somebody talks meanwhile
        journal.delete(seen[-1:])  # and deletes where the page ended
    assert seen == sorted(ids, key=lambda turn: (ids.index(turn) // 4, turn), reverse=True)


def test_what_is_looked_for_is_what_is_found(box: Box, keep: Keep) -> None:
    journal = box.open()
    early, late = keep(journal, "buy milk", at=NOW), keep(journal, "请买牛奶", at=NOW + 86_400)
    other = "c" * 32
    for one in heard(other, "mumble", at=NOW + 50):
        journal.record(one)
    answer = Reply(utterance_id=other, text="?", sound="failed", outcome="not_understood")
    journal.record(event(other, "reply", "not_understood", answer, at=NOW + 50))
    assert journal.settle()
    assert found(journal) == [late, other, early]
    assert found(journal, since=NOW + 50, until=NOW + 86_400) == [other]
    assert found(journal, outcome="not_understood") == found(journal, text="mum", activated_by="always") == [other]
    assert found(journal, tool="list_add") == [late, early]
    assert found(journal, tool="list_add", text="牛奶", since=NOW) == [late]
    assert found(journal, text='"*(') == found(journal, tool="x") == found(journal, activated_by="control") == []
    kept = journal.read(lambda database: listing.kept(database, NOW + 1, None))
    assert kept == {"turns": 2, "with_sound": 0, "oldest_at": NOW + 50}


@pytest.mark.parametrize(
    ("which", "way"),
    [
        (Which(), "turns USING INDEX turns_by_time"),
        (Which(before=NOW, before_id="a"), "turns USING INDEX turns_by_time (started_at<?)"),
        (Which(since=NOW, until=NOW + 1), "turns USING INDEX turns_by_time (started_at>? AND started_at<?)"),
        (Which(tool="x"), "tool_calls USING INDEX tool_calls_by_turn"),
        (Which(outcome="x"), "replies USING INDEX replies_by_turn"),
        (Which(text="milk", before=NOW, before_id="a"), "search VIRTUAL TABLE INDEX"),
    ],
)
def test_it_goes_by_way_of_indexes(box: Box, monkeypatch: pytest.MonkeyPatch, which: Which, way: str) -> None:
    journal = box.open()
    plans: list[str] = []

    def explain(database: Database, sql: str, values: list[Any]) -> list[Any]:
        plans.extend(str(row["detail"]) for row in database.query(f"EXPLAIN QUERY PLAN {sql}", values))
        return []

    monkeypatch.setattr(listing, "summaries", explain)
    journal.read(lambda database: listing.turns(database, 25, which))
    assert any(way in line for line in plans), plans
    assert not [line for line in plans if line.startswith("SCAN") and "INDEX" not in line], plans


def test_a_summary_says_how_long_it_took(box: Box, keep: Keep) -> None:
    journal = box.open()
    turn = keep(journal, "add milk")
    [summary] = journal.recent()
    whole = journal.get(turn)
    assert whole is not None
    assert summary["latency"] == whole["latency"] == journal.search("milk")[0]["latency"]
    assert whole["latency"]["decode_ms"] == 7.0


def stage(name: str, state: str, at_s: float, **timings: float | None) -> dict[str, Any]:
    return {"stage": name, "state": state, "monotonic_s": at_s, "timings": timings}


def test_waiting_counts_from_the_last_word() -> None:
    stages = [
        stage("speech", "started", 10.0),
        stage("utterance", "ended", 12.0, silence_ms=500.0),
        stage("transcript", "final", 12.1, decode_ms=80.0),
        stage("tool_call", "started", 12.2),
        stage("reply", "done", 12.3),
        stage("speaking", "started", 12.4),
        stage("reply", "alert", 99.0),
    ]
    assert latency(stages) == {
        "silence_ms": 500.0,
        "decode_ms": 80.0,
        "tool_ms": 700.0,
        "answer_ms": 800.0,
        "sound_ms": 900.0,
    }


def test_of_a_typed_turn_it_counts_from_its_beginning() -> None:
    stages = [stage("activation", "opened", 5.0), stage("cloud", "answered", 5.4), stage("reply", "done", 9.0)]
    assert latency(stages) == dict.fromkeys(FIGURES) | {"answer_ms": 400.0}
    assert latency([]) == dict.fromkeys(FIGURES)


@given(
    st.lists(
        st.builds(
            stage,
            st.sampled_from(["utterance", "transcript", "tool_call", "reply", "speaking", "cloud"]),
            st.sampled_from(["ended", "final", "started", "answered", "done"]),
            st.floats(0, 1e6),
            silence_ms=st.one_of(st.none(), st.floats(0, 1e5)),
        ),
        max_size=8,
    )
)
def test_no_order_of_stages_gives_a_negative_wait(stages: list[dict[str, Any]]) -> None:
    figures = latency(sorted(stages, key=lambda one: float(one["monotonic_s"])))
    assert set(figures) == set(FIGURES)
    assert all(value is None or value >= 0 for value in figures.values())
