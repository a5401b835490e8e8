"""The one inference thread: everything that is decoded is decoded here, one stretch of sound at a time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from agentbox.asr.engine import Aborted, Engine, Recognition, Samples
from agentbox.asr.hotwords.index import HotwordIndex
from agentbox.asr.listener import Ask, Listener, Sentences
from agentbox.asr.wakeful import Wakeful
from agentbox.errors import AgentboxError, ModelError
from agentbox.messages import Notice

_log = logging.getLogger(__name__)

Sound: TypeAlias = NDArray[np.int16] | NDArray[np.float32]
"""Mono, 16 kHz, shape [n]; int16, or float32 in -1..1."""

Answer: TypeAlias = asyncio.Future[Recognition]

STUCK_S = 20.0
"""A thread that has something to do and got nowhere for so long hangs. The longest piece is the encoding of half a
minute of sound."""

END_S = 0.8
"""How long what runs may take to end when the thread is stopped, and once more after it was told to give up."""

REST_AFTER_WORK_S = 1.0
"""After so much work the engine rests in the next gap between two jobs, however short it is: it takes some 10 ms, and
talk that hardly pauses would otherwise leave more and more memory behind (450 MB instead of 300)."""


class Priority(IntEnum):
    """What is decoded first."""

    FINAL = 0
    """An utterance has ended and somebody waits for its words."""
    SPECULATIVE = 1
    """Speech pauses; the utterance may be over."""
    LOOK = 2
    """Does the utterance under way begin with a wake phrase?"""
    PARTIAL = 3
    """Only to show what is heard so far, or to make ready for it."""


@dataclass(eq=False, slots=True)
class _Job:
    run: Callable[[Callable[[], bool]], object]
    """What to do in the inference thread; it is told how to ask whether the answer is still wanted."""
    priority: Priority
    answer: asyncio.Future[Any]
    unwanted: threading.Event = field(default_factory=threading.Event)


class InferenceThread:
    """Runs an engine in a thread of its own for an asyncio program; its methods belong to the event loop's thread.

    Finals are decoded in the order they came and are never dropped; past `max_waiting` of them new ones are refused,
    and the owner is told. A future that its holder cancels leaves the queue, or stops being decoded at the next token.
    """

    def __init__(
        self,
        engine: Engine,
        language: str,
        *,
        max_waiting: int = 32,
        rest_after_s: float = 2.0,
        cache: Path | None = None,
        languages: Sequence[str] = (),
        notify: Callable[[Notice], None] | None = None,
        niceness: int = 0,
    ) -> None:
        """With nothing to do for `rest_after_s` the engine is told to rest. `cache`: a folder for what takes a while to
        work out. `languages`: all that may be spoken, where they are more than `language`. `notify` is called in the
        event loop when finals are refused and when the engine raises `ModelError`. `niceness`: by how much it gives way
        to other threads (nice(2)); an engine's own threads, where it has more than one, do not."""
        self._cache, self._languages = cache, tuple(languages)
        self.listener = Listener(engine, cache, languages)
        self._language = language
        self._max_waiting = max_waiting
        self._rest_after_s = rest_after_s
        self._notify = notify
        self._niceness = niceness
        self._changed = threading.Condition()
        self._queues: dict[Priority, deque[_Job]] = {priority: deque() for priority in Priority}
        self._running: _Job | None = None
        self._moved_s: float | None = None
        """When the thread last got somewhere; null while it waits for something to do."""
        self._stopping = False
        self._refused = 0
        self._worked_s = 0.0
        """How long the thread has worked since the engine rested."""
        self._preparing: Iterator[None] | None = None
        self._thread = threading.Thread(target=self._work, name="inference", daemon=True)

    def start(self) -> None:
        self._thread.start()

    async def stop(self) -> None:
        """Cancel what waits, let what runs end if it does so soon, and wait for the thread. May be called twice."""
        with self._changed:
            self._stopping = True
            waiting = [job for queue in self._queues.values() for job in queue]
            self._changed.notify()
        for job in waiting:
            job.answer.cancel()
        if self._thread.ident is None:
            return
        await asyncio.to_thread(self._thread.join, END_S)
        with self._changed:
            running = self._running
        if running is not None:
            running.unwanted.set()
        await asyncio.to_thread(self._thread.join, END_S)

    def use(self, engine: Engine) -> None:
        """Decode with another engine from the next job on. What runs is ended with the former, what waits is not lost,
        and the grammars must be made ready again (`prepare`)."""
        listener = Listener(engine, self._cache, self._languages)
        listener.names.hotwords = self.listener.names.hotwords
        with self._changed:
            self.listener, self._preparing = listener, None
            self._worked_s = REST_AFTER_WORK_S  # the former's memory is given back in the next gap
            self._changed.notify()

    def prepare(self, *sentences: Sentences) -> None:
        """Make grammars ready, one after the other, while nothing else is to be done."""
        with self._changed:
            self._preparing = chain.from_iterable(map(self.listener.prepare, sentences))
            self._changed.notify()

    def use_hotwords(self, hotwords: HotwordIndex | None) -> None:
        """Put right the owner's names from the next utterance on, in place of those before."""
        self.listener.names.hotwords = hotwords

    def final(
        self, sound: Sound, speech_ms: int | None = None, ask: Ask | None = None, wakeful: Wakeful | None = None
    ) -> Answer:
        """Decode an utterance, and under the sentences that `ask` names. `wakeful`: it must begin with a wake phrase.

        The future raises what the engine raises, or `ModelError`: `asr_overloaded`; `model_failed` for any other error.
        """
        return self._hear(sound, Priority.FINAL, speech_ms, ask, wakeful)

    def speculative(
        self, sound: Sound, speech_ms: int | None = None, ask: Ask | None = None, wakeful: Wakeful | None = None
    ) -> Answer | None:
        """The same for what may turn out to be a whole utterance; cancel the future when speech goes on. Null while
        finals wait: a box that is behind decodes nothing twice."""
        return None if self.behind else self._hear(sound, Priority.SPECULATIVE, speech_ms, ask, wakeful)

    def look(self, sound: Sound, wakeful: Wakeful) -> asyncio.Future[str | None]:
        """Look whether an utterance under way begins with a wake phrase; the phrase, or null so far."""
        return self._submit(Priority.LOOK, lambda _: self.listener.look(_as_float(sound), wakeful, self._language))

    def partial(
        self, sound: Sound, speech_ms: int | None = None, told: Callable[[str], None] | None = None
    ) -> Answer | None:
        """The words so far of an utterance under way, of which a streaming engine only hears what is new; null when the
        thread has something better to do, or the engine is to rest (`Listener.partial_again_s`). `told` is called in
        the event loop with what an engine that writes word by word wrote by then. The future is cancelled when a newer
        partial, a speculative or a final job comes before it is done."""
        if self._busy() or time.monotonic() < self.listener.partial_again_s:
            return None
        loop = asyncio.get_running_loop()

        def run(abort: Callable[[], bool]) -> Recognition:
            def tell(text: str) -> None:
                if told is not None and not abort():
                    loop.call_soon_threadsafe(told, text)

            heard, language = _as_float(sound), self._language
            return self.listener.partial(heard, language=language, speech_ms=speech_ms, abort=abort, told=tell)

        return self._submit(Priority.PARTIAL, run)

    def prime(self, sound: Sound, ask: Ask, wakeful: Wakeful | None = None) -> None:
        """Decode an utterance under way under its sentences, so that what is new in it is known when it is over; where
        the thread has something better to do, and where nothing was new the last time, do nothing. A streaming engine
        hears what is new, which then needs no time at the end.

        On orders never heard before, of which the first seven tenths were decoded so, the decoding at their end took
        240 ms instead of 310 (median; p95 330 instead of 540).
        """
        answer: Answer | None = None
        if self.listener.streams:
            answer = self.partial(sound)
        elif self.listener.novel and not self._busy():
            answer = self._hear(sound, Priority.PARTIAL, None, ask, wakeful, under_way=True)
        if answer is not None:
            # Nobody waits for it, and an error was told by a notice.
            answer.add_done_callback(lambda done: None if done.cancelled() else done.exception())

    def alive(self, limit_s: float = STUCK_S) -> bool:
        """Whether the thread runs, and has got somewhere within `limit_s` if it has something to do."""
        moved_s = self._moved_s
        return self._thread.is_alive() and (moved_s is None or time.monotonic() - moved_s < limit_s)

    @property
    def behind(self) -> int:
        """How many finals wait."""
        with self._changed:
            return len(self._queues[Priority.FINAL])

    def _busy(self) -> bool:
        with self._changed:
            return self._running is not None or any(
                self._queues[priority] for priority in (Priority.FINAL, Priority.SPECULATIVE)
            )

    def _hear(
        self,
        sound: Sound,
        priority: Priority,
        speech_ms: int | None,
        ask: Ask | None = None,
        wakeful: Wakeful | None = None,
        *,
        under_way: bool = False,
    ) -> Answer:
        def run(abort: Callable[[], bool]) -> Recognition:
            return self.listener.hear(
                _as_float(sound),
                language=self._language,
                speech_ms=speech_ms,
                abort=abort,
                ask=ask,
                wakeful=wakeful,
                under_way=under_way,
                names=priority is not Priority.PARTIAL,
            )

        return self._submit(priority, run)

    def _submit(self, priority: Priority, run: Callable[[Callable[[], bool]], object]) -> asyncio.Future[Any]:
        job = _Job(run, priority, asyncio.get_running_loop().create_future())
        with self._changed:
            queue = self._queues[priority]
            full = priority is Priority.FINAL and len(queue) >= self._max_waiting
            stopping = self._stopping
            outdated: list[_Job] = []
            if priority is not Priority.LOOK:
                outdated += self._queues[Priority.PARTIAL]
                if self._running is not None and self._running.priority is Priority.PARTIAL:
                    outdated.append(self._running)
            if not full and not stopping:
                queue.append(job)
                self._changed.notify()
        if full:
            self._refuse(job)
        elif stopping:
            job.answer.cancel()
        else:
            for older in outdated:
                older.unwanted.set()
                older.answer.cancel()
            job.answer.add_done_callback(lambda answer: self._forget(job) if answer.cancelled() else None)
        return job.answer

    def _refuse(self, job: _Job) -> None:
        self._refused += 1
        error = ModelError(
            "asr_overloaded",
            f"{self._max_waiting} utterances wait to be decoded; {self._refused} more could not be taken.",
            "This machine is too slow for the model: choose a smaller one (agentbox models list).",
        )
        job.answer.set_exception(error)
        self._tell(error)

    def _forget(self, job: _Job) -> None:
        job.unwanted.set()
        with self._changed:
            if job in self._queues[job.priority]:
                self._queues[job.priority].remove(job)

    def _tell(self, error: ModelError) -> None:
        if self._notify is not None:
            self._notify(Notice(code=error.code, what=error.what, todo=error.todo, level="error"))

    # From here on: the inference thread.

    def _work(self) -> None:
        with contextlib.suppress(OSError):  # a sandbox may forbid it; then the thread is as any other
            os.nice(self._niceness)  # of this thread alone: so it is on Linux
        while (job := self._next()) is not None:
            started = time.monotonic()
            result = self._tried("an utterance could not be decoded", partial(job.run, partial(self._asked, job)))
            self._worked_s += time.monotonic() - started
            with self._changed:
                self._running = None
            try:
                job.answer.get_loop().call_soon_threadsafe(self._answer, job, result)
            except RuntimeError:  # the loop is closed: nobody waits any more
                return

    def _tried(self, failed: str, run: Callable[[], object]) -> object:
        """What `run` comes to, or what it raises: that belongs to whoever waits for it, and to nobody else.

        `failed`: what the log is told of errors that no engine should raise."""
        try:
            return run()
        except (AgentboxError, Aborted) as error:
            # Where it comes from would hold the engine for as long as somebody holds the error.
            error.__traceback__ = error.__cause__ = error.__context__ = None
            return error
        except Exception as error:  # a model is not worth the whole box
            _log.error("%s (%s)", failed, _kind_and_place(error))
            name = self.listener.engine.name
            return ModelError(
                "model_failed", f"The model {name} failed in an utterance.", "Run: agentbox models verify"
            )

    def _asked(self, job: _Job) -> bool:
        """Whether the job is not wanted any more; who asks has not stopped somewhere."""
        self._moved_s = time.monotonic()
        return job.unwanted.is_set()

    def _next(self) -> _Job | None:
        """The next job, or null when the thread should end."""
        rested = False
        while True:
            with self._changed:
                self._moved_s = None
                rest_after_s = self._rest_after_s if self._worked_s < REST_AFTER_WORK_S else 0.0
                idle = not self._changed.wait_for(self._wanted, None if rested else rest_after_s)
                self._moved_s = time.monotonic()
                preparing = self._preparing
                if self._stopping:
                    return None
                if any(self._queues.values()):
                    self._running = next(queue for queue in self._queues.values() if queue).popleft()
                    return self._running
            if preparing is not None:
                self._prepare(preparing)
                rested = False
            elif idle:
                self._rest()
                rested = True
                self._worked_s = 0.0

    def _rest(self) -> None:
        # A model that fails is told of when somebody waits for it.
        self._tried("the speech model could not rest", self.listener.rest)

    def _prepare(self, preparing: Iterator[None]) -> None:
        """One small piece of making a grammar ready. Whatever goes wrong here must not make the box deaf: then the
        grammar is made ready when it is used, and what is wrong is told there."""
        ended = StopIteration()
        found = self._tried("the sentences could not be made ready", partial(next, preparing, ended))
        if not isinstance(found, Exception):
            return
        with self._changed:
            if self._preparing is preparing:
                self._preparing = None

    def _wanted(self) -> bool:
        return self._stopping or self._preparing is not None or any(self._queues.values())

    def _answer(self, job: _Job, result: object) -> None:
        """In the event loop again."""
        if isinstance(result, ModelError):
            self._tell(result)
        if job.answer.done():
            return
        if isinstance(result, Aborted):
            job.answer.cancel()
        elif isinstance(result, Exception):
            job.answer.set_exception(result)
        else:
            job.answer.set_result(result)


def _kind_and_place(error: Exception) -> str:
    """An error for the log: not its text, which may be what somebody said."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = "" if trace is None else f", {Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
    return f"{type(error).__name__}{place}"


def _as_float(sound: Sound) -> Samples:
    return sound.astype(np.float32) / 32768.0 if sound.dtype == np.int16 else sound.astype(np.float32, copy=False)
