"""Retention, the search text and what waits for its activation, for any input."""

from __future__ import annotations

import sqlite3

from hypothesis import given, settings
from hypothesis import strategies as st

from agentbox.messages import Activation
from agentbox.storage.pending import OPEN_TURNS, PENDING_TURNS, Pending
from agentbox.storage.retention import DAY_S, DOUBT_S, MAX_DRIFT_S, UNSET_BEFORE, WATCH_S, Clock, Retention
from agentbox.storage.search import indexed, query
from tests.storage.talk import NOW, event, heard

_words = st.text("abz é牛奶加買한カ-\"'*()^:+~.,\0\n\ud800\u0301🫠𰀀", max_size=20) | st.text(max_size=20)


@settings(max_examples=300, deadline=None)
@given(kept=_words, asked=_words)
def test_no_text_is_a_wrong_query(kept: str, asked: str) -> None:
    database = sqlite3.connect(":memory:")
    database.execute("CREATE VIRTUAL TABLE search USING fts5 (words, tokenize = 'unicode61 remove_diacritics 2')")
    words = indexed(kept).encode("utf-8", "replace").decode()
    database.execute("INSERT INTO search VALUES (?)", [words])
    if match := query(asked):
        assert len(database.execute("SELECT * FROM search WHERE search MATCH ?", [match]).fetchall()) <= 1
    database.close()


@given(st.lists(st.sampled_from(["milk", "Brot", "牛奶", "加", "购物", "2"]), min_size=1, max_size=6), st.data())
def test_every_stretch_of_a_text_finds_it(words: list[str], data: st.DataObject) -> None:
    database = sqlite3.connect(":memory:")
    database.execute("CREATE VIRTUAL TABLE search USING fts5 (words, tokenize = 'unicode61 remove_diacritics 2')")
    database.execute("INSERT INTO search VALUES (?)", [indexed(" ".join(words))])
    start = data.draw(st.integers(0, len(words) - 1))
    asked = " ".join(words[start : data.draw(st.integers(start + 1, len(words)))]).upper()
    assert database.execute("SELECT count(*) FROM search WHERE search MATCH ?", [query(asked)]).fetchone() == (1,)
    database.close()


_steps = st.tuples(
    st.floats(0.0, 2 * WATCH_S),  # time that really passes
    st.just(0.0) | st.floats(-1e9, 1e9) | st.floats(-200, 200),  # how the wall clock jumps meanwhile
)


@given(st.integers(0, 400), st.sampled_from([0.0, 1e9, NOW]), st.lists(_steps, max_size=30))
def test_nothing_is_told_right_after_a_start_or_a_jump(
    days: int, wall: float, steps: list[tuple[float, float]]
) -> None:
    retention = Retention(days)
    monotonic = even_since = 100.0
    assert retention.look(wall, monotonic) is None
    looked = None
    for passed, jump in steps:
        monotonic += passed
        wall += passed + jump
        if abs(jump) > 2 * MAX_DRIFT_S or wall < UNSET_BEFORE:
            even_since = monotonic
        told = retention.look(wall, monotonic)
        if days == 0 or monotonic - even_since < WATCH_S:
            assert told is None
        if told is not None:
            assert told == (0.0 if looked is None else monotonic - looked)
            looked = monotonic


def test_a_clock_that_runs_evenly_is_told_after_ten_minutes() -> None:
    retention = Retention(7)
    told = [retention.look(NOW + s, 5.0 + s) for s in (0.0, 300.0, 599.0, 600.0, 900.0)]
    assert told == [None, None, None, 0.0, 300.0]
    assert retention.look(NOW + 10_000.0, 906.0) is None, "it jumped"


def test_the_cutoff_rests_for_a_day_after_a_deletion() -> None:
    retention = Retention(7)
    assert retention.cutoff(NOW, 0.0) == NOW - 7 * DAY_S
    retention.deleted(0.0)
    assert retention.cutoff(NOW, DAY_S - 1) is None
    assert retention.cutoff(NOW, DAY_S) == NOW - 7 * DAY_S


_far = st.floats(3 * DAY_S, 1e10) | st.floats(-1e9, -3 * DAY_S)
_gaps = st.lists(st.floats(0.0, 6 * 3600.0), max_size=40)


@given(_far, _gaps)
def test_a_clock_far_off_is_believed_only_after_two_days_there(jump: float, gaps: list[float]) -> None:
    clock = Clock().seen(NOW, 0.0)
    assert clock == Clock(NOW)
    now = NOW + jump
    clock = clock.seen(now, 0.0)
    assert clock == Clock(NOW, now)
    ran = 0.0
    for gap in gaps:
        now, ran = now + gap, ran + gap
        clock = clock.seen(now, gap)
        assert (clock.doubted_at is None) == (ran >= DOUBT_S)
        if ran >= DOUBT_S:
            assert clock == Clock(now)
            return
    back = NOW + ran
    assert clock.seen(back, 0.0) == Clock(back), "back where it was expected"


@given(st.lists(st.tuples(st.floats(0.0, 1e7), st.floats(-0.9 * DAY_S, 1.9 * DAY_S)), max_size=20))
def test_a_clock_is_believed_however_long_it_ran_and_when_it_is_set_a_little(steps: list[tuple[float, float]]) -> None:
    clock, now = Clock(NOW), NOW
    for passed, set_by in steps:
        now += passed + set_by
        clock = clock.seen(now, passed)
        assert clock == Clock(now)


@given(st.lists(_far, min_size=1, max_size=20))
def test_a_clock_that_keeps_jumping_is_never_believed(jumps: list[float]) -> None:
    clock, place, ran = Clock(NOW), 0.0, 0.0
    for jump in jumps:
        ran += DAY_S
        place = jump if abs(jump - place) > 4 * DAY_S else -jump
        clock = clock.seen(NOW + ran + place, DAY_S)
        assert clock.doubted_s == 0.0
        assert clock.doubted_at is not None
        assert clock.believed_at == NOW + ran


def test_words_do_not_wait_for_an_activation() -> None:
    pending = Pending()
    early = [pending.admit(one) for one in heard("a" * 32, "secret") if one.stage != "activation"]
    assert early == [[]] * 4
    opened = event("a" * 32, "activation", "opened", Activation(utterance_id="a" * 32, by="always"))
    admitted = pending.admit(opened)
    assert [one.stage for one in admitted] == ["activation", "speech", "utterance", "utterance", "transcript"]
    assert [one.message for one in admitted[1:]] == [None] * 4
    assert pending.admit(opened) == [opened], "they are given out once"


def test_what_waits_is_bounded() -> None:
    pending = Pending()
    for number in range(PENDING_TURNS + 1):
        pending.admit(event(f"{number:032}", "speech", "started"))
    for number in (0, 1):
        turn = f"{number:032}"
        opened = event(turn, "activation", "opened", Activation(utterance_id=turn, by="always"))
        assert len(pending.admit(opened)) == 1 + number, "the oldest was let go"
    for number in range(2, OPEN_TURNS + 2):
        turn = f"{number:032}"
        pending.admit(event(turn, "activation", "opened", Activation(utterance_id=turn, by="always")))
    assert pending.admit(event("0" * 32, "intent", "none")) == []
