"""A text model answers what no sentence matches: its words are said by the box's own voice while they are written."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Literal

from agentbox.config import BrainConfig
from agentbox.daemon.cloud_answer import told
from agentbox.daemon.deeds import Deeds, Done
from agentbox.daemon.egress import Meter, Use
from agentbox.daemon.events import Events
from agentbox.daemon.handover import Handover, Host
from agentbox.daemon.rescue import heard_out, rescue
from agentbox.daemon.speaking import Speaking
from agentbox.daemon.streams import Narration
from agentbox.daemon.underway import Underway
from agentbox.messages import JSON, Notice, Reply
from agentbox.realtime.brain import Brain
from agentbox.realtime.events import ToolCalled, Used
from agentbox.realtime.failures import CloudError, Kind, failure
from agentbox.realtime.health import Health
from agentbox.realtime.prices import Prices
from agentbox.realtime.session import ToolSpec
from agentbox.realtime.text_model import Conversation

NAME = "brain"
"""In the list of what left the box, and its key's among the secrets."""

LOOK_S = 0.05

FIRST_S = 4.0
"""So long it may take to the first words: a model may have to be loaded first, and the owner waits."""


class TextCounts:
    """What went to a text model and came from it."""

    seconds_out = seconds_in = 0.0

    def __init__(self, brain: Brain) -> None:
        self._brain = brain
        self.units: dict[str, float] = {}
        self.late: Callable[[], None] = lambda: None

    @property
    def bytes_out(self) -> int:
        return self._brain.streams.traffic.bytes_out

    @property
    def bytes_in(self) -> int:
        return self._brain.streams.traffic.bytes_in

    def used(self, event: Used) -> None:
        for name, count in event.units.items():
            self.units[name] = self.units.get(name, 0.0) + count
        self.late()


class _OwnerAskedError(Exception):
    """A tool may not run before the owner says yes: the model's answer is not waited for."""


class _OwnerGoneError(Exception):
    """The owner has gone on: nothing more is to be done for this answer."""


