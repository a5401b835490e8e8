"""The book of timers: examples, and any sequence of clock jumps, restarts and reboots."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from agentbox.tools.time_source import Now
from agentbox.tools.timers.book import MISSED_S, REPEAT_S, RING_S, Alert, Book, Kind

from .box import START, SetClock

BERLIN = ZoneInfo("Europe/Berlin")

FLOAT_S = 0.001
"""Seconds since 1970 carry some 0.2 microseconds in a float."""


def kinds(alerts: list[Alert]) -> list[str]:
    return [alert.kind for alert in alerts]


def saved_and_read(book: Book) -> Book:
    return Book.from_json(book.to_json())


def test_a_timer_rings_when_its_time_is_over_and_not_before() -> None:
    clock, book = SetClock(), Book()
    book.start(clock.read(), "timer", 300)
    clock.pass_(seconds=299.9)
    assert book.tick(clock.read()) == []
    clock.pass_(seconds=0.2)
    assert kinds(book.tick(clock.read())) == ["ring"]


def test_it_rings_again_and_again_and_then_gives_up() -> None:
    clock, book = SetClock(), Book()
    book.start(clock.read(), "timer", 1)
    clock.pass_(seconds=1)
    heard = 0
    for _ in range(int(RING_S) + 10):
        heard += len(book.tick(clock.read()))
        clock.pass_(seconds=1)
    assert heard == RING_S // REPEAT_S
    assert book.entries == {}
    assert book.wait_s(clock.read()) is None


def test_stop_silences_all_that_ring_and_nothing_else() -> None:
    clock, book = SetClock(), Book()
    book.start(clock.read(), "timer", 10)
    book.start(clock.read(), "reminder", 10)
    later = book.start(clock.read(), "timer", 100)
    clock.pass_(seconds=10)
    book.tick(clock.read())
    assert len(book.stop()) == 2
    assert list(book.entries) == [later.id]
    clock.pass_(seconds=5)
    assert book.tick(clock.read()) == []


@pytest.mark.parametrize("hours", [-30, -1, 1, 30])
def test_a_timer_does_not_care_what_the_wall_clock_does(hours: int) -> None:
    clock, book = SetClock(), Book()
    book.start(clock.read(), "timer", 600)
    clock.pass_(minutes=5)
    clock.set_wall(hours=hours)
    assert book.tick(clock.read()) == []
    assert [entry.remaining_s(clock.read()) for entry in book.entries.values()] == [pytest.approx(300)]
    book = saved_and_read(book)
    clock.set_wall(hours=hours)  # while the program was not running
    clock.pass_(minutes=5)
    assert kinds(book.tick(clock.read())) == ["ring"]


def test_after_a_reboot_a_timer_goes_by_the_wall_clock_as_it_was_last_seen() -> None:
    clock, book = SetClock(), Book()
    book.start(clock.read(), "timer", 3600)
    clock.set_wall(days=-2)
    book.tick(clock.read())
    clock.reboot(minutes=20)
    book = saved_and_read(book)
    book.tick(clock.read())
    assert [entry.remaining_s(clock.read()) for entry in book.entries.values()] == [pytest.approx(2400)]
    clock.set_wall(days=5)  # in the new run of the machine, jumps do not count either
    assert book.tick(clock.read()) == []


def test_a_machine_without_a_name_for_its_run_goes_by_the_wall_clock() -> None:
    clock, book = SetClock(), Book()
    clock.boot_id = ""
    book.start(clock.read(), "timer", 100)
    clock.pass_(seconds=100)
    assert kinds(saved_and_read(book).tick(clock.read())) == ["ring"]


@pytest.mark.parametrize(("off_min", "kind"), [(50, "ring"), (30 + 59, "ring"), (30 + 61, "missed")])
def test_what_came_due_while_the_box_was_off_rings_late_or_is_told_as_missed(off_min: int, kind: str) -> None:
    clock, book = SetClock(), Book()
    book.schedule("alarm", START + timedelta(minutes=30))
    clock.reboot(minutes=off_min)
    book = saved_and_read(book)
    alerts = book.tick(clock.read())
    assert kinds(alerts) == [kind]
    assert alerts[0].late_s == pytest.approx((off_min - 30) * 60)
    assert (len(book.entries) == 1) == (kind == "ring")


def test_an_alarm_that_rang_does_not_ring_again_when_the_clock_is_set_back() -> None:
    clock, book = SetClock(), Book()
    book.schedule("alarm", START + timedelta(minutes=30))
    clock.pass_(minutes=30)
    assert kinds(book.tick(clock.read())) == ["ring"]
    book.stop()
    clock.set_wall(minutes=-10)
    for _ in range(20):
        clock.pass_(minutes=1)
        assert book.tick(clock.read()) == []


def test_an_alarm_follows_the_wall_clock_through_the_end_of_summer_time() -> None:
    clock = SetClock(datetime(2026, 10, 24, 22, 0, tzinfo=BERLIN), BERLIN)
    book = Book()
    entry = book.schedule("alarm", datetime(2026, 10, 25, 7, 0, tzinfo=BERLIN))
    assert entry.remaining_s(clock.read()) == 10 * 3600  # not 9: this night has an hour more


def test_an_alarm_stays_at_its_time_of_day_when_the_box_moves_to_another_zone() -> None:
    clock, book = SetClock(zone=BERLIN), Book()
    entry = book.schedule("alarm", datetime(2026, 11, 22, 7, 0, tzinfo=BERLIN))
    clock.zone = ZoneInfo("Asia/Shanghai")
    rings = entry.rings_at(clock.read())
    assert (rings.hour, rings.utcoffset()) == (7, timedelta(hours=8))


def test_an_alarm_in_the_hour_that_comes_twice_keeps_which_of_the_two_was_meant() -> None:
    second = datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=1)
    clock, book = SetClock(datetime(2026, 10, 25, 0, 0, tzinfo=BERLIN), BERLIN), Book()
    book.schedule("alarm", second)
    [entry] = saved_and_read(book).entries.values()
    assert entry.rings_at(clock.read()).astimezone(UTC) == second.astimezone(UTC)


def test_pause_resume_and_more_time() -> None:
    clock, book = SetClock(), Book()
    id = book.start(clock.read(), "timer", 300).id
    clock.pass_(seconds=100)
    assert book.pause(id, clock.read()).left_s == 200
    clock.pass_(days=3)
    book = saved_and_read(book)
    assert book.tick(clock.read()) == []
    assert book.wait_s(clock.read()) is None
    assert book.extend(id, 50, clock.read()).paused
    book.resume(id, clock.read())
    clock.pass_(seconds=249)
    assert book.tick(clock.read()) == []
    book.extend(id, -30, clock.read())
    assert kinds(book.tick(clock.read())) == ["ring"]


def test_more_time_for_one_that_rings_starts_it_anew() -> None:
    clock, book = SetClock(), Book()
    id = book.start(clock.read(), "timer", 10).id
    clock.pass_(seconds=15)
    book.tick(clock.read())
    assert book.extend(id, 60, clock.read()).remaining_s(clock.read()) == 60
    clock.pass_(seconds=59)
    assert book.tick(clock.read()) == []
    clock.pass_(seconds=1)
    assert kinds(book.tick(clock.read())) == ["ring"]


def test_one_that_rang_when_the_box_went_down_rings_once_more() -> None:
    clock, book = SetClock(), Book()
    book.start(clock.read(), "timer", 10)
    clock.pass_(seconds=10)
    book.tick(clock.read())
    book = saved_and_read(book)
    clock.pass_(seconds=2)
    assert kinds(book.tick(clock.read())) == ["ring"]
    assert book.tick(clock.read()) == []


def test_cancelled_ones_go_on_unseen_and_can_be_restored() -> None:
    clock, book = SetClock(), Book()
    id = book.start(clock.read(), "timer", 100).id
    book.cancel(id)
    clock.pass_(seconds=30)
    assert book.tick(clock.read()) == []
    restored = book.restore(id)
    assert restored is not None
    assert restored.remaining_s(clock.read()) == 70
    assert book.restore(id) is None
    assert book.start(clock.read(), "timer", 100).id != id


def test_ids_are_not_given_twice_even_across_a_restart() -> None:
    clock, book = SetClock(), Book()
    first = book.start(clock.read(), "timer", 10).id
    book.cancel(first)
    assert saved_and_read(book).start(clock.read(), "timer", 10).id > first


class Expected:
    """What the test knows about one entry, counted in true seconds that no clock shows."""

    def __init__(self, due: float, *, follows_wall: bool) -> None:
        self.due = due
        """True time (timers), or wall time (alarms); without meaning while paused."""
        self.follows_wall = follows_wall
        self.left: float | None = None
        """Of a paused timer."""
        self.told = 0
        self.gone = False
        """Cancelled."""
        self.exact = True
        """False: the wall clock was set while the machine was off, and nobody can know the true time."""


class AnyClocks(RuleBasedStateMachine):
    """Never lost, never told twice; timers ring after their time, alarms when the wall clock shows theirs."""

    def __init__(self) -> None:
        super().__init__()
        self.true_s = 0.0
        self.wall_ahead_s = datetime(2026, 3, 28, 23, 0, tzinfo=UTC).timestamp()  # 3 h before summer time begins
        self.boot, self.booted_s = 0, -50.0
        self.book = Book()
        self.disk = self.book.to_json()
        self.expected: dict[int, Expected] = {}

    def now(self) -> Now:
        wall = datetime.fromtimestamp(self.true_s + self.wall_ahead_s, BERLIN)
        return Now(wall, self.true_s - self.booted_s, f"boot-{self.boot}")

    def save(self) -> None:
        if self.book.changed:
            self.book.changed = False
            self.disk = self.book.to_json()

    def look(self) -> None:
        """What the ringer does: tick, and keep what changed."""
        now = self.now()
        alerts = self.book.tick(now)
        self.save()
        for alert in alerts:
            entry = self.expected[alert.entry.id]
            if alert.kind != "again":
                entry.told += 1
                assert entry.told == 1, "told twice"
                assert (alert.kind == "missed") == (alert.late_s >= MISSED_S)
                if entry.exact and not alert.entry.ringing:  # one that rang before a restart may ring again at any time
                    assert self._clock_of(entry) > entry.due - FLOAT_S, "too early"
        for entry in self.expected.values():
            if not entry.gone and entry.left is None and entry.exact:
                assert entry.told or self._clock_of(entry) < entry.due + FLOAT_S, "too late"

    def _clock_of(self, entry: Expected) -> float:
        return self.true_s + (self.wall_ahead_s if entry.follows_wall else 0.0)

    def _add(self, id: int, entry: Expected) -> None:
        self.expected[id] = entry
        self.save()
        self.look()

    @rule(seconds=st.integers(1, 20_000), kind=st.sampled_from(["timer", "reminder", "alarm"]))
    def start(self, seconds: int, kind: Kind) -> None:
        id = self.book.start(self.now(), kind, seconds).id
        self._add(id, Expected(self.true_s + seconds, follows_wall=False))

    @rule(seconds=st.integers(1, 20_000), kind=st.sampled_from(["reminder", "alarm"]))
    def schedule(self, seconds: int, kind: Kind) -> None:
        at = datetime.fromtimestamp(int(self.now().wall.timestamp()) + seconds, BERLIN)
        self._add(self.book.schedule(kind, at).id, Expected(at.timestamp(), follows_wall=True))

    @rule(seconds=st.one_of(st.floats(0.01, 10), st.floats(10, 10_000)))
    def time_passes(self, seconds: float) -> None:
        self.true_s += seconds
        self.look()

    @rule(seconds=st.floats(-100_000, 100_000))
    def clock_is_set(self, seconds: float) -> None:
        self.wall_ahead_s += seconds
        self.look()

    @rule(off_s=st.floats(0, 5000), set_by_s=st.sampled_from([0.0, 0.0, 40_000.0, -40_000.0]))
    def program_restarts(self, off_s: float, set_by_s: float) -> None:
        self.true_s += off_s
        self.wall_ahead_s += set_by_s
        self._read_disk()

    @rule(off_s=st.floats(1, 5000), set_by_s=st.sampled_from([0.0, 0.0, 40_000.0, -40_000.0]))
    def machine_restarts(self, off_s: float, set_by_s: float) -> None:
        self.true_s += off_s
        self.wall_ahead_s += set_by_s
        self.boot, self.booted_s = self.boot + 1, self.true_s - 3
        if set_by_s:
            for entry in self.expected.values():
                entry.exact &= entry.follows_wall or entry.left is not None
        self._read_disk()

    def _read_disk(self) -> None:
        self.book = Book.from_json(self.disk)
        for id, kept in self.book.entries.items():
            if kept.ringing:
                self.expected[id].told = 0  # it may not have been heard
        self.look()

    def _timers(self, *, paused: bool) -> list[int]:
        return [
            id for id, kept in self.book.entries.items() if not kept.at and not kept.ringing and kept.paused == paused
        ]

    @precondition(lambda self: self._timers(paused=False))
    @rule(data=st.data())
    def pause(self, data: st.DataObject) -> None:
        id = data.draw(st.sampled_from(self._timers(paused=False)))
        self.expected[id].left = self.book.pause(id, self.now()).left_s
        if self.expected[id].exact:
            assert self.expected[id].left == pytest.approx(self.expected[id].due - self.true_s, abs=0.001)
        self.save()

    @precondition(lambda self: self._timers(paused=True))
    @rule(data=st.data())
    def resume(self, data: st.DataObject) -> None:
        id = data.draw(st.sampled_from(self._timers(paused=True)))
        entry = self.expected[id]
        assert entry.left is not None
        self.book.resume(id, self.now())
        entry.due, entry.left, entry.exact = self.true_s + entry.left, None, True
        self.save()
        self.look()

    @precondition(lambda self: self.book.entries)
    @rule(data=st.data(), restore=st.booleans())
    def cancel(self, data: st.DataObject, restore: bool) -> None:
        id = data.draw(st.sampled_from(list(self.book.entries)))
        rang = self.book.entries[id].ringing
        self.book.cancel(id)
        if restore and not rang:
            assert self.book.restore(id) is not None
        else:
            self.expected[id].gone = True
        self.save()
        self.look()

    @precondition(lambda self: any(not kept.ringing and not kept.paused for kept in self.book.entries.values()))
    @rule(data=st.data(), seconds=st.integers(1, 20_000), by_wall=st.booleans(), restore=st.booleans())
    def change(self, data: st.DataObject, seconds: int, by_wall: bool, restore: bool) -> None:
        going = [id for id, kept in self.book.entries.items() if not kept.ringing and not kept.paused]
        id = data.draw(st.sampled_from(going))
        if by_wall and self.book.entries[id].kind != "timer":
            at = datetime.fromtimestamp(int(self.now().wall.timestamp()) + seconds, BERLIN)
            self.book.move(id, at)
            changed = Expected(at.timestamp(), follows_wall=True)
        else:
            self.book.restart(id, seconds, self.now())
            changed = Expected(self.true_s + seconds, follows_wall=False)
        if restore:
            assert self.book.restore(id) is not None
        else:
            self.expected[id] = changed
        self.save()
        self.look()

    @rule()
    def stop(self) -> None:
        for entry in self.book.stop():
            assert self.expected[entry.id].told == 1
        self.save()

    @invariant()
    def nothing_is_lost(self) -> None:
        for id, entry in self.expected.items():
            assert entry.gone or entry.told or id in self.book.entries

    @invariant()
    def it_never_waits_too_long_nor_spins(self) -> None:
        wait_s = self.book.wait_s(self.now())
        running = [kept for kept in self.book.entries.values() if not kept.paused]
        assert (wait_s is None) == (not running)
        assert wait_s is None or 0 < wait_s <= REPEAT_S


TestAnyClocks: Any = AnyClocks.TestCase
TestAnyClocks.settings = settings(max_examples=80, stateful_step_count=30, deadline=None)
