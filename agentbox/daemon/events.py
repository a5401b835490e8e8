"""The one stream of stage events. Logs, journal, pages and figures subscribe here and read nothing else."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import TypeAlias

from agentbox.messages import Message, Notice, Stage, StageEvent
from agentbox.service import fields, is_supervised

Sink: TypeAlias = Callable[[StageEvent], None]

_log = logging.getLogger("agentbox")

_LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


_TOLD = ("box", "capture", "tool_result")
"""What one wants to find in the log of a service that does odd things; the rest is told at log level debug. In the
foreground the screen shows it."""


class Events:
    """Gives every event to every sink, in order, at once. Sinks must return quickly and may not raise.

    `clock` is the wall clock, `monotonic` the clock of durations, both in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._monotonic = monotonic
        self._sinks: list[Sink] = []
        self._watching: list[Sink] = []

    def subscribe(self, sink: Sink, *, watches: bool = False) -> Callable[[], None]:
        """Add a sink; the returned function takes it away again. `watches`: somebody looks on meanwhile."""
        lists = [self._sinks, self._watching] if watches else [self._sinks]
        for sinks in lists:
            sinks.append(sink)

        def forget() -> None:
            for sinks in lists:
                sinks.remove(sink)

        return forget

    @property
    def watched(self) -> bool:
        """Whether somebody looks on. Where nobody does, nothing need be worked out just to be shown."""
        return bool(self._watching)

    def emit(
        self,
        stage: Stage,
        state: str,
        *,
        utterance_id: str = "",
        message: Message | None = None,
        timings: Mapping[str, float] | None = None,
    ) -> StageEvent:
        """Publish one event. `timings` are milliseconds and counts; words go into `message` and nowhere else."""
        event = StageEvent(
            stage=stage,
            state=state,
            at=self._clock(),
            monotonic_s=self._monotonic(),
            utterance_id=utterance_id,
            timings={name: round(float(value), 3) for name, value in (timings or {}).items()},
            message=message,
        )
        for sink in list(self._sinks):
            sink(event)
        return event

    def notice(self, notice: Notice) -> None:
        self.emit("notice", notice.code, message=notice)


def log_event(event: StageEvent) -> None:
    """The sink of the system log: stages, ids and timings; never words. A notice speaks of the box, so it is told."""
    extra = fields(event.stage, event.state, event.utterance_id, event.timings)
    if isinstance(event.message, Notice):
        notice = event.message
        _log.log(_LEVELS[notice.level], "%s %s [%s]", notice.what, notice.todo, notice.code, extra=extra)
        return
    figures = " ".join(f"{name}={value:g}" for name, value in event.timings.items())
    level = logging.INFO if event.stage in _TOLD and is_supervised() else logging.DEBUG
    _log.log(level, "%s %s %s %s", event.stage, event.state, event.utterance_id[-6:], figures, extra=extra)