class TextBrain:
    """A `Switch` for turns that nobody else understood. `make` gives the model, and `tools` what it may use."""

    policy: Literal["local_first", "cloud_first"] = "local_first"

    def __init__(
        self,
        config: BrainConfig,
        make: Callable[[Callable[[Used], None]], Brain],
        instructions: str,
        tools: Callable[[], tuple[ToolSpec, ...]],
        meter: Meter,
        events: Events,
        speaking: Speaking | None,
        underway: Underway,
        *,
        allowed: Callable[[], bool],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._allowed = allowed
        self._brain = make(lambda event: self._counts.used(event))
        self._counts = TextCounts(self._brain)
        self._instructions = instructions
        self._tools = tools
        self._meter = meter
        self._events = events
        self._speaking = speaking
        self._monotonic = monotonic
        self._prices = Prices(config.price.minute_out, config.price.minute_in, config.price.million)
        self._health = Health()
        self._conversation = self._new()
        self._last_s = float("-inf")
        self._underway = underway

    @property
    def is_on(self) -> bool:
        """Whether it may be asked now."""
        return self._allowed() and self._meter.is_left

    answers = True

    async def take(self, turn: Handover, host: Host, local: Callable[[], Awaitable[None]]) -> bool:
        """See `cloud.Cloud.take`."""
        await self._underway.settle()
        now = self._monotonic()
        left_s = turn.left_s(now)
        if not left_s or not (self._health.is_usable or self._health.may_probe(now)):
            return False
        if now - self._last_s > self._config.forget_s:
            self._conversation = self._new()
        self._last_s = now
        if turn.undertone:
            self._conversation.note(turn.undertone)
        self._conversation.say(turn.text)
        use = self._meter.begin(
            NAME, self._config.model or self._config.kind, "turn", self._prices, turn_id=turn.id, link=self._counts
        )
        speaking = self._speaking if turn.spoken else None
        answer = _Answer(turn, host, speaking, self._conversation, self._underway.running)
        task = asyncio.create_task(self._run(answer, use), name="brain-answer")
        try:
            await self._begun(task, answer, min(FIRST_S, left_s))
        except asyncio.CancelledError:
            task.cancel()
            raise
        if answer.has_failed:
            return await self._failed(answer, local)
        if task.done():
            task.result()
        since_ms, taken_ms = ((self._monotonic() - begun_s) * 1000 for begun_s in (turn.speech_ended_s, now))
        timings = {"since_speech_end_ms": since_ms, "taken_ms": taken_ms}
        self._events.emit("cloud", "answered", utterance_id=turn.id, timings=timings)
        self._health.answered()
        if turn.spoken:
            self._underway.start(self._go_on(task, answer, local), "brain-go-on")
            return True
        await task
        return not answer.has_failed or await self._failed(answer, local)

    async def _begun(self, task: asyncio.Task[None], answer: _Answer, left_s: float) -> None:
        """Until the first words are there, or it has failed. The box's own tools are not the service's delay."""
        begun = asyncio.create_task(answer.begun.wait())
        while left_s > 0 and not task.done() and not answer.begun.is_set():
            looked_s = self._monotonic()
            await asyncio.wait([task, begun], timeout=min(LOOK_S, left_s), return_when=asyncio.FIRST_COMPLETED)
            left_s -= 0.0 if answer.deeds.is_busy else self._monotonic() - looked_s
        begun.cancel()
        if not task.done() and not answer.begun.is_set():
            answer.failed = CloudError(failure("cloud_timeout"))
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def close(self) -> None:
        await self._brain.streams.close()

    async def _run(self, answer: _Answer, use: Use) -> None:
        try:
            await answer.run(self._brain, self._tools())
        except CloudError as error:
            answer.failed = error
            use.end(error.code)
        else:
            use.end()
        finally:
            use.end("cancelled" if answer.failed is None else answer.failed.code)

    async def _go_on(self, task: asyncio.Task[None], answer: _Answer, local: Callable[[], Awaitable[None]]) -> None:
        try:
            await asyncio.wait([task])
            task.result()
            if answer.has_failed:
                cut_off = await heard_out(answer.narration)
                async with self._underway.between_turns():
                    await self._failed(answer, local, cut_off=cut_off)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _failed(self, answer: _Answer, local: Callable[[], Awaitable[None]], *, cut_off: bool = False) -> bool:
        """Whether the turn was answered all the same."""
        assert answer.failed is not None
        failed = answer.failed.failure
        news = self._health.failed(failed, self._monotonic())
        self._events.emit("cloud", failed.code)
        if news and failed.kind is Kind.FATAL_CONFIG:
            what = f"The text model cannot be used: {failed.what}"
            self._events.notice(Notice(code=failed.code, what=what, todo=failed.todo))
        if not answer.deeds.results and not answer.begun.is_set():
            return False
        narration = answer.narration
        if narration is not None and narration.ended.done() and not cut_off:
            answer.answered()  # who has gone on has had it, as far as it came
        await rescue(answer.turn, answer.host, self._speaking, narration, answer.deeds, local, cut_off=cut_off)
        return True

    def _new(self) -> Conversation:
        return Conversation(self._instructions, most_turns=self._config.turns)


class _Answer:
    """One answer of the model's."""

    def __init__(
        self,
        turn: Handover,
        host: Host,
        speaking: Speaking | None,
        conversation: Conversation,
        running: set[asyncio.Task[Done]],
    ) -> None:
        self.turn = turn
        self.host = host
        self.begun = asyncio.Event()
        """The owner hears something of it, or will read it."""
        self.failed: CloudError | None = None
        self.deeds = Deeds(turn, host, "brain", running)
        self.narration: Narration | None = None
        self._speaking = speaking
        self._conversation = conversation
        self._words = ""
        self._is_answered = False

    @property
    def has_failed(self) -> bool:
        return self.failed is not None

    async def run(self, brain: Brain, tools: tuple[ToolSpec, ...]) -> None:
        """Until it was heard, or cut off by the owner. Raises `CloudError`."""
        try:
            async with aclosing(brain.answer(self._conversation, tools, self._tool)) as words:
                async for more in words:
                    self._add(more)
                    if self.narration is not None and self.narration.ended.done():
                        break
            self.answered()
            if self.narration is not None:
                self.narration.finish()
                await asyncio.wait([self.narration.ended])
        except _OwnerAskedError:
            self._is_answered = True
            self.begun.set()
        except _OwnerGoneError:
            self.answered()
        except asyncio.CancelledError:
            if self._words and not self.deeds.is_left:
                self.answered()  # as far as it came
            raise
        finally:
            if self.narration is not None:
                self.narration.finish()
            narration = self.narration
            if narration is not None and narration.ended.done() and not narration.ended.result():
                self._conversation.heard(narration.heard_text())

    def answered(self) -> None:
        """Its words, as far as they came, are the answer."""
        if self._is_answered:
            return
        self._is_answered = True
        text = self._words.strip() or self.host.phrase("done")
        if self.narration is not None or not self.turn.spoken:
            # It is heard already, or read by whoever typed.
            reply = Reply(utterance_id=self.turn.id, text=text, sound=None, outcome="done", speak="never")
        else:
            reply = Reply(utterance_id=self.turn.id, text=text, sound="done", outcome="done")
        self.host.answer(reply)
        self.begun.set()

    def _add(self, more: str) -> None:
        if not self._words and self._speaking is not None:
            # The sound is for a voice that cannot be had.
            reply = Reply(utterance_id=self.turn.id, text="", sound="done", outcome="done", language=self.turn.language)
            self.narration = self._speaking.narrate(reply)
        self._words += more
        if self.narration is not None:
            self.narration.add_words(more)
        self.begun.set()

    async def _tool(self, event: ToolCalled) -> JSON:
        if self.narration is not None and self.narration.ended.done():
            raise _OwnerGoneError
        call, result = await self.deeds.run(event.name, event.arguments)
        if result.error_code == "confirmation_needed":
            self.host.ask_owner(call, result.text)
            raise _OwnerAskedError
        return told(result)
