"""The box's answers in a cloud voice, sentence by sentence; where it fails, the box's own voice goes on.

Only what is said to the owner in answer goes out, as text, once it is to be said. What the box says unasked (a timer, a
reminder) never does.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import cast

import numpy as np

from agentbox.daemon.backend import Backend
from agentbox.daemon.cloud import Cloud
from agentbox.daemon.events import Events
from agentbox.daemon.streams import Narration, Pieces
from agentbox.messages import Reply
from agentbox.realtime.events import AnswerSound, Event, Failed, Finished
from agentbox.realtime.failures import CloudError, Kind, failure
from agentbox.realtime.link import Link
from agentbox.realtime.session import StreamingTTS

SILENT_S = 1.0
"""So long nothing is heard, at the beginning or after the last sound that came; then the box's own voice, which needs a
twentieth of it, goes on. A service on a good line begins within half of it, the connection included; and more than a
second between two words is taken for the end of the answer."""

AHEAD = 2
"""Sentences that the service has at a time: the next is made while one comes, and one that is stopped cost little."""

LETTER_MS = 65.0
"""Of a voice that was not heard yet (English, 15 letters a second)."""

_SPACELESS = "\u2e80"
"""From here on stand the scripts that write no spaces (Unicode, CJK radicals and what follows); a character of theirs
is a syllable, and counts as three letters."""

_FOREVER_S = 1e6


class CloudVoice:
    """See `streams.Elsewhere`. All in the event loop."""

    def __init__(self, cloud: Cloud, events: Events, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._cloud = cloud
        self._events = events
        self._monotonic = monotonic
        self._paces: dict[str, Pace] = {}
        self._is_closed = False

    def speaks(self, reply: Reply) -> bool:
        """Whether `reply` may be said by it now. What belongs to no turn of the owner's may not."""
        asked = bool(reply.utterance_id) and reply.outcome != "alert"
        return asked and not self._is_closed and self._cloud.is_on

    async def say(self, text: Narration, turn_id: str, left_s: Callable[[], float]) -> Pieces:
        """The sound of `text`, as far as a cloud voice says it: what it did not say is left in `text`."""
        first = await text.next_sentence()
        if first is None:
            return
        text.give_back([first])
        self._cloud.tend()  # nobody looked for those that are down while nobody might be asked
        late_s = self._monotonic() + SILENT_S
        for backend in [one for one in self._cloud.usable() if one.speaks]:
            again = True
            while again and self._monotonic() < late_s:
                reused = backend.link is not None
                try:
                    async with aclosing(self._said_by(backend, text, turn_id, late_s, left_s)) as pieces:
                        async for piece in pieces:
                            late_s = 0.0  # from now on only the box's own voice takes over
                            yield piece
                    return
                except CloudError as error:
                    if self._is_closed:
                        return
                    self._cloud.failed(backend, error)
                    if error.failure.kind is Kind.FATAL_INPUT:
                        return  # another vendor would be sent what this one found improper
                    again = self._cloud.hung_up(backend, error, reused)

    def close(self) -> None:
        """Begin nothing more."""
        self._is_closed = True

    async def _said_by(
        self, backend: Backend, text: Narration, turn_id: str, late_s: float, left_s: Callable[[], float]
    ) -> Pieces:
        """Raises `CloudError`."""
        began_s = self._monotonic()
        backend.users += 1
        try:
            link = await backend.ready(max(0.05, late_s - began_s))
            if self._is_closed:
                backend.abandon()
                return
            pace = self._paces.setdefault(backend.name, Pace())
            recital = _Recital(link, text, pace, late_s, left_s, self._monotonic)
            use = backend.use("reply", turn_id=turn_id, link=link)
            try:
                async with aclosing(recital.sounds()) as pieces:
                    async for piece in pieces:
                        if not recital.has_sounded:
                            recital.has_sounded = True
                            backend.health.answered()
                            taken_ms = (self._monotonic() - began_s) * 1000
                            self._events.emit("cloud", "voiced", utterance_id=turn_id, timings={"voiced_ms": taken_ms})
                        yield piece
            except CloudError as error:
                use.end(error.code)
                if backend.link is not link:
                    return  # it was taken away: the owner wants it no more, and nothing is wrong with it
                raise
            finally:
                if not recital.is_whole and link.broken is None:
                    self._break_off(backend, link)
                use.end()
        finally:
            backend.users -= 1

    def _break_off(self, backend: Backend, link: Link) -> None:
        """Nobody listens to the rest."""
        link.dialog.interrupt(0.0)
        link.flush()
        if not link.dialog.capabilities.survives_interrupt and backend.link is link:
            backend.abandon()


