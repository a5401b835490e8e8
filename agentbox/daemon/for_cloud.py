"""What the answer of a model elsewhere asks of the turn that it answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from agentbox.messages import JSON, Caller, Reply, ToolCall, ToolResult


class ForCloud(NamedTuple):
    """See `handover.Host`. `answered` gets its replies."""

    turn_id: str
    answered: list[Reply]
    run: Callable[[str, str, dict[str, JSON], Caller], Awaitable[tuple[ToolCall, ToolResult]]]
    ask: Callable[[ToolCall, str], Reply]
    say: Callable[[Reply], Reply]
    """Give the turn's answer; what was given."""
    phrase_of: Callable[[str, str], str]
    """One of the box's own sentences, by its key, in the language of a turn."""

    async def run_tool(
        self, turn_id: str, tool: str, arguments: dict[str, JSON], caller: Caller
    ) -> tuple[ToolCall, ToolResult]:
        return await self.run(turn_id, tool, arguments, caller)

    def ask_owner(self, call: ToolCall, question: str) -> Reply:
        reply = self.ask(call, question)
        self.answered.append(reply)
        return reply

    def answer(self, reply: Reply) -> None:
        self.answered.append(self.say(reply))

    def phrase(self, key: str) -> str:
        return self.phrase_of(key, self.turn_id)
