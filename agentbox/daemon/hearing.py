"""From blocks of sound to transcripts: the ear, the inference thread, and speculative decoding between them.

A pause of 160 ms starts decoding at once. If speech does not go on, the transcript is ready before the pause is long
enough to end the turn; and when it already is a whole command, the turn ends early.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from agentbox.asr.engine import Recognition
from agentbox.asr.listener import Ask
from agentbox.asr.wakeful import Wakeful
from agentbox.audio.ear import Ear
from agentbox.audio.segment import (
    Completeness,
    Dropped,
    Ended,
    EndReason,
    PartialDue,
    Paused,
    Resumed,
    Samples,
    SegmentEvent,
    Started,
    Stirred,
)
from agentbox.daemon.activation import Activation
from agentbox.daemon.events import Events
from agentbox.daemon.transcript import transcript_of
from agentbox.errors import AgentboxError
from agentbox.messages import SAMPLE_RATE_HZ, ActivatedBy, PartialTranscript, Transcript, Utterance, new_id

AWAITED_MS = 96
"""A pause so long after a wake phrase is no pause between two words: whoever called waits for a sign."""

SIGN_WITHIN_MS = 1500
"""Whoever goes on to speak for so long needs no sign any more."""

PRIME_EVERY = 3
"""Where nobody looks on, the sentences are made ready instead of every third partial transcript."""


@dataclass(frozen=True, slots=True)
class Heard:
    """An utterance and its transcript, ready to be understood."""

    utterance: Utterance
    transcript: Transcript
    by: ActivatedBy | None
    """Why the utterance needs no wake phrase; null: it needs one."""
    speech_ended_s: float
    """When the last speech was, on the monotonic clock: every latency is counted from here."""
    timings: dict[str, float]
    recognition: Recognition
    """What the sound was, freely and under the sentences."""

    @property
    def speech_began_s(self) -> float:
        """When the first speech was, on the same clock."""
        return self.speech_ended_s - self.utterance.spoken_ms / 1000


class Judge(Protocol):
    """Who the words are shown to before the turn is over: activation, and understanding."""

    @property
    def activation(self) -> Activation: ...

    def asking(self, by: ActivatedBy | None) -> Ask:
        """Tells, by the free reading of a sound, which sentences it may be; asked in the inference thread."""
        ...

    def overheard(self) -> bool:
        """Whether what is heard now may be the box itself."""
        ...

    def amidst(self, text: str, begin_s: float) -> bool:
        """Whether the words so far of an utterance that began then (monotonic) are an order amidst the box's own."""
        ...

    def confided(self, begin_s: float, end_s: float) -> bool:
        """Whether the box said meanwhile what is kept nowhere, and so is not shown as something heard either."""
        ...

    def completeness(self, recognition: Recognition, by: ActivatedBy | None) -> Completeness:
        """How speculative words stand as a command. They may not be meant for the box: nothing is kept."""
        ...


class Decoder(Protocol):
    """The inference thread, as hearing uses it."""

    def final(
        self, samples: Samples, speech_ms: int, ask: Ask, wakeful: Wakeful | None
    ) -> asyncio.Future[Recognition]: ...
    def speculative(
        self, samples: Samples, speech_ms: int, ask: Ask, wakeful: Wakeful | None
    ) -> asyncio.Future[Recognition] | None: ...
    def look(self, samples: Samples, wakeful: Wakeful) -> asyncio.Future[str | None]: ...
    def partial(self, samples: Samples, *, told: Callable[[str], None]) -> asyncio.Future[Recognition] | None: ...
    def prime(self, samples: Samples, ask: Ask, wakeful: Wakeful | None) -> None: ...


@dataclass(slots=True)
class _Open:
    """The utterance under way."""

    id: str
    by: ActivatedBy | None
    started_at: float
    wakeful: Wakeful | None
    """How to look for a wake phrase; null where it needs none."""
    guess: asyncio.Future[Recognition] | None = None
    noticed: bool = False
    """It is known that it begins with a wake phrase."""
    noticed_ms: int = 0
    """How long it was by then."""
    awaited: bool = False
    """Whoever said the phrase waited for a sign, as far as could be told."""
    partials: int = 0
    """How often a partial transcript was due."""
    letters: int = 0
    """How long the words were that were found last."""
    looks: list[asyncio.Future[str | None]] = field(default_factory=list)
    """Looks for a wake phrase that are not done yet."""


