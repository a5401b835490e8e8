"""Is the box well? What the service manager's watchdog, `agentbox status` and the owner are told.

The loop is well if it gets to ask. The inference thread has to have got somewhere; the sound to come, to be looked
for, or to be unwanted (muted by the owner). A box that is not well is started anew: its watchdog is not fed
(sd_notify(3)).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from agentbox.asr.worker import InferenceThread
from agentbox.daemon.sources import Source
from agentbox.service import notify, watchdog_s

_log = logging.getLogger(__name__)

LOOK_S = 10.0
"""How often it is looked where no watchdog asks for less."""


class Health:
    """Looks at the parts of a running box."""

    def __init__(
        self,
        worker: InferenceThread,
        source: Source,
        *,
        tend: Callable[[], None] = lambda: None,
        notify: Callable[[str], bool] = notify,
        interval_s: float | None = None,
    ) -> None:
        """`tend`: sees to what the box can do without; called as often as is looked."""
        self._worker = worker
        self._source = source
        self._notify = notify
        self._tend = tend
        asked_s = watchdog_s()
        # Twice in time: one look may come late on a busy machine.
        self._interval_s = interval_s or (LOOK_S if asked_s is None else min(LOOK_S, asked_s / 3))
        self._told = ""
        self._problem: str | None = None

    def problem(self) -> str | None:
        """What is wrong, in words; null where all is well."""
        if not self._worker.alive():
            return "the inference thread hangs"
        if not self._source.seen_to():
            return "no sound comes, and nobody looks for the microphone"
        return None

    @property
    def state(self) -> str:
        """What the box is doing, in words."""
        return self.problem() or self._source.state

    async def watch(self) -> None:
        """Feed the watchdog for ever, while all is well."""
        while True:
            self.look()
            await asyncio.sleep(self._interval_s)

    def look(self) -> None:
        """Once: feed the watchdog if all is well, and tell what the box is doing where that has changed."""
        self._tend()
        problem = self.problem()
        if problem != self._problem:
            self._problem = problem
            if problem is None:
                _log.warning("all is well again")
            else:
                _log.error("%s: the watchdog is not fed", problem)
        lines = ["WATCHDOG=1"] if problem is None else []
        if self.state != self._told:
            self._told = self.state
            lines.append(f"STATUS={self._told}")
        if lines:
            self._notify("\n".join(lines))
