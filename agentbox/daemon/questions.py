"""What the box asked for to make a call whole ("for how long?"), until it is answered. Pure; time is given."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from agentbox.messages import Intent

ANSWER = "AgentboxAnswer"
"""The intent of words that are nothing but an answer ("ten minutes"); they mean what was asked about."""


class _Open(NamedTuple):
    intent: Intent
    code: str
    until: float


class Questions:
    """The one question that is open, if any. It is closed by the next thing that is understood, and after a while."""

    def __init__(self, valid_s: float) -> None:
        self.valid_s = valid_s
        self._open: _Open | None = None

    def ask(self, intent: Intent, code: str, now: float) -> None:
        """`intent` wants something that the error `code` names; the owner was asked at `now` (monotonic seconds)."""
        self._open = _Open(intent, code, now + self.valid_s)

    def asked(self, now: float) -> str | None:
        """The code of the open question."""
        if self._open is not None and now >= self._open.until:
            self._open = None
        return self._open.code if self._open is not None else None

    def answered(self, intent: Intent, now: float) -> Intent | None:
        """What `intent` means with the open question in mind, which is closed by it: the call that was asked about,
        with what was said then and now. Null: an answer, and nothing was asked."""
        code, asked, self._open = self.asked(now), self._open, None
        if code is None or asked is None:
            return None if intent.name == ANSWER else intent
        if intent.name not in (ANSWER, asked.intent.name):
            return intent
        # What is said now counts: "no, a tea timer for five minutes".
        slots = {**asked.intent.slots, **intent.slots}
        said = {**asked.intent.said, **intent.said}
        response = intent.response or asked.intent.response
        return msgspec.structs.replace(intent, name=asked.intent.name, slots=slots, said=said, response=response)
