"""The book of timers, alarms and reminders. Pure: every method is told what time it is.

What was asked for as a duration runs on elapsed time and does not care what the wall clock does; what was asked for
as a time of day rings when the wall clock shows it. Elapsed time is not comparable across a reboot: there, and only
there, durations fall back to the wall clock.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal, NamedTuple

import msgspec

from agentbox.messages import JSON
from agentbox.tools.time_source import Now

Kind = Literal["timer", "alarm", "reminder"]

REPEAT_S = 4.0
"""An alert sounds again after this long,"""
RING_S = 60.0
"""for this long, unless it is stopped."""
LATE_S = 10.0
"""An alert that comes later than this says so,"""
MISSED_S = 3600.0
"""and from here on it no longer rings; it is told as missed."""

CLOCK_STEP_S = 1.0
"""The wall clock was set if it moved against elapsed time by more than this between two looks."""

POLL_S = 1.0
"""The wall clock and the machine's sleep are looked at this often while anything runs."""

_KEPT_EARLIER = 50


class Anchor(msgspec.Struct, frozen=True):
    """Both clocks at one moment."""

    boot_id: str
    elapsed_s: float
    wall_s: float

    def passed_s(self, now: Now) -> float:
        """Seconds since then, never below 0."""
        if self.comparable(now):
            return max(0.0, now.elapsed_s - self.elapsed_s)
        return max(0.0, now.wall.timestamp() - self.wall_s)

    def comparable(self, now: Now) -> bool:
        return self.boot_id == now.boot_id != "" and now.elapsed_s >= self.elapsed_s

    def off_by_s(self, now: Now) -> float:
        """How far the wall clock was set since then."""
        return (now.wall.timestamp() - self.wall_s) - (now.elapsed_s - self.elapsed_s)


def anchor(now: Now) -> Anchor:
    return Anchor(now.boot_id, now.elapsed_s, now.wall.timestamp())


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One timer, alarm or reminder."""

    id: int
    kind: Kind
    name: str = ""
    message: str = ""
    """What to be reminded of."""
    duration_s: float = 0.0
    """As asked for; 0 for a time of day. It names the timer ("the five minute timer") and never changes."""
    left_s: float = 0.0
    """Seconds left at the anchor, or of a paused timer."""
    since: Anchor | None = None
    """When it was started, or looked at last; null when paused or for a time of day."""
    at: str = ""
    """The local time of day it rings at, `2026-11-22T07:30:00`; empty for a duration."""
    fold: int = 0
    """Which of the two, if the clock shows `at` twice (PEP 495)."""
    ringing: bool = False
    language: str = ""
    """In which it was asked for (BCP-47), and is told; empty: the box's own."""

    @property
    def paused(self) -> bool:
        return not self.at and self.since is None and not self.ringing

    def remaining_s(self, now: Now) -> float:
        """Seconds until it rings; below 0 once it should have rung."""
        if self.at:
            return self.rings_at(now).timestamp() - now.wall.timestamp()
        return self.left_s - (self.since.passed_s(now) if self.since else 0.0)

    def rings_at(self, now: Now) -> datetime:
        """When it rings, or should have rung, as the wall clock stands now."""
        if self.at:
            return datetime.fromisoformat(self.at).replace(tzinfo=now.wall.tzinfo, fold=self.fold)
        moment = now.wall.timestamp() + self.remaining_s(now)
        return datetime.fromtimestamp(moment, now.wall.tzinfo)


class Alert(NamedTuple):
    """Something to tell. `late_s`: how long ago it should have been told."""

    kind: Literal["ring", "again", "missed"]
    entry: Entry
    late_s: float


class _Ringing(NamedTuple):
    since_s: float
    last_s: float


