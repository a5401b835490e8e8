"""Muted by the owner: the microphone is closed until they want it open again, over restarts too."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from agentbox import paths
from agentbox.daemon.events import Events
from agentbox.errors import InputError
from agentbox.files import replace_file
from agentbox.messages import Notice

_log = logging.getLogger(__name__)

LONGEST_MINUTES = 7 * 24 * 60.0
"""A pause longer than a week is no pause: without an end it lasts until it is taken back."""

SILENT_S = 5.0
"""How long whoever mutes the box waits until the microphone is closed."""


class Mute:
    """Whether the owner lets the box listen. They call `mute` and `unmute`; where the sound comes from obeys.

    It is kept in a file of its own, and not in the journal: a disk that fails, or a journal that begins anew, must not
    open a microphone that was closed.
    """

    def __init__(self, events: Events, file: Path | None = None, *, clock: Callable[[], float] = time.time) -> None:
        self._events = events
        self._file = file or paths.mute_file()
        self._clock = clock
        self.muted = False
        self.until: float | None = None
        """When it ends by itself, seconds since 1970; null: not."""
        self._listening = asyncio.Event()
        self._listening.set()
        self._silent = asyncio.Event()
        self._obey: Callable[[bool], None] | None = None
        self._end: asyncio.TimerHandle | None = None

    @property
    def state(self) -> str:
        """In words, while it is muted."""
        if self.until is None:
            return "muted by the owner"
        return f"muted by the owner until {datetime.fromtimestamp(self.until).astimezone():%H:%M}"

    def recall(self) -> None:
        """Be as before the restart. A file that cannot be read mutes: who wrote it wanted silence."""
        until: float | None = None
        left_s: float | None = None
        try:
            kept = json.loads(self._file.read_text(encoding="utf-8"))
            if kept["until"] is not None:
                until = float(kept["until"])
                # Not longer than was asked for, whatever the clock says after a restart.
                left_s = min(until - self._clock(), float(kept["minutes"]) * 60)
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError) as error:
            _log.warning("%s cannot be read (%s): the box stays muted", self._file, type(error).__name__)
            until = left_s = None
        if left_s is not None and left_s <= 0:
            self._forget()
            return
        self._begin(until, left_s)

    async def mute(self, minutes: float | None = None) -> bool:
        """Close the microphone; with `minutes`, for so long. Whether it is closed now: a driver that hangs may take
        longer, and nothing is heard even so. Raises `InputError` `bad_parameter`."""
        if minutes is not None and not 0 < minutes <= LONGEST_MINUTES:
            raise InputError(
                "bad_parameter", f"minutes must be above 0, and {LONGEST_MINUTES:.0f} at most.", "See docs/control.md."
            )
        seconds = None if minutes is None else minutes * 60
        self._begin(None if seconds is None else self._clock() + seconds, seconds)
        try:
            await asyncio.to_thread(self._keep, minutes)
        except OSError as error:
            what = f"{self._file} cannot be written: {error.strerror}. After a restart the box listens."
            self._events.notice(Notice(code="mute_not_kept", what=what, todo="Look at the disk: agentbox doctor."))
        if not self.muted:  # taken back meanwhile
            self._forget()
            return False
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._silent.wait(), SILENT_S)
        return self._silent.is_set()

    def unmute(self) -> None:
        """Listen again."""
        if self._end is not None:
            self._end.cancel()
            self._end = None
        self._forget()
        if self.muted:
            self.muted, self.until = False, None
            self._silent.clear()
            self._listening.set()
            if self._obey is not None:
                self._obey(False)
            self._events.emit("capture", "unmuted")

    def obeyed_by(self, obey: Callable[[bool], None]) -> None:
        """`obey(muted)` is called when that changes, and now if it is muted."""
        self._obey = obey
        if self.muted:
            obey(True)

    def silent(self) -> None:
        """Nothing is captured any more; said by where the sound comes from."""
        if self.muted and not self._silent.is_set():
            self._silent.set()
            self._events.emit("capture", "muted")

    async def over(self) -> None:
        """Until it is not muted."""
        while self.muted:  # it may be muted again before who waits here gets to run
            await self._listening.wait()

    def _begin(self, until: float | None, seconds: float | None) -> None:
        if self._end is not None:
            self._end.cancel()
            self._end = None
        if seconds is not None:
            self._end = asyncio.get_running_loop().call_later(seconds, self.unmute)
        before, self.muted, self.until = self.muted, True, until
        self._listening.clear()
        if not before and self._obey is not None:
            self._obey(True)

    def _keep(self, minutes: float | None) -> None:
        """Raises `OSError`."""
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(self._file, json.dumps({"until": self.until, "minutes": minutes}).encode())

    def _forget(self) -> None:
        try:
            self._file.unlink(missing_ok=True)
        except OSError as error:
            what = f"{self._file} cannot be deleted: {error.strerror}. After a restart the box is muted."
            self._events.notice(Notice(code="mute_not_kept", what=what, todo="Look at the disk: agentbox doctor."))
