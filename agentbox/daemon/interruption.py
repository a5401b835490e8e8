"""Who speaks while the box speaks stops it; whoever did not mean the box lets it go on where it was."""

from __future__ import annotations

import asyncio
from typing import Protocol

from agentbox.messages import StageEvent

RESUME_S = 2.0
"""Somebody who has spoken for so long, and not to the box, is talking to others: the box goes on."""

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
    def hold(self) -> bool: ...
    def go_on(self) -> None: ...
    def hush(self) -> bool: ...


class Interruption:
    """A sink of stage events. It is subscribed only where the box can tell others' speech from its own."""

    def __init__(self, voice: Voice) -> None:
        self._voice = voice
        self._by = ""
        """The utterance that the box fell silent for."""
        self._stirred = False
        """It fell silent, and whether for an utterance is not known yet."""
        self._lapse: asyncio.TimerHandle | None = None

    def __call__(self, event: StageEvent) -> None:
        what = (event.stage, event.state)
        if what in (("speech", "stirred"), ("speech", "started")):
            if self._voice.audible and self._voice.hold():
                self._stirred = True
                self._lapse = asyncio.get_running_loop().call_later(RESUME_S, self._go_on)
            if self._stirred and event.state == "started":
                self._stirred, self._by = False, event.utterance_id
        elif what == ("speech", "too_short"):
            if self._stirred:
                self._go_on()
        elif not self._by or event.utterance_id != self._by:
            return
        elif what == ("activation", "noticed"):
            # Whoever calls the box is listened to.
            self._keep_quiet()
        elif what == ("activation", "opened"):
            self._keep_quiet()
            self._by = ""
            self._voice.hush()
        elif what in _NOT_MEANT:
            self._go_on()

    def _keep_quiet(self) -> None:
        if self._lapse is not None:
            self._lapse.cancel()
            self._lapse = None

    def _go_on(self) -> None:
        self._keep_quiet()
        self._by, self._stirred = "", False
        self._voice.go_on()
