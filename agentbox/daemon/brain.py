"""A text model answers what no sentence matches: its words are said by the box's own voice while they are written."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Literal

from agentbox.config import BrainConfig
from agentbox.daemon.cloud_answer import told
from agentbox.daemon.egress import Meter, Use
from agentbox.daemon.events import Events
from agentbox.daemon.handover import Handover, Host
from agentbox.daemon.rescue import rescue
from agentbox.daemon.speaking import Speaking
from agentbox.daemon.streams import Narration
from agentbox.daemon.underway import Underway
from agentbox.messages import JSON, Notice, Reply, ToolResult
from agentbox.realtime.brain import Brain
from agentbox.realtime.events import ToolCalled, Used
from agentbox.realtime.failures import CloudError, Kind, failure
from agentbox.realtime.health import Health
from agentbox.realtime.prices import Prices
from agentbox.realtime.session import ToolSpec
from agentbox.realtime.text_model import Conversation

NAME = "brain"
"""In the list of what left the box, and its key's among the secrets."""

FIRST_S = 6.0
"""So long it may take to the first words: a model may have to be loaded first, and the owner waits."""


class TextCounts:
    """What went to a text model and came from it."""

    seconds_out = seconds_in = 0.0

    def __init__(self, brain: Brain) -> None:
        self._brain = brain
        self.units: dict[str, float] = {}

    @property
    def bytes_out(self) -> int:
        return self._brain.streams.traffic.bytes_out

    @property
    def bytes_in(self) -> int:
        return self._brain.streams.traffic.bytes_in

    def used(self, event: Used) -> None:
        for name, count in event.units.items():
            self.units[name] = self.units.get(name, 0.0) + count


class _OwnerAskedError(Exception):
    """A tool may not run before the owner says yes: the model's answer is not waited for."""


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
        turns: asyncio.Lock,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
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
        self._underway = Underway(turns, speaking)

    @property
    def is_on(self) -> bool:
        return True

    async def take(self, turn: Handover, host: Host, local: Callable[[], Awaitable[None]]) -> bool:
        """See `cloud.Cloud.take`."""
        await self._underway.settle()
        now = self._monotonic()
        if not self._meter.is_left or not (self._health.is_usable or self._health.may_probe(now)):
            return False
        if now - self._last_s > self._config.forget_s:
            self._conversation = self._new()
        self._last_s = now
        self._conversation.say(turn.text)
        use = self._meter.begin(
            NAME, self._config.model or self._config.kind, "turn", self._prices, turn_id=turn.id, link=self._counts
        )
        answer = _Answer(turn, host, self._speaking if turn.spoken else None, self._conversation)
        task = asyncio.create_task(self._run(answer, use), name="brain-answer")
        begun = asyncio.create_task(answer.begun.wait())
        await asyncio.wait([task, begun], timeout=FIRST_S, return_when=asyncio.FIRST_COMPLETED)
        begun.cancel()
        if not task.done() and not answer.begun.is_set():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            use.end("cloud_timeout")
            answer.failed = CloudError(failure("cloud_timeout"))
        if answer.failed is not None or (task.done() and not turn.spoken):
            return await self._over(answer, local)
        timings = {"since_speech_end_ms": (self._monotonic() - turn.speech_ended_s) * 1000, "taken_ms": 0.0}
        timings["taken_ms"] = (self._monotonic() - now) * 1000
        self._events.emit("cloud", "answered", utterance_id=turn.id, timings=timings)
        self._health.answered()
        if turn.spoken:
            self._underway.start(self._go_on(task, answer, local), "brain-go-on")
            return True
        await asyncio.wait([task])
        return await self._over(answer, local)

    async def close(self) -> None:
        await self._underway.close()
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
            use.end("cancelled")

    async def _go_on(self, task: asyncio.Task[None], answer: _Answer, local: Callable[[], Awaitable[None]]) -> None:
        try:
            await asyncio.wait([task])
            if answer.failed is not None:
                async with self._underway.between_turns():
                    await self._over(answer, local)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _over(self, answer: _Answer, local: Callable[[], Awaitable[None]]) -> bool:
        """Whether the turn was answered."""
        if answer.failed is None:
            self._health.answered()
            return True
        failed = answer.failed.failure
        news = self._health.failed(failed, self._monotonic())
        self._events.emit("cloud", failed.code)
        if news and failed.kind is Kind.FATAL_CONFIG:
            what = f"The text model cannot be used: {failed.what}"
            self._events.notice(Notice(code=failed.code, what=what, todo=failed.todo))
        if answer.results or answer.begun.is_set():
            await rescue(answer.turn, answer.host, self._speaking, answer.narration, answer.results, local)
            return True
        return False

    def _new(self) -> Conversation:
        return Conversation(self._instructions, most_turns=self._config.turns)


class _Answer:
    """One answer of the model's."""

    def __init__(self, turn: Handover, host: Host, speaking: Speaking | None, conversation: Conversation) -> None:
        self.turn = turn
        self.host = host
        self.begun = asyncio.Event()
        """The owner hears something of it, or will read it."""
        self.failed: CloudError | None = None
        self.results: list[ToolResult] = []
        """Of tools that may have changed something."""
        self.narration: Narration | None = None
        self._speaking = speaking
        self._conversation = conversation
        self._words = ""
        self._is_answered = False

    async def run(self, brain: Brain, tools: tuple[ToolSpec, ...]) -> None:
        """Until it was heard, or cut off by the owner. Raises `CloudError`."""
        try:
            async with aclosing(brain.answer(self._conversation, tools, self._tool)) as words:
                async for more in words:
                    self._add(more)
                    if self.narration is not None and self.narration.ended.done():
                        break
            self._answered()
            if self.narration is not None:
                self.narration.finish()
                await asyncio.wait([self.narration.ended])
        except _OwnerAskedError:
            self.begun.set()
        except asyncio.CancelledError:
            if self._words:
                self._answered()  # as far as it came
            raise
        finally:
            narration = self.narration
            if narration is not None and narration.ended.done() and not narration.ended.result():
                self._conversation.heard(narration.heard_text())

    def _answered(self) -> None:
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
            reply = Reply(utterance_id=self.turn.id, text="", sound=None, outcome="done")
            self.narration = self._speaking.narrate(reply)
        self._words += more
        if self.narration is not None:
            self.narration.add_words(more)
        self.begun.set()

    async def _tool(self, event: ToolCalled) -> JSON:
        call, result = await self.host.run_tool(self.turn.id, event.name, event.arguments, "brain")
        if result.error_code == "confirmation_needed":
            self.host.ask_owner(call, result.text)
            raise _OwnerAskedError
        if call.effects:
            self.results.append(result)
        return told(result)