class Book:
    """All entries by id. `to_json` and `from_json` are what is kept on disk; `changed` says that it should be."""

    def __init__(self, entries: Iterable[Entry] = (), next_id: int = 1) -> None:
        self.entries = {entry.id: entry for entry in entries}
        self.changed = False
        self._next_id = max([next_id, *(id + 1 for id in self.entries)])
        self._rings: dict[int, _Ringing] = {}
        self._earlier: dict[int, Entry] = {}
        """As they were before they were cancelled or changed."""

    @classmethod
    def from_json(cls, value: JSON) -> Book:
        """Raises `msgspec.ValidationError` for what `to_json` did not write."""
        kept = msgspec.convert(value, _Kept)
        return cls(kept.entries, kept.next_id)

    def to_json(self) -> JSON:
        return msgspec.to_builtins(_Kept(list(self.entries.values()), self._next_id))

    def start(
        self, now: Now, kind: Kind, duration_s: float, *, name: str = "", message: str = "", language: str = ""
    ) -> Entry:
        """Let something run from now on."""
        words = {"name": name, "message": message, "language": language}
        return self._add(kind=kind, duration_s=duration_s, left_s=duration_s, since=anchor(now), **words)

    def schedule(self, kind: Kind, at: datetime, *, name: str = "", message: str = "", language: str = "") -> Entry:
        """Put something down for a time of day, shown by the clocks of the zone the box is in."""
        local = at.replace(tzinfo=None, fold=0).isoformat()
        return self._add(kind=kind, name=name, message=message, at=local, fold=at.fold, language=language)

    def pause(self, id: int, now: Now) -> Entry:
        entry = self.entries[id]
        return self._put(msgspec.structs.replace(entry, left_s=max(0.0, entry.remaining_s(now)), since=None))

    def resume(self, id: int, now: Now) -> Entry:
        return self._put(msgspec.structs.replace(self.entries[id], since=anchor(now)))

    def extend(self, id: int, seconds: float, now: Now) -> Entry:
        """More time, or less (never below 0). One that rings stops ringing and runs for that time."""
        entry = self.entries[id]
        self._rings.pop(id, None)
        left_s = max(0.0, (0.0 if entry.ringing else entry.remaining_s(now)) + seconds)
        since = None if entry.paused else anchor(now)
        return self._put(msgspec.structs.replace(entry, left_s=left_s, since=since, ringing=False))

    def restart(self, id: int, duration_s: float, now: Now) -> Entry:
        """Another duration, from now on. A paused one stays paused, one that rings stops ringing."""
        since = None if self.entries[id].paused else anchor(now)
        return self._change(id, duration_s=duration_s, left_s=duration_s, since=since, at="", fold=0)

    def move(self, id: int, at: datetime) -> Entry:
        """Another time of day, as for `schedule`. One that rings stops ringing."""
        local = at.replace(tzinfo=None, fold=0).isoformat()
        return self._change(id, duration_s=0.0, left_s=0.0, since=None, at=local, fold=at.fold)

    def cancel(self, id: int) -> Entry:
        entry = self._remove(id)
        self._keep_earlier(entry)
        return entry

    def restore(self, id: int) -> Entry | None:
        """Take the last `cancel`, `restart` or `move` back; it goes on as if nothing had been.

        Null when it is not known any more.
        """
        entry = self._earlier.pop(id, None)
        if entry is None:
            return None
        self._rings.pop(id, None)
        return self._put(entry)

    def stop(self) -> list[Entry]:
        """Silence all that ring; they are done."""
        return [self._remove(entry.id) for entry in self.ringing()]

    def ringing(self) -> list[Entry]:
        return [entry for entry in self.entries.values() if entry.ringing]

    def tick(self, now: Now) -> list[Alert]:
        """What is to be told now. To be called again after at most `wait_s`."""
        self._follow_clock(now)
        alerts = []
        for entry in sorted(self.entries.values(), key=lambda entry: entry.remaining_s(now)):
            late_s = -entry.remaining_s(now)
            if entry.id in self._rings:
                alerts += self._ring_on(entry, now, late_s)
            elif not entry.paused and (entry.ringing or late_s >= 0):
                # One that rang when the box went down rings again: it may not have been heard.
                alerts.append(self._ring_first(entry, now, max(0.0, late_s)))
        return alerts

    def wait_s(self, now: Now) -> float | None:
        """Seconds until something may be due; null when nothing runs."""
        waits = [ring.last_s + REPEAT_S - now.elapsed_s for ring in self._rings.values()]
        waits += [
            min(POLL_S, entry.remaining_s(now))
            for entry in self.entries.values()
            if not entry.paused and entry.id not in self._rings
        ]
        return max(0.0, min(waits)) if waits else None

    def _ring_first(self, entry: Entry, now: Now, late_s: float) -> Alert:
        if late_s >= MISSED_S:
            self._remove(entry.id)
            return Alert("missed", entry, late_s)
        self._rings[entry.id] = _Ringing(now.elapsed_s, now.elapsed_s)
        self._put(msgspec.structs.replace(entry, ringing=True))
        return Alert("ring", entry, late_s)

    def _ring_on(self, entry: Entry, now: Now, late_s: float) -> list[Alert]:
        ring = self._rings[entry.id]
        if now.elapsed_s - ring.since_s >= RING_S:
            self._remove(entry.id)
            return []
        if now.elapsed_s - ring.last_s < REPEAT_S:
            return []
        self._rings[entry.id] = ring._replace(last_s=now.elapsed_s)
        return [Alert("again", entry, late_s)]

    def _follow_clock(self, now: Now) -> None:
        """Look anew at both clocks where one was set or began anew, so that the next look finds them as they are."""
        for entry in list(self.entries.values()):
            since = entry.since
            if since is None or (since.comparable(now) and abs(since.off_by_s(now)) <= CLOCK_STEP_S):
                continue
            self._put(msgspec.structs.replace(entry, left_s=entry.remaining_s(now), since=anchor(now)))

    def _add(self, **fields: Any) -> Entry:
        entry = Entry(id=self._next_id, **fields)
        self._next_id += 1
        return self._put(entry)

    def _change(self, id: int, **fields: Any) -> Entry:
        entry = self._remove(id)
        self._keep_earlier(entry)
        return self._put(msgspec.structs.replace(entry, ringing=False, **fields))

    def _keep_earlier(self, entry: Entry) -> None:
        self._earlier.pop(entry.id, None)
        self._earlier[entry.id] = msgspec.structs.replace(entry, ringing=False)
        while len(self._earlier) > _KEPT_EARLIER:
            del self._earlier[next(iter(self._earlier))]

    def _put(self, entry: Entry) -> Entry:
        self.entries[entry.id] = entry
        self.changed = True
        return entry

    def _remove(self, id: int) -> Entry:
        self._rings.pop(id, None)
        self.changed = True
        return self.entries.pop(id)


class _Kept(msgspec.Struct):
    entries: list[Entry]
    next_id: int
