"""Who speaks while the box speaks stops it; whoever did not mean the box lets it go on where it was."""

from __future__ import annotations

import asyncio
from typing import Protocol

from agentbox.messages import Activation, StageEvent

RESUME_S = 2.0
"""Somebody who has spoken for so long, and not to the box, is talking to others: the box goes on."""

CALLED_S = 30.0
"""Longer than any utterance and its decoding: nothing is held for ever."""

_NOT_MEANT = {
    ("transcript", "not_activated"),
    ("transcript", "suppressed"),
    ("transcript", "own_voice"),
    ("utterance", "failed"),
}


class Voice(Protocol):
    """What is interrupted: see `Speaking`."""

    @property
    def audible(self) -> bool: ...
    @property
    def held(self) -> bool: ...
    def hold(self) -> bool: ...
    def go_on(self) -> None: ...
    def outdate(self) -> None: ...


class Interruption:
    """A sink of stage events. It is subscribed only where the box can tell others' speech from its own."""

    def __init__(self, voice: Voice) -> None:
        self._voice = voice
        self._open = ""
        """The utterance under way."""
        self._by = ""
        """The one that the box is silent for, once it is one."""
        self._lapse: asyncio.TimerHandle | None = None

    def __call__(self, event: StageEvent) -> None:
        match event.stage, event.state:
            case "speech", "stirred":
                self._hold("")
            case "speech", "started":
                self._open = event.utterance_id
                self._hold(self._open)
            case "speech", "too_short" if self._voice.held and not self._by:
                self._go_on()
            case "utterance", "ended":
                self._open = ""
            case "utterance", "dropped":
                self._open = ""
                self._go_on()
            case "speaking", "started" if self._open:
                # Somebody was speaking when the box began to.
                self._hold(self._open)
            case "activation", "noticed" if event.utterance_id == self._by:
                # Whoever calls the box is listened to.
                self._let_lapse(CALLED_S)
            case "activation", "opened" if not _typed(event):
                self._voice.outdate()
                self._go_on()
            case what if what in _NOT_MEANT and event.utterance_id == self._by:
                self._go_on()

    def _hold(self, by: str) -> None:
        if self._voice.held or (self._voice.audible and self._voice.hold()):
            self._by = by or self._by
            self._let_lapse(RESUME_S)

    def _let_lapse(self, seconds: float) -> None:
        if self._lapse is not None:
            self._lapse.cancel()
        self._lapse = asyncio.get_running_loop().call_later(seconds, self._go_on)

    def _go_on(self) -> None:
        if self._lapse is not None:
            self._lapse.cancel()
            self._lapse = None
        self._by = ""
        self._voice.go_on()


def _typed(event: StageEvent) -> bool:
    return isinstance(event.message, Activation) and event.message.by == "control"
