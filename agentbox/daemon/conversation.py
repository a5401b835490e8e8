"""What the box remembers of the talk itself, for "say that again", "cancel that" and "stop"."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from agentbox.errors import ControlError
from agentbox.messages import Reply, Role, ToolResult, Undo
from agentbox.tools.context import Invitation

UNDO_S = 120.0
"""How long "cancel that" still means the last thing done; later it would take back something forgotten."""


class Conversation:
    """The `Conversation` that tools see (tools/context)."""

    def __init__(
        self,
        silence: Callable[[], bool] = lambda: False,
        monotonic: Callable[[], float] = time.monotonic,
        use_backend: Callable[[str], None] = lambda name: None,
    ) -> None:
        self._silence = silence
        self._use_backend = use_backend
        self._monotonic = monotonic
        self.letting_in: Callable[[Role], Awaitable[Invitation]] | None = None
        """Null: no daemon runs, so nobody can come in."""
        self._last_reply = ""
        self._undo: Undo | None = None
        self._undo_until = float("-inf")

    @property
    def last_reply(self) -> str:
        return self._last_reply

    @property
    def last_undo(self) -> Undo | None:
        return self._undo if self._monotonic() < self._undo_until else None

    def silence(self) -> bool:
        return self._silence()

    def use_backend(self, name: str) -> None:
        self._use_backend(name)

    async def invite(self, role: Role) -> Invitation:
        if self.letting_in is None:
            raise ControlError("not_running", "No agentbox daemon is running.", "Start one: agentbox run")
        return await self.letting_in(role)

    def said(self, reply: Reply) -> None:
        """Note what the box said, to be able to say it again."""
        if reply.text:
            self._last_reply = reply.text

    def did(self, result: ToolResult) -> None:
        """Note what was done. A question of the owner's ("what time is it") does not make the deed before final."""
        if result.undo is not None:
            self._undo, self._undo_until = result.undo, self._monotonic() + UNDO_S
        elif result.ok and self._undo is not None and result.tool == self._undo.tool:
            self._undo = None
