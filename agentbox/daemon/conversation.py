"""What the box remembers of the talk itself, for "say that again", "cancel that" and "stop"."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from agentbox.errors import ControlError
from agentbox.messages import Reply, Role, ToolResult, Undo
from agentbox.tools.context import Invitation

UNDO_S = 120.0
"""How long "cancel that" still means the last thing done; later it would take back something forgotten."""

MOST_TURNS = 256
MOST_GUESTS = 64


@dataclass(slots=True)
class _Memory:
    last_reply: str = ""
    undo: Undo | None = None
    undo_until: float = float("-inf")


class Conversation:
    """What was said and done, of the owners in one memory, of each guest in their own: `of` is the `Conversation` that
    tools see (tools/context)."""

    def __init__(
        self,
        silence: Callable[[], bool] = lambda: False,
        monotonic: Callable[[], float] = time.monotonic,
        use_backend: Callable[[str], None] = lambda name: None,
    ) -> None:
        self.silence = silence
        self.use_backend = use_backend
        self.monotonic = monotonic
        self.letting_in: Callable[[Role], Awaitable[Invitation]] | None = None
        """Null: no daemon runs, so nobody can come in."""
        self._guests: dict[str, str] = {}
        """Turns of guests, and whose they are."""
        self._languages: dict[str, str] = {}
        self._owners = _Memory()
        self._theirs: dict[str, _Memory] = {}

    def begin(self, turn_id: str, guest: str) -> None:
        """A turn begins; `guest`: whose it is, empty for an owner's."""
        if guest:
            _make_room(self._guests, MOST_TURNS)
            self._guests[turn_id] = guest

    def guest_of(self, turn_id: str) -> str:
        return self._guests.get(turn_id, "")

    def speaks(self, turn_id: str, language: str) -> None:
        """The turn is in `language` (BCP-47)."""
        if self._languages.pop(turn_id, None) is None:
            _make_room(self._languages, MOST_TURNS)
        self._languages[turn_id] = language

    def language_of(self, turn_id: str) -> str:
        """In which a turn is answered; empty: the box's own."""
        return self._languages.get(turn_id, "")

    def of(self, turn_id: str) -> Remembered:
        """The talk that this turn belongs to."""
        return Remembered(self, self._memory(turn_id))

    def said(self, reply: Reply) -> None:
        """Note what the box said, to be able to say it again."""
        if reply.text:
            self._memory(reply.utterance_id).last_reply = reply.text

    def did(self, result: ToolResult, turn_id: str = "") -> None:
        """Note what was done. A question of the owner's ("what time is it") does not make the deed before final."""
        memory = self._memory(turn_id)
        if result.undo is not None:
            memory.undo, memory.undo_until = result.undo, self.monotonic() + UNDO_S
        elif result.ok and memory.undo is not None and result.tool == memory.undo.tool:
            memory.undo = None

    def _memory(self, turn_id: str) -> _Memory:
        guest = self.guest_of(turn_id)
        if not guest:
            return self._owners
        if guest not in self._theirs:
            _make_room(self._theirs, MOST_GUESTS)
            self._theirs[guest] = _Memory()
        return self._theirs[guest]


class Remembered:
    """The conversation as a tool sees it that is called in one turn."""

    def __init__(self, whole: Conversation, memory: _Memory) -> None:
        self._whole = whole
        self._memory = memory

    @property
    def last_reply(self) -> str:
        return self._memory.last_reply

    @property
    def last_undo(self) -> Undo | None:
        return self._memory.undo if self._whole.monotonic() < self._memory.undo_until else None

    def silence(self) -> bool:
        return self._whole.silence()

    def use_backend(self, name: str) -> None:
        self._whole.use_backend(name)

    async def invite(self, role: Role) -> Invitation:
        if self._whole.letting_in is None:
            raise ControlError("not_running", "No agentbox daemon is running.", "Start one: agentbox run")
        return await self._whole.letting_in(role)


def _make_room(kept: dict[str, Any], most: int) -> None:
    """For one more; the first is forgotten."""
    if len(kept) >= most:
        del kept[next(iter(kept))]
