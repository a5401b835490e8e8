"""A text brain: answers what no sentence matches, by a text model that may use the box's tools.

The words come as the model writes them. Whatever ends an answer early (the owner speaks, the service fails), the
conversation stays one that can be gone on with: see `text_model.Conversation`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TypeAlias, TypeVar

from agentbox.errors import AgentboxError
from agentbox.messages import JSON
from agentbox.realtime.event_stream import EventStreams
from agentbox.realtime.events import AnswerDone, AnswerText, Failed, ToolCalled, Used
from agentbox.realtime.failures import CloudError, failure
from agentbox.realtime.session import ToolSpec
from agentbox.realtime.text_model import Call, Conversation, Result, Round, TextEvent, TextModel, ToolGarbled

RunTool: TypeAlias = Callable[[ToolCalled], Awaitable[JSON]]
"""Runs a tool and gives what came of it. An `AgentboxError` is told the model; a time limit is the tool's own."""

T = TypeVar("T")

_END_S = 0.1
_MOST_LEFT = 16
"""Events after the last one that counts, and how long they are waited for."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one answer."""

    tool_rounds: int = 4
    """After so many the model must answer in words."""
    calls: int = 4
    """In one round; more are not run, and the model is told."""
    total_s: float = 60.0
    """Waited for service and tools. A tool that runs is not stopped by it: half a deed is worse than a late one."""
    result_letters: int = 8_000
    """Of what a tool gives, this much is told the model."""


class Brain:
    """One text model. `on_used`: told what the service says it will bill, after each request.

    `async with aclosing(brain.answer(...)) as words`, since an answer that is dropped must hang up.
    """

    def __init__(
        self,
        model: TextModel,
        streams: EventStreams,
        limits: Limits | None = None,
        *,
        on_used: Callable[[Used], None] | None = None,
    ) -> None:
        self.model = model
        self.streams = streams
        self.limits = limits or Limits()
        self._on_used = on_used

    async def answer(
        self, conversation: Conversation, tools: Sequence[ToolSpec], run_tool: RunTool
    ) -> AsyncGenerator[str]:
        """Answer the conversation's last turn: its words, piece by piece, tools being run in between.

        Raises `CloudError`. Asked again for the same turn, it does not run again what was run.
        """
        turn = conversation.begin()
        left = _Time(self.limits.total_s)
        is_last = False
        while not is_last:
            is_last = len(turn.rounds) >= self.limits.tool_rounds
            data = self.streams.post(self.model.request(conversation, tools, may_call=not is_last))
            now = Round()
            turn.rounds.append(now)
            async with aclosing(self._words(data, now, left)) as words:
                gap = "\n" if any(one.text for one in turn.rounds) else ""
                async for more in words:
                    yield gap + more
                    gap = ""
            if is_last and now.calls:
                # It was asked for words. If some came, they are the answer.
                now.calls = ()
                if not now.text.strip():
                    raise CloudError(failure("cloud_loop"))
            if not now.calls:
                break
            await self._run(now, {tool.name for tool in tools}, run_tool, left)
        if not turn.answer:
            # After its tools a model may have nothing to add; without, it should have had something to say.
            raise CloudError(failure("cloud_silent"))

    async def _words(self, data: AsyncGenerator[str], now: Round, left: _Time) -> AsyncGenerator[str]:
        """The words of one request's answer; `now` gets them too, and the calls once the answer is complete."""
        reader = self.model.reader()
        calls: list[Call] = []
        is_over = False
        async with aclosing(data):
            while not is_over:
                try:
                    events = reader.receive(await left.spent_on(anext(data)))
                except StopAsyncIteration:
                    events = reader.closed()
                    is_over = True
                for event in events:
                    if isinstance(event, AnswerText):
                        now.text += event.more
                        yield event.more
                    is_over = self._noted(event, now, calls) or is_over
            now.kept = reader.kept
            # A connection that was read to its end serves the next request as well.
            with contextlib.suppress(TimeoutError, StopAsyncIteration, CloudError):
                async with asyncio.timeout(_END_S):
                    for _ in range(_MOST_LEFT):
                        await anext(data)

    def _noted(self, event: TextEvent, now: Round, calls: list[Call]) -> bool:
        """Whether it is the answer's last event. Raises `CloudError` where the answer failed."""
        match event:
            case ToolCalled():
                calls.append(Call(event.call_id, event.name, event.arguments))
            case ToolGarbled():
                calls.append(Call(event.call_id, event.name, None))
            case Used() if self._on_used is not None:
                self._on_used(event)
            case Failed():
                raise CloudError(event.failure)
            case AnswerDone():
                if event.status == "failed":
                    raise CloudError(event.failure or failure("cloud_down"))
                now.calls = tuple(calls) if event.calls else ()
                return True
        return False

    async def _run(self, now: Round, names: set[str], run_tool: RunTool, left: _Time) -> None:
        """One after the other, as the model asked: what the second does may rest on the first."""
        for number, call in enumerate(now.calls):
            if number >= self.limits.calls:
                result = Result(f"Not run: no more than {self.limits.calls} calls at once.", ok=False)
            elif call.name not in names:
                result = Result("There is no such tool.", ok=False)
            elif call.arguments is None:
                result = Result("Not run: the arguments are not a JSON object.", ok=False)
            else:
                with left.running():
                    result = await _result(call, run_tool)
            text = result.text
            if len(text) > self.limits.result_letters:
                text = f"{text[: self.limits.result_letters]} [...]"
            now.results[call.id] = replace(result, text=text)


class _Time:
    """How long may still be waited. The time that the words' reader takes does not count."""

    def __init__(self, left_s: float) -> None:
        self._left_s = left_s

    async def spent_on(self, waiting: Awaitable[T]) -> T:
        """Raises `CloudError` `cloud_timeout`."""
        with self.running():
            try:
                async with asyncio.timeout(max(0.0, self._left_s)):
                    return await waiting
            except TimeoutError:
                raise CloudError(failure("cloud_timeout")) from None

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            yield
        finally:
            self._left_s -= loop.time() - began


async def _result(call: Call, run_tool: RunTool) -> Result:
    try:
        output = await run_tool(ToolCalled("", call.id, call.name, call.arguments or {}))
    except AgentboxError as error:
        return Result(f"It failed: {error.what}", ok=False)
    return Result(output if isinstance(output, str) else json.dumps(output, ensure_ascii=False))
