"""The answer of a cloud model to one turn: its sound, its tools, and how it ends, whatever happens.

Whichever way it goes wrong, the owner hears exactly one answer, and nothing is done twice: what a tool did is reported;
of an answer most of which was heard, that it was cut off; in all other cases the box answers by itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Literal

import numpy as np
import soxr

from agentbox.daemon.deeds import Deeds, Done
from agentbox.daemon.egress import Use
from agentbox.daemon.handover import Handover, Host
from agentbox.daemon.rescue import heard_out, rescue
from agentbox.daemon.speaking import Speaking
from agentbox.daemon.streams import Stream
from agentbox.messages import JSON, SAMPLE_RATE_HZ, Reply, SoundName, Speak, ToolResult
from agentbox.realtime.events import AnswerDone, AnswerSound, AnswerText, Event, Failed, Finished, Heard, ToolCalled
from agentbox.realtime.failures import CloudError, failure
from agentbox.realtime.link import Link

LIFE_S = 1.8
"""So long after the owner's last word a service may take to show that it is at work, by any event at all."""

GAP_S = 2.0
"""So long it may be silent between two events before its first sound: it may be thinking, or dead."""

OUTPUT_S = 4.0
"""So long it may take to the first sound of its answer in any case: the owner waits."""

TOOLS_S = 3.0
"""So long after a tool's result, or within an answer, until more comes."""

LEAST_S = 0.8
"""It is given in any case, however late the box was itself."""

MOST_ROUNDS = 6
"""Of tools in one answer."""

LONGEST_S = 300.0
"""Of an answer's sound. Nobody listens to a box for longer at a stretch, it costs by the minute, and if it all came at
once it would take 14 MB at 24 kHz."""

MOST_LETTERS = 20_000
"""Of an answer's words: four times what is said in that time."""

CHUNK_MS = 100

_GONE = AnswerDone("", "cancelled")
"""The owner has gone on: what is left of the answer is of no use."""


