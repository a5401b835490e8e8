"""The book of timers: what is changed, and taken back."""

from __future__ import annotations

from datetime import timedelta

from agentbox.tools.timers.book import REPEAT_S, Book

from .box import START, SetClock


def test_a_paused_one_stays_paused_with_another_length() -> None:
    clock, book = SetClock(), Book()
    id = book.start(clock.read(), "timer", 100).id
    book.pause(id, clock.read())
    changed = book.restart(id, 600, clock.read())
    assert (changed.paused, changed.left_s) == (True, 600)


def test_a_change_that_is_taken_back_after_it_rang_rings_no_more() -> None:
    clock, book = SetClock(), Book()
    id = book.start(clock.read(), "timer", 600).id
    book.restart(id, 10, clock.read())
    clock.pass_(seconds=10)
    assert [alert.kind for alert in book.tick(clock.read())] == ["ring"]
    book.restore(id)
    clock.pass_(seconds=REPEAT_S)
    assert book.tick(clock.read()) == []
    assert book.entries[id].remaining_s(clock.read()) == 590 - REPEAT_S


def test_only_the_last_change_is_taken_back() -> None:
    clock, book = SetClock(), Book()
    at = START + timedelta(hours=9)
    id = book.schedule("alarm", at).id
    book.move(id, at + timedelta(hours=1))
    book.restart(id, 60, clock.read())
    restored = book.restore(id)
    assert restored is not None
    assert restored.rings_at(clock.read()) == at + timedelta(hours=1)
    assert book.restore(id) is None
