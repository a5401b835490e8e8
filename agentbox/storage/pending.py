"""What belongs to an utterance waits here until the utterance is activated; if it never is, nothing is kept. Pure."""

from __future__ import annotations

from collections import OrderedDict

import msgspec

from agentbox.messages import Activation, Audit, Egress, Notice, Reply, StageEvent, Utterance

PENDING_TURNS = 64
OPEN_TURNS = 256


class Pending:
    """Decides which events may be written."""

    def __init__(self) -> None:
        self._timings: OrderedDict[str, list[StageEvent]] = OrderedDict()
        self._open: OrderedDict[str, None] = OrderedDict()

    def admit(self, event: StageEvent) -> list[StageEvent]:
        """The events to write now that `event` came: the activation first, then what had waited for it."""
        turn = event.utterance_id
        if not turn:
            return [event] if isinstance(event.message, Reply | Notice | Egress | Audit) else []
        if isinstance(event.message, Activation):
            self._open[turn] = None
            if len(self._open) > OPEN_TURNS:
                self._open.popitem(last=False)
            return [event, *self._timings.pop(turn, [])]
        # A reply may belong to a turn of long ago (a timer that rings); whether that is still kept, the writer sees.
        if turn in self._open or isinstance(event.message, Reply):
            return [event]
        self._timings.setdefault(turn, []).append(without_words(event))
        if len(self._timings) > PENDING_TURNS:
            self._timings.popitem(last=False)
        return []


def without_words(event: StageEvent) -> StageEvent:
    return msgspec.structs.replace(event, message=None)


def without_sound(event: StageEvent) -> StageEvent:
    """The event with an utterance's length in its timings, and its sound let go."""
    if not isinstance(event.message, Utterance):
        return event
    timings = {**event.timings, "audio_ms": float(event.message.audio_ms)}
    return msgspec.structs.replace(event, timings=timings, message=msgspec.structs.replace(event.message, pcm=b""))