class Pace:
    """How fast a voice speaks, learnt from whole sentences."""

    def __init__(self) -> None:
        self._letters = 0
        self._ms = 0.0

    def learn(self, sentence: str, ms: float) -> None:
        self._letters += sum(map(_letters, sentence))
        self._ms += ms

    def rest(self, sentence: str, came_ms: float) -> str:
        """Of a sentence that broke off after so much of its sound: from the word on that was not said whole, told by
        its letters' share of the time."""
        left_letters = came_ms / (self._ms / self._letters if self._ms else LETTER_MS)
        at = 0
        while at < len(sentence) and (left_letters := left_letters - _letters(sentence[at])) >= 0.0:
            at += 1
        while 0 < at < len(sentence) and _is_inside_word(sentence[at - 1 : at + 1]):
            at -= 1
        rest = sentence[at:].strip()
        return rest if any(letter.isalnum() for letter in rest) else ""


def _letters(letter: str) -> int:
    return 3 if letter >= _SPACELESS else 1


def _is_inside_word(two: str) -> bool:
    """Whether two letters belong to one word."""
    return all(not letter.isspace() and letter < _SPACELESS for letter in two)


@dataclass(slots=True)
class _Given:
    """A sentence that the service was given."""

    sentence: str
    came_ms: float = 0.0


class _Recital:
    """One text, by one session."""

    def __init__(
        self,
        link: Link,
        text: Narration,
        pace: Pace,
        late_s: float,
        left_s: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self._link = link
        self._voice = cast(StreamingTTS, link.dialog)
        self._text = text
        self._pace = pace
        self._late_s = late_s
        self._left_s = left_s
        self._monotonic = monotonic
        self._given: deque[_Given] = deque()
        self._is_all = False
        """There comes no more text."""
        self.is_whole = False
        self.has_sounded = False
        self._more: asyncio.Future[str | None] | None = None
        self._coming: asyncio.Future[Event] | None = None

    async def sounds(self) -> Pieces:
        """Raises `CloudError`. What was not said when it ends is back in the text."""
        rate_hz = self._link.dialog.capabilities.output_rate_hz
        self._link.forget()
        try:
            while self._given or not self._is_all:
                event = await self._next()
                if isinstance(event, AnswerSound):
                    sound = np.frombuffer(event.pcm, dtype="<i2")
                    self._note(sound.size * 1000 / rate_hz)
                    yield sound, rate_hz
                elif isinstance(event, Finished) and self._given:
                    done = self._given.popleft()
                    if done.came_ms:
                        self._pace.learn(done.sentence, done.came_ms)
                elif isinstance(event, Failed):
                    raise CloudError(event.failure)
            self.is_whole = True
        finally:
            if self._coming is not None:
                self._coming.cancel()
                await asyncio.gather(self._coming, return_exceptions=True)
            await self._give_back()

    async def _next(self) -> Event | None:
        """What comes next of the sound; null: text came."""
        if self._more is None and not self._is_all and len(self._given) < AHEAD:
            self._more = asyncio.ensure_future(self._text.next_sentence())
        if self._coming is None:
            self._coming = asyncio.ensure_future(self._link.next(_FOREVER_S))
        waiting: set[asyncio.Future[object]] = {self._coming}  # type: ignore[arg-type]
        if self._more is not None:
            waiting.add(self._more)  # type: ignore[arg-type]
        await asyncio.wait(waiting, timeout=self._patience_s(), return_when=asyncio.FIRST_COMPLETED)
        if self._more is not None and self._more.done():
            sentence, self._more = self._more.result(), None
            self._give(sentence)
            return None
        if self._coming.done():
            coming, self._coming = self._coming, None
            return coming.result()
        if self._patience_s() == 0.0:
            raise CloudError(failure("cloud_silent"))
        return None

    def _patience_s(self) -> float | None:
        """How long from now until the owner has waited long enough; null: they wait for the text."""
        if not self._given:
            return None
        now, playing_s = self._monotonic(), self._left_s()
        if playing_s > 0.0:
            self._late_s = max(self._late_s, now + playing_s + SILENT_S)
        return max(0.0, self._late_s - now)

    def _give(self, sentence: str | None) -> None:
        if sentence is None:
            self._is_all = True
            return
        if not any(letter.isalnum() for letter in sentence):
            return  # nothing in it can be said
        if self.has_sounded and not self._given:
            self._late_s = max(self._late_s, self._monotonic() + SILENT_S)
        self._given.append(_Given(sentence))
        self._voice.say(sentence)
        self._voice.commit()
        self._link.flush()

    def _note(self, ms: float) -> None:
        """Sound of the first sentence that is not complete."""
        if not self._given:
            return
        given = self._given[0]
        if not given.came_ms:
            self._text.begin(given.sentence)
        given.came_ms += ms
        self._text.note(ms)

    async def _give_back(self) -> None:
        """Whoever goes on finds in the text what was not said."""
        rest = list(self._rest())
        if self._more is not None:
            self._more.cancel()
            [more] = await asyncio.gather(self._more, return_exceptions=True)
            if isinstance(more, str):
                rest.append(more)
        self._text.give_back(rest)

    def _rest(self) -> Iterator[str]:
        for given in self._given:
            rest = self._pace.rest(given.sentence, given.came_ms) if given.came_ms else given.sentence
            if given.came_ms:
                self._text.cut(given.sentence.removesuffix(rest).strip())
            if rest:
                yield rest
