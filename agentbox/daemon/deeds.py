"""The tools that a model's answer runs. One that has begun is brought to its end, whoever has lost patience."""

from __future__ import annotations

import asyncio

from agentbox.daemon.handover import Handover, Host
from agentbox.messages import JSON, Caller, Reply, ToolCall, ToolResult

NOT_DONE = frozenset(
    ("confirmation_needed", "tool_bad_arguments", "tool_denied", "tool_disabled", "tool_unknown", "backend_owner_only")
)
"""Refused before anything was done."""

Done = tuple[ToolCall, ToolResult]


class Deeds:
    """Of one answer. `running`: where the tasks are kept that must be ended when the box ends."""

    def __init__(self, turn: Handover, host: Host, caller: Caller, running: set[asyncio.Task[Done]]) -> None:
        self.results: list[ToolResult] = []
        """Of tools that may have changed something."""
        self.is_left = False
        """A tool runs on that the answer does not wait for: what comes of it is told by itself."""
        self._turn = turn
        self._host = host
        self._caller: Caller = caller
        self._running = running
        self._task: asyncio.Task[Done] | None = None

    @property
    def is_busy(self) -> bool:
        """A tool runs."""
        return self._task is not None and not self._task.done()

    async def run(self, tool: str, arguments: dict[str, JSON]) -> Done:
        """Run a tool. Who is cancelled while it runs leaves it to report by itself."""
        self._task = task = asyncio.create_task(self._do(tool, arguments), name=f"tool-{tool}")
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            self.is_left = not task.done()
            raise

    async def _do(self, tool: str, arguments: dict[str, JSON]) -> Done:
        call, result = await self._host.run_tool(self._turn.id, tool, arguments, self._caller)
        if call.effects and result.error_code not in NOT_DONE:
            self.results.append(result)
        if self.is_left:
            self._host.answer(self.report([result]))
        return call, result

    def report(self, results: list[ToolResult] | None = None) -> Reply:
        """What the tools did, as an answer."""
        results = self.results if results is None else results
        done = any(result.ok for result in results)
        return Reply(
            utterance_id=self._turn.id,
            text=" ".join(result.text for result in results if result.text),
            sound="done" if done else "failed",
            outcome="done" if done else "failed",
            speak="always" if self._turn.spoken else "never",
        )
