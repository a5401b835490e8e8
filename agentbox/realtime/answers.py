"""Which answer is under way, which of its tools are running, and how much sound each part of it had. Pure."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

_MOST = 256
"""Ids kept of each sort: a turn has a handful, and a server that invents more must not fill the memory."""


class Answers:
    """The answers to one turn: the first, and one more after each round of tools.

    `rate_hz`: of their sound, mono, 16 bits a sample.
    """

    def __init__(self, rate_hz: int) -> None:
        self._bytes_per_ms = rate_hz * 2 / 1000
        self.active: str | None = None
        """The answer that the vendor is making."""
        self._asked: OrderedDict[str, bool] = OrderedDict()
        """Requests that no answer has come of yet, by their event's id, and whether it is still wanted."""
        self._dead: OrderedDict[str, None] = OrderedDict()
        self._items: OrderedDict[str, int] = OrderedDict()
        """Bytes of sound of each part of this turn's answers."""
        self._open_calls: set[str] = set()
        self._known_calls: OrderedDict[str, None] = OrderedDict()
        self._had_calls = False
        self.is_waiting = False
        """A request waits for the answer before to end."""

    def may_ask(self) -> bool:
        """Whether an answer may be asked for now; if not, it is asked for when the one before has ended."""
        self._had_calls = False
        self.is_waiting = self.active is not None or bool(self._asked)
        return not self.is_waiting

    def asked(self, event_id: str) -> None:
        self._asked[event_id] = True
        _keep(self._asked)

    def pending(self) -> str:
        """The oldest request that no answer has come of yet; empty where there is none."""
        return next(iter(self._asked), "")

    def refused(self, event_id: str) -> bool | None:
        """A request was refused: whether its answer is still wanted; null where it was no request for one."""
        return self._asked.pop(event_id, None)

    def created(self, answer_id: str) -> bool:
        """An answer begins; whether it is wanted."""
        wanted = self._asked.popitem(last=False)[1] if self._asked else True
        self.active = answer_id
        if not wanted:
            self._kill(answer_id)
        return wanted

    def of(self, answer_id: str) -> str | None:
        """The answer that an event belongs to; null where nobody wants it. Some vendors leave the id out."""
        answer_id = answer_id or self.active or ""
        return None if not answer_id or answer_id in self._dead else answer_id

    def sound(self, item_id: str, size: int) -> None:
        """So many bytes more of a part."""
        self._items[item_id] = self._items.get(item_id, 0) + size
        _keep(self._items)

    def length_ms(self, item_id: str) -> float:
        """Of a part's sound so far."""
        return self._items.get(item_id, 0) / self._bytes_per_ms

    def calls(self, call_id: str) -> bool:
        """A tool is to be called; false where that was told before."""
        if call_id in self._known_calls:
            return False
        self._known_calls[call_id] = None
        _keep(self._known_calls)
        self._open_calls.add(call_id)
        self._had_calls = True
        return True

    def forget_call(self, call_id: str) -> None:
        """The vendor wants its result no more."""
        self._open_calls.discard(call_id)

    def has_result(self, call_id: str) -> bool:
        """The result of a call is there; false where nobody waits for it."""
        if call_id not in self._open_calls:
            return False
        self._open_calls.discard(call_id)
        return True

    def done(self, answer_id: str) -> bool:
        """An answer has ended; whether tools belong to it."""
        if answer_id == self.active or not answer_id:
            self.active = None
        return self._had_calls

    def forget(self, answer_id: str) -> None:
        """Nothing more of this answer is told."""
        self._kill(answer_id)

    def goes_on(self) -> bool:
        """Whether the next answer, the one that knows the tools' results, may be asked for."""
        return self._had_calls and not self._open_calls and self.active is None

    def cut(self, heard_ms: float) -> list[tuple[str, int]]:
        """The parts that were not heard to their end, and how many milliseconds were heard of each."""
        cuts = []
        begin_ms = 0.0
        for item_id, size in self._items.items():
            length_ms = size / self._bytes_per_ms
            heard = min(max(0.0, heard_ms - begin_ms), length_ms)
            begin_ms += length_ms
            if heard < length_ms and item_id:
                cuts.append((item_id, int(heard)))
        return cuts

    def drop(self) -> None:
        """Nothing of this turn's answers is wanted any more."""
        if self.active is not None:
            self._kill(self.active)
        for event_id in self._asked:
            self._asked[event_id] = False
        self._open_calls.clear()
        self._items.clear()
        self._had_calls = False
        self.is_waiting = False

    def _kill(self, answer_id: str) -> None:
        self._dead[answer_id] = None
        _keep(self._dead)


def _keep(ids: OrderedDict[str, Any]) -> None:
    while len(ids) > _MOST:
        ids.popitem(last=False)
