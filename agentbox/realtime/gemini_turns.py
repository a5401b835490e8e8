"""Whose answer it is, told by order alone. Pure.

Every turn that was asked has one end: `turnComplete`, or where the owner spoke over it `interrupted` and then
`turnComplete` (types.LiveServerContent of google-genai 3.4.0). What comes before the ends of earlier turns is theirs.
"""

from __future__ import annotations

from collections import OrderedDict
from enum import Enum

from agentbox.messages import JSON
from agentbox.realtime.events import AnswerDone, AnswerStarted, Event
from agentbox.realtime.failures import Failure

_MOST_OLD = 8
_MOST_CALLS = 64


class _Turn(Enum):
    IDLE = 0
    ASKED = 1
    """Nothing of its answer has come."""
    BEGUN = 2


class Turns:
    """The turn that is to be answered, and those whose ends are still to come."""

    def __init__(self) -> None:
        self._turn = _Turn.IDLE
        self._old = 0
        """Turns that nobody wants the answer of, and whose ends have not come."""
        self._is_old_begun = False
        """Something of the first of them has come."""
        self._is_end_due = False
        """An answer was interrupted, and its end is still to come, unless it had come before."""
        self._is_pause_due = False
        """Tools were called; some models then end the turn, and all of them end it after the results."""
        self._answers = 0
        self._active = False
        self._calls: OrderedDict[str, str] = OrderedDict()
        """Names of the tools that are running, by the calls' ids."""
        self._results: list[JSON] = []

    @property
    def is_quiet(self) -> bool:
        """Nothing is being answered."""
        return self._turn is _Turn.IDLE and not self._old

    @property
    def is_calling(self) -> bool:
        """Nothing is being said because tools are running."""
        return bool(self._calls) and not self._active

    def asked(self, *, is_spoken: bool) -> None:
        """The owner's turn is over."""
        self._turn = _Turn.ASKED
        self._is_pause_due = False
        if is_spoken:
            # A frame is under way for less long than one speaks: what of the turns before had not begun never will, and
            # is not always said to have ended.
            self._old = int(self._is_old_begun)

    def drop(self) -> None:
        """Nothing of the answer is wanted any more."""
        if self._turn is not _Turn.IDLE:
            self._is_old_begun = self._is_old_begun or (self._turn is _Turn.BEGUN and not self._old)
            self._old = min(self._old + 1, _MOST_OLD)
        self._close()

    def is_wanted(self) -> bool:
        """Something of an answer has come: whether it is of the one that is wanted."""
        if self._old:
            self._is_old_begun = True
            self._is_end_due = False
            return False
        if self._turn is _Turn.IDLE:
            return False
        self._turn = _Turn.BEGUN
        self._is_end_due = False
        return True

    def answer(self) -> tuple[str, list[Event]]:
        """The answer that what came belongs to, and that it has started, where it has."""
        self._is_pause_due = False
        if self._active:
            return self._id, []
        self._active = True
        self._answers += 1
        return self._id, [AnswerStarted(self._id)]

    def interrupted(self) -> list[Event]:
        """The other side says that it was interrupted."""
        self._is_end_due = True
        if self._old:
            self._pop()
        elif self._turn is _Turn.BEGUN:
            self._close()
            return [AnswerDone(self._id, "cancelled")]
        return []

    def over(self, status: str, failed: Failure | None) -> list[Event]:
        """An end came."""
        if self._is_end_due:
            self._is_end_due = False
            return []
        if self._old:
            self._pop()
            return []
        if self._turn is _Turn.IDLE:
            return []
        if not self._active and status == "completed" and (self._calls or self._is_pause_due):
            self._is_pause_due = False
            return []
        answer_id, events = self.answer()
        self._close()
        return [*events, AnswerDone(answer_id, status, failure=failed)]  # type: ignore[arg-type]

    def calls(self, call_id: str, name: str) -> bool:
        """A tool is to be called; false where that was told before, or too many are running."""
        if call_id in self._calls or len(self._calls) >= _MOST_CALLS:
            return False
        self._calls[call_id] = name
        return True

    def called(self) -> list[Event]:
        """All calls of a message were told."""
        self._active = False
        self._is_pause_due = True
        return [AnswerDone(self._id, "completed", calls=True)]

    def has_result(self, call_id: str, response: JSON) -> list[JSON]:
        """The result of a call is there: what is to be sent, which is all of them at once or nothing yet."""
        name = self._calls.pop(call_id, None)
        if name is None:
            return []
        self._results.append({"id": call_id, "name": name, "response": response})
        return self._complete()

    def forget(self, call_ids: tuple[str, ...]) -> tuple[tuple[str, ...], list[JSON]]:
        """The other side wants these results no more: those that were awaited, and what is to be sent now."""
        known = tuple(dict.fromkeys(one for one in call_ids if one in self._calls))
        for call_id in known:
            del self._calls[call_id]
        return known, self._complete()

    @property
    def _id(self) -> str:
        return f"answer_{self._answers}"

    def _close(self) -> None:
        self._turn = _Turn.IDLE
        self._active = False
        self._calls.clear()
        self._results.clear()

    def _pop(self) -> None:
        self._old -= 1
        self._is_old_begun = False

    def _complete(self) -> list[JSON]:
        if self._calls:
            return []
        results, self._results = self._results, []
        return results