class Hearing:
    """`hear(block)` takes sound; `turns` gives an awaitable `Heard` per utterance, in the order they were spoken."""

    def __init__(
        self,
        ear: Ear,
        decoder: Decoder,
        judge: Judge,
        events: Events,
        *,
        engine: str,
        language: str,
        other_languages: Sequence[str] = (),
        partials: bool = True,
        streamed: bool = False,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`engine`: who hears, where the recognition does not say. `partials`: the words so far are shown to whoever
        looks on. `streamed`: the engine works while the owner speaks, shown or not."""
        self._ear = ear
        self._decoder = decoder
        self._judge = judge
        self._events = events
        self._engine = engine
        self._languages = (language, *other_languages)
        self._partials, self._streamed = partials, streamed
        self._clock = clock
        self._monotonic = monotonic
        self._open: dict[int, _Open] = {}
        self._listened = False
        self.turns: asyncio.Queue[Awaitable[Heard] | None] = asyncio.Queue()
        self.decoded: Callable[[Heard], object] = lambda heard: None
        """Told of each utterance as soon as its words are known, also while an earlier turn goes on."""

    def hear(self, block: Samples, presence: Samples | None = None) -> None:
        """Take the next block: int16, 16 kHz, any length. `presence`: see `Ear.hear`."""
        listening = self._judge.activation.listening(self._monotonic())
        if listening or self._ear.speaking:
            self._take(self._ear.hear(block, presence))
        elif self._listened:
            # The time to talk is over (push-to-talk): nothing of what follows is looked at.
            self._take(self._ear.finish("released"))
        self._listened = listening or self._ear.speaking
        self._look()

    def _look(self) -> None:
        """Does the utterance under way begin with a wake phrase? Known early, the box can show that it listens."""
        utterance = self._open.get(max(self._open, default=0))
        if utterance is None or utterance.wakeful is None:
            return
        self._await(utterance)
        if not utterance.wakeful.is_due(self._ear.length, self._ear.silence_ms):
            return
        samples = self._ear.so_far
        audio_ms = samples.size * 1000 // SAMPLE_RATE_HZ

        def show(done: asyncio.Future[str | None]) -> None:
            utterance.looks.remove(done)
            if not done.cancelled() and done.exception() is None and done.result() and not utterance.noticed:
                utterance.noticed, utterance.noticed_ms = True, audio_ms
                self._events.emit("activation", "noticed", utterance_id=utterance.id, timings={"audio_ms": audio_ms})
                self._await(utterance)

        look = self._decoder.look(samples, utterance.wakeful)
        utterance.looks.append(look)
        look.add_done_callback(show)

    def _await(self, utterance: _Open) -> None:
        """Does whoever said the wake phrase wait for a sign?"""
        if not utterance.noticed or utterance.awaited or self._ear.silence_ms < AWAITED_MS:
            return
        utterance.awaited = True
        audio_ms = self._ear.length * 1000 // SAMPLE_RATE_HZ
        if audio_ms - utterance.noticed_ms < SIGN_WITHIN_MS:
            self._events.emit("activation", "awaited", utterance_id=utterance.id, timings={"audio_ms": audio_ms})

    def pace(self, *, partials: bool, streamed: bool) -> None:
        """Other settings, or another engine, from now on: what was given when this was made."""
        self._partials, self._streamed = partials, streamed
        self._ear.pace(streamed=streamed)

    @property
    def level_dbfs(self) -> float:
        """How loud the last window of sound was."""
        return self._ear.level_dbfs

    @property
    def speaking(self) -> bool:
        """Whether an utterance is under way."""
        return self._ear.speaking

    def finish(self, reason: EndReason = "end_of_input") -> None:
        """No more sound comes: end what is under way."""
        self._take(self._ear.finish(reason))

    def forget(self) -> None:
        """The owner does not want to be heard: what is under way is not decoded, and goes nowhere."""
        self._ear.finish()
        for utterance in self._open.values():
            self._drop_guess(utterance)
            for look in utterance.looks:
                look.cancel()
            self._events.emit("utterance", "dropped", utterance_id=utterance.id)
        self._open.clear()

    async def settled(self) -> None:
        """Wait for the decoding and looking under way: sound that comes faster than time must not outrun it."""
        for utterance in list(self._open.values()):
            waiting: list[asyncio.Future[Any]] = [*utterance.looks]
            if utterance.guess is not None:
                waiting.append(utterance.guess)
            if waiting:
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait(waiting)

    def _take(self, events: list[SegmentEvent]) -> None:
        for event in events:
            match event:
                case Stirred():
                    self._events.emit("speech", "stirred")
                case Started():
                    self._start(event)
                case PartialDue():
                    self._partial(event)
                case Paused():
                    self._pause(event)
                case Resumed():
                    self._drop_guess(self._open[event.number])
                case Ended():
                    self._end(event)
                case Dropped():
                    self._events.emit("speech", "too_short", timings={"speech_ms": event.speech_ms})

    def _start(self, event: Started) -> None:
        before_s = (self._ear.position - event.first_sample) / SAMPLE_RATE_HZ
        by = self._judge.activation.opens(self._monotonic())
        utterance = _Open(new_id(), by, self._clock() - before_s, self._judge.activation.wakeful(by))
        self._open[event.number] = utterance
        self._events.emit("speech", "started", utterance_id=utterance.id, timings={"level_dbfs": self._ear.level_dbfs})

    def _partial(self, event: PartialDue) -> None:
        utterance = self._open[event.number]
        utterance.partials += 1
        if self._judge.overheard() or (self._partials and self._events.watched):
            self._show_partial(event, utterance)
        elif self._streamed or (
            utterance.partials % PRIME_EVERY == 1 and (utterance.by is not None or utterance.noticed)
        ):
            self._decoder.prime(event.samples, self._judge.asking(utterance.by), utterance.wakeful)

    def _show_partial(self, event: PartialDue, utterance: _Open) -> None:
        audio_ms = event.samples.size * 1000 // SAMPLE_RATE_HZ
        begin_s = self._monotonic() - audio_ms / 1000

        def show(text: str, timings: dict[str, float]) -> None:
            confided = self._judge.confided(begin_s, self._monotonic())
            shown = text and not confided and self._judge.activation.decide(text, utterance.by) is not None
            message = PartialTranscript(utterance_id=utterance.id, text=text, audio_ms=audio_ms) if shown else None
            utterance.letters = len(text)
            timings = {"audio_ms": audio_ms, **timings}
            self._events.emit("partial", "heard", utterance_id=utterance.id, message=message, timings=timings)

        def grow(text: str) -> None:
            # It is read anew each time: words are not taken back to come again.
            if event.number in self._open and len(text) > utterance.letters and not self._judge.overheard():
                show(text, {})

        def ended(done: asyncio.Future[Recognition]) -> None:
            if done.cancelled() or done.exception() is not None or event.number not in self._open:
                return
            text = done.result().text
            if self._judge.amidst(text, begin_s):
                # The box's own speech fills the pause that would end the turn.
                self._take(self._ear.finish("understood"))
                return
            show(text, {"decode_ms": done.result().decode_ms})

        future = self._decoder.partial(event.samples, told=grow)
        if future is not None:
            future.add_done_callback(ended)

    def _pause(self, event: Paused) -> None:
        utterance = self._open[event.number]
        self._drop_guess(utterance)
        guess = self._decoder.speculative(
            event.samples, event.speech_ms, self._judge.asking(utterance.by), utterance.wakeful
        )
        utterance.guess = guess
        if guess is None:
            return

        def judge(done: asyncio.Future[Recognition]) -> None:
            if utterance.guess is not done or done.cancelled() or done.exception() is not None:
                return
            verdict = self._judge.completeness(done.result(), utterance.by)
            self._ear.set_completeness(event.number, verdict)

        guess.add_done_callback(judge)

    def _drop_guess(self, utterance: _Open) -> None:
        if utterance.guess is not None:
            utterance.guess.cancel()
            utterance.guess = None

    def _end(self, event: Ended) -> None:
        open_ = self._open.pop(event.number)
        for look in open_.looks:
            # What was not looked at yet is looked at with the whole utterance.
            look.cancel()
        utterance = Utterance(
            id=open_.id,
            started_at=open_.started_at,
            first_sample=event.first_sample,
            pcm=event.samples.tobytes(),
            speech_ms=event.speech_ms,
            silence_ms=event.silence_ms,
            end_reason=event.reason,
            lead_ms=event.lead_ms,
        )
        ended_s = self._monotonic()
        self._events.emit(
            "utterance",
            "ended",
            utterance_id=open_.id,
            timings={
                "audio_ms": utterance.audio_ms,
                "speech_ms": event.speech_ms,
                "silence_ms": event.silence_ms,
            },
        )
        if open_.by == "push_to_talk":
            self._judge.activation.used()
        guess = open_.guess if event.paused else None
        if guess is None:
            self._drop_guess(open_)
            guess = self._decoder.final(event.samples, event.speech_ms, self._judge.asking(open_.by), open_.wakeful)
        self.turns.put_nowait(asyncio.ensure_future(self._heard(utterance, guess, open_.by, ended_s)))

    async def _heard(
        self, utterance: Utterance, decoding: asyncio.Future[Recognition], by: ActivatedBy | None, ended_s: float
    ) -> Heard:
        try:
            recognition = await decoding
        except AgentboxError:
            # The inference thread has told the owner why.
            self._events.emit("utterance", "failed", utterance_id=utterance.id)
            raise
        transcript = transcript_of(recognition, utterance, self._languages, self._engine)
        timings = {
            "audio_ms": utterance.audio_ms,
            "decode_ms": recognition.decode_ms,
            "decode_wait_ms": (self._monotonic() - ended_s) * 1000,
            "silence_ms": utterance.silence_ms,
        }
        if recognition.constrain_ms is not None:
            timings["constrain_ms"] = recognition.constrain_ms
        if recognition.hotwords_ms is not None:
            timings["hotwords_ms"] = recognition.hotwords_ms
        heard = Heard(utterance, transcript, by, ended_s - utterance.silence_ms / 1000, timings, recognition)
        self.decoded(heard)
        return heard
