"""The background life of timers, alarms and reminders: keeps the book on disk and tells what is due."""

from __future__ import annotations

import asyncio
import logging

import msgspec

from agentbox.errors import StorageError
from agentbox.messages import Notice, Reply
from agentbox.tools.context import ModuleContext, Service
from agentbox.tools.time_source import Now
from agentbox.tools.timers.book import Book
from agentbox.tools.timers.wording import alert_text

_log = logging.getLogger(__name__)
_KEY = "book"


class Ringer(Service):
    """Rings by unasked replies with the sound `timer`: the first has words, those that repeat it have none."""

    def __init__(self, context: ModuleContext) -> None:
        super().__init__(context)
        self.book = self._load()
        self._changed = asyncio.Event()

    def now(self) -> Now:
        return self.context.clock.read()

    async def run(self) -> None:
        while True:
            self._changed.clear()
            now = self.now()
            self.ring(now)
            try:
                await asyncio.wait_for(self._changed.wait(), self.book.wait_s(now))
            except TimeoutError:
                continue

    def ring(self, now: Now) -> None:
        """Tell what is due, when it is on record that it rings."""
        alerts = self.book.tick(now)
        self._save()
        for alert in alerts:
            language = alert.entry.language
            if language not in self.context.other_phrases:
                language = ""  # it was set when the box knew more languages
            text = "" if alert.kind == "again" else alert_text(alert, self.context.phrases_in(language), now)
            self.context.emit(Reply(utterance_id="", text=text, sound="timer", outcome="alert", language=language))

    def other(self, language: str) -> str:
        """`language` where it is not the box's own, in which everything else is told."""
        return "" if language == self.context.language else language

    def touched(self) -> None:
        """To be called after each change of the book: keeps it, and looks anew at what is due when."""
        self._save()
        self._changed.set()

    def silence(self) -> bool:
        stopped = self.book.stop()
        if stopped:
            self.touched()
        return bool(stopped)

    def _save(self) -> None:
        if not self.book.changed:
            return
        self.book.changed = False
        try:
            self.context.store.put(_KEY, self.book.to_json())
        except StorageError as error:
            # A full disk must not stop a timer that runs; only a restart would lose it.
            what = "Timers and alarms cannot be saved; a restart would lose the latest changes."
            self.context.emit(Notice(code="timers_not_saved", what=what, todo=error.todo, level="error"))

    def _load(self) -> Book:
        try:
            kept = self.context.store.get(_KEY)
            return Book() if kept is None else Book.from_json(kept)
        except StorageError as error:
            self.context.emit(Notice(code="timers_not_read", what=error.what, todo=error.todo, level="error"))
        except msgspec.ValidationError as error:
            _log.error("the kept timers do not have the shape they should: %s", error)
            what = "The kept timers and alarms cannot be read; the box begins with none."
            self.context.emit(Notice(code="timers_not_read", what=what, level="error"))
        return Book()
