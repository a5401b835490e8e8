"""What a journal acknowledged before it was killed, held against what is in its file afterwards. Pure.

The killed process (`benchmarks.journal_load`) tells one thing a line: what it is about to take away or change *before*
it does, and what is done *after* the journal said so. What it was about to do when it died may be done or not; all else
must be as it was told.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Found:
    """What is in the file after it was opened again."""

    turns: dict[str, bool]
    """Every turn's id, and whether it has all its rows: transcript, intent, finished call, answer."""
    values: dict[str, str]
    """What tools keep: key -> value."""
    faults: list[str]
    """What SQLite's checks of the file say, and the journal's own notices of damage; empty when all is well."""
    reopen_ms: float = 0.0

    def to_line(self) -> str:
        return json.dumps(self.__dict__, separators=(",", ":"))

    @classmethod
    def from_line(cls, line: str) -> Found:
        """Raises `ValueError`, `TypeError` for what `to_line` did not make."""
        known: dict[str, Any] = json.loads(line)
        return cls(**known)


@dataclass(frozen=True)
class Verdict:
    """What is not as it was told: ids of turns and keys of values."""

    lost: list[str]
    """Acknowledged, and missing or without some of its rows; of a value: missing, or not the one put last."""
    returned: list[str]
    """Acknowledged as deleted, and there."""
    faults: list[str]

    @property
    def good(self) -> bool:
        return not (self.lost or self.returned or self.faults)


@dataclass
class Ledger:
    """Feed it every whole line that was read, then `judge`; it goes on from there with the next process."""

    acknowledged: int = 0
    """Turns, values and deletions, ever."""
    under_way: str = ""
    """What the last process was doing when it died, for the table of what was hit; empty when nothing of the kind."""
    _kept: set[str] = field(default_factory=set)
    _old: set[str] = field(default_factory=set)
    _gone: set[str] = field(default_factory=set)
    _leaving: set[str] = field(default_factory=set)
    _maybe_gone: set[str] = field(default_factory=set)
    """What processes that were killed before the last look were about to take away."""
    _values: dict[str, str | None] = field(default_factory=dict)
    """The value put last; null for one that was taken away."""
    _changing: dict[str, str | None] = field(default_factory=dict)
    _maybe: dict[str, set[str | None]] = field(default_factory=dict)
    """Of a key, what such processes were about to make of it."""
    _sweeping: bool = False

    def feed(self, line: str) -> None:
        """Take one line. What is no line of this language (a kernel's message on the same wire) is passed over."""
        match line.split():
            case ["phase", name]:
                self.under_way = name
            case [("kept" | "kept-old") as how, turn]:
                self._kept.add(turn)
                if how == "kept-old":
                    self._old.add(turn)
                self.acknowledged += 1
            case ["deleting", *turns]:
                self._leaving |= set(turns)
                self.under_way = "delete"
            case ["deleted", *turns]:
                self._leave(turns)
                self._leaving -= set(turns)
                self.under_way = ""
            case ["sweeping"]:
                self._sweeping = True
                self.under_way = "sweep"
            case ["swept"]:
                self._leave(self._old & self._kept)
                self._sweeping = False
                self.under_way = ""
            case ["putting", key, value]:
                self._changing = {key: value}
            case ["dropping", key]:
                self._changing = {key: None}
            case ["put" | "dropped"]:
                self._values.update(self._changing)
                for key in self._changing:
                    self._maybe.pop(key, None)
                self.acknowledged += bool(self._changing)
                self._changing = {}

    def killed(self) -> None:
        """The process is dead; what it was about to do may be done or not."""
        self._maybe_gone |= self._leaving | (self._old if self._sweeping else set())
        for key, wanted in self._changing.items():
            self._maybe.setdefault(key, set()).add(wanted)
        self._leaving, self._changing, self._sweeping = set(), {}, False

    def judge(self, found: Found) -> Verdict:
        """Hold what was told against what was found; what was under way is then as it was found."""
        self.killed()
        # Half a turn is a loss even where it was about to go: a deletion takes all of it or nothing.
        lost = [turn for turn in self._kept if not found.turns.get(turn, turn in self._maybe_gone)]
        returned = [turn for turn in self._gone if turn in found.turns]
        for key, last in self._values.items():
            if found.values.get(key) not in {last, *self._maybe.get(key, ())}:
                (returned if last is None else lost).append(key)
        self._gone |= {turn for turn in self._kept & self._maybe_gone if turn not in found.turns}
        self._kept = {turn for turn in self._kept if found.turns.get(turn)}
        for key in self._values.keys() | self._maybe.keys():
            self._values[key] = found.values.get(key)
        self._maybe_gone, self._maybe, self.under_way = set(), {}, ""
        return Verdict(sorted(lost), sorted(returned), list(found.faults))

    def _leave(self, turns: Iterable[str]) -> None:
        gone = set(turns)
        self._kept -= gone
        self._gone |= gone
        self.acknowledged += len(gone)