class CloudAnswer:
    """`begin` until the first output; `go_on` until nothing more of it will be heard."""

    def __init__(
        self,
        turn: Handover,
        host: Host,
        speaking: Speaking | None,
        running: set[asyncio.Task[Done]],
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._turn = turn
        self._host = host
        self._speaking = speaking if turn.spoken else None
        self._monotonic = monotonic
        self._link: Link
        self._use: Use | None = None
        self._stream: Stream | None = None
        self._words = ""
        self._rounds = 0
        self._sound_s = 0.0
        self._over = False
        self.is_endless = False
        """The service was told to end it: it was longer than any answer may be."""
        self._is_answered = False
        self.deeds = Deeds(turn, host, "cloud", running)

    async def begin(self, link: Link, use: Use) -> None:
        """Send the turn, and go on until the first of its answer is there. Raises `CloudError`."""
        self._link, self._use = link, use
        link.forget()
        if self._turn.spoken:
            for chunk in chunks(self._turn.pcm, self._link.dialog.capabilities.input_rate_hz):
                self._link.send(chunk)
            self._link.dialog.commit()
        else:
            self._link.dialog.write(self._turn.text)
        self._link.flush()
        await self._until_output()

    async def go_on(self) -> None:
        """Until the answer was heard, or cut off by the owner. Raises `CloudError` where the service failed."""
        while not self._over:
            await self._take(await self._next(TOOLS_S))
        stream = self._stream
        if stream is not None:
            await asyncio.wait([stream.ended])
            if not stream.ended.result():
                self._interrupt(stream)
        self.give_up("cloud_endless" if self.is_endless else "ok")

    async def heard_out(self) -> bool:
        """See `rescue.heard_out`."""
        return await heard_out(self._stream)

    async def rescue(self, error: CloudError, local: Callable[[], Awaitable[None]], *, cut_off: bool = False) -> None:
        """The service failed: answer all the same, once."""
        self.give_up(error.code)
        # Who has gone on meanwhile has had the answer, as far as it came.
        gone = self._stream is not None and self._stream.ended.done() and not cut_off
        self._is_answered = not gone
        await rescue(self._turn, self._host, self._speaking, self._stream, self.deeds, local, cut_off=cut_off)

    def conclude(self) -> None:
        """Whoever waits for it has gone: what was said of it was the answer."""
        self.give_up("cancelled")
        if self._stream is not None:
            self._stream.finish()
        if self._stream is not None and not self._is_answered and not self.deeds.is_left:
            self._answer(self._words.strip(), None, "done", "never")

    def give_up(self, outcome: str) -> None:
        """Nothing more of it is waited for; `outcome` as in `Egress`."""
        if self._use is not None:
            self._use.end(outcome)

    async def _until_output(self) -> None:
        now = self._monotonic()
        waited_s = now - self._turn.speech_ended_s
        within_s = max(LEAST_S, LIFE_S - waited_s)
        output_s = min(now + max(LEAST_S, OUTPUT_S - waited_s), max(now + LEAST_S, self._turn.answer_by_s))
        while now < output_s:
            event = await self._next(min(within_s, output_s - now))
            taken_s = self._monotonic()
            if await self._take(event):
                return
            now = self._monotonic()
            if isinstance(event, ToolCalled):
                # The box's own work is not the service's delay.
                output_s += now - taken_s
            within_s = GAP_S
        # It was at work all the time, and nothing came of it.
        raise CloudError(failure("cloud_silent"))

    async def _next(self, within_s: float) -> Event:
        """The next event. While sound is played nobody need hurry: more must come before it is all heard."""
        stream = self._stream
        if stream is not None and stream.ended.done():
            return _GONE
        if stream is not None:
            within_s += max(0.0, stream.received_ms - stream.heard_ms) / 1000
        coming = asyncio.ensure_future(self._link.next(max(0.05, within_s)))
        try:
            waiting: set[asyncio.Future[object]] = {coming}  # type: ignore[arg-type]
            if stream is not None:
                waiting.add(stream.ended)  # type: ignore[arg-type]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if not coming.done():
                return _GONE
            return coming.result()
        except TimeoutError:
            raise CloudError(failure("cloud_silent")) from None
        finally:
            coming.cancel()

    async def _take(self, event: Event) -> bool:
        """Act on an event; whether the owner hears or sees something of the answer now."""
        match event:
            case AnswerSound():
                is_out = self._play(event)
                self._sound_s += len(event.pcm) / 2 / self._link.dialog.capabilities.output_rate_hz
                return self._break_off() if self._sound_s >= LONGEST_S else is_out
            case AnswerText():
                more = event.more[: MOST_LETTERS - len(self._words)]
                self._words += more
                if self._stream is not None:
                    self._stream.add_words(more)
                if len(self._words) >= MOST_LETTERS:
                    return self._break_off()
                return self._speaking is None  # it is read, or only marked by a sound
            case ToolCalled():
                return await self._call(event)
            case AnswerDone(calls=False):
                return self._done(event)
            case Failed():
                raise CloudError(event.failure)
        return False

    def _play(self, event: AnswerSound) -> bool:
        if self._speaking is None:
            return True
        if self._stream is None:
            reply = Reply(utterance_id=self._turn.id, text="", sound=None, outcome="done")
            self._stream = self._speaking.stream(reply, self._link.dialog.capabilities.output_rate_hz)
            if self._stream is None:
                self._speaking = None  # the owner wants no words: they are shown
                return True
            self._stream.add_words(self._words)
        self._stream.add(event.pcm)
        return True

    async def _call(self, event: ToolCalled) -> bool:
        self._rounds += 1
        if self._rounds > MOST_ROUNDS:
            raise CloudError(failure("cloud_protocol"))
        call, result = await self.deeds.run(event.name, event.arguments)
        if result.error_code == "confirmation_needed":
            # The box asks in its own voice, and the answer comes to the box.
            heard_ms = self._stream.heard_ms if self._stream is not None else 0.0
            self._host.ask_owner(call, result.text)
            self._is_answered = True
            self._link.dialog.tool_result(event.call_id, {"error": "The owner is being asked; say nothing."})
            self._link.dialog.interrupt(heard_ms)
            self._link.flush()
            self._over = True
            return True
        self._link.dialog.tool_result(event.call_id, told(result))
        self._link.flush()
        return False

    def _done(self, event: AnswerDone) -> bool:
        self._over = True
        stream = self._stream
        cut_off = stream is not None and stream.ended.done()
        if not cut_off and (event.status in ("failed", "cancelled") or not (self._words or stream)):
            raise CloudError(event.failure or failure("cloud_silent"))
        if stream is not None:
            stream.finish()
        if stream is not None or not self._turn.spoken:
            # It is heard already, or read by whoever typed.
            self._answer(self._words.strip(), None, "done", "never")
        else:
            self._answer(self._words.strip(), "done", "done", "always")
        return True

    def _break_off(self) -> bool:
        """It is long enough: as far as it has come it is the answer."""
        self.is_endless = True
        self._link.dialog.interrupt(self._stream.received_ms if self._stream is not None else 0.0)
        self._link.flush()
        return self._done(AnswerDone("", "incomplete"))

    def _interrupt(self, stream: Stream) -> None:
        self._link.dialog.interrupt(stream.heard_ms)
        self._link.flush()

    def _answer(self, text: str, sound: SoundName | None, outcome: Literal["done", "failed"], speak: Speak) -> None:
        self._is_answered = True
        self._host.answer(Reply(utterance_id=self._turn.id, text=text, sound=sound, outcome=outcome, speak=speak))


async def recognised(link: Link, pcm: bytes, within_s: float) -> str:
    """What a recogniser makes of 16 kHz sound. Raises `CloudError`."""
    link.forget()
    for chunk in chunks(pcm, link.dialog.capabilities.input_rate_hz):
        link.send(chunk)
    link.dialog.commit()
    link.flush()
    segments: dict[int, str] = {}
    try:
        async with asyncio.timeout(within_s):
            while not isinstance(event := await link.next(within_s), Finished):
                if isinstance(event, Heard):
                    segments[event.segment] = event.text
                elif isinstance(event, Failed):
                    raise CloudError(event.failure)
    except TimeoutError:
        raise CloudError(failure("cloud_silent")) from None
    return " ".join(text.strip() for _, text in sorted(segments.items()) if text.strip())


def chunks(pcm: bytes, rate_hz: int) -> list[bytes]:
    """16 kHz sound at `rate_hz`, in pieces of 100 ms."""
    samples = np.frombuffer(pcm, dtype="<i2")
    if rate_hz != SAMPLE_RATE_HZ:
        samples = soxr.resample(samples, SAMPLE_RATE_HZ, rate_hz)
    size = rate_hz * CHUNK_MS // 1000
    return [samples[at : at + size].astype("<i2").tobytes() for at in range(0, len(samples), size)]


def told(result: ToolResult) -> JSON:
    """What the model is told of a tool's result."""
    if not result.ok:
        return {"error": result.text or result.error_code}
    both: dict[str, JSON] = {"text": result.text}
    if result.data is not None:
        both["data"] = result.data
    return both
