"""Whether a backend may be used now: a circuit breaker that knows what sort of failure it sees. Pure; time is given.

A session that was acknowledged is no proof that answers will come: some services accept any model and then say nothing.
So an acknowledgement opens the way again, and only the answer to a real turn wipes out what went wrong before.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from enum import StrEnum

from agentbox.realtime.failures import Failure, Kind

FIRST_S = 2.0
"""Wait after the first failure; doubled with each further one."""

MOST_S = 900.0
"""A quarter of an hour: a service that was away for a day is back in use soon after."""

AGAIN_S = 60.0
"""What fails twice within this time is no accident, and is not tried again at once."""


class State(StrEnum):
    """Where a backend stands."""

    UNKNOWN = "unknown"
    """Nothing was tried yet: it may be used."""
    UP = "up"
    DOWN = "down"
    """It failed; it is tried again later, by a probe that costs no turn."""
    REFUSED = "refused"
    """It will not work before the owner changes something."""


class Health:
    """What is known of one backend. `draw` gives numbers from 0 to 1, for the jitter."""

    def __init__(self, draw: Callable[[], float] = random.random) -> None:
        self._draw = draw
        self.state = State.UNKNOWN
        self.failure: Failure | None = None
        """The last one, while it counts."""
        self._failures = 0
        self._failed_s = float("-inf")
        self.retry_s = float("-inf")
        """When it may be tried again, if it is down."""

    @property
    def is_usable(self) -> bool:
        """Whether a turn may be given to it."""
        return self.state in (State.UNKNOWN, State.UP)

    def may_probe(self, now: float) -> bool:
        """Whether it is time to see if it is back."""
        return self.state is State.DOWN and now >= self.retry_s

    def configured(self) -> None:
        """A session was acknowledged: it may be used. What went wrong before is not forgotten yet."""
        if self.state is not State.REFUSED:
            self.state = State.UP

    def answered(self) -> None:
        """A turn got its first output."""
        self.state = State.UP
        self.failure = None
        self._failures = 0

    def failed(self, failure: Failure, now: float) -> bool:
        """Something went wrong; whether this is news (the owner need not hear the same twice)."""
        if failure.kind is Kind.FATAL_INPUT:
            return False  # it says nothing about the next turn
        news = self.failure is None or self.failure.code != failure.code
        self.failure = failure
        if failure.kind is Kind.FATAL_CONFIG:
            self.state = State.REFUSED
            return news
        at_once = failure.kind is Kind.RETRY_NOW and self._failures == 0 and now - self._failed_s > AGAIN_S
        self._failed_s = now
        if at_once:
            return False
        self._failures += 1
        self.state = State.DOWN
        wait_s = min(MOST_S, FIRST_S * 2.0 ** min(self._failures - 1, 20))
        # From half of it to all of it (AWS, "Exponential Backoff And Jitter", equal jitter): a thousand boxes that
        # lost the same service do not come back in the same second.
        self.retry_s = now + wait_s * (0.5 + self._draw() / 2)
        return news

    def network_changed(self, now: float) -> None:
        """What could not be reached may be reached now; one that fails again waits longer all the same. So may what
        seemed to be somebody else, as behind a hotel's log-in page."""
        if self.state is State.DOWN or (self.failure is not None and self.failure.code == "cloud_tls"):
            self.state = State.DOWN
            self.retry_s = now
