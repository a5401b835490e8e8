"""A box with tools and nothing else: real registry, policy and runner, with clocks that the test sets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

from agentbox import config
from agentbox.credentials import Credentials
from agentbox.messages import Caller, Notice, Reply, Role, ToolCall, ToolResult, Undo, new_id
from agentbox.tools.context import Invitation
from agentbox.tools.phrases import Phrases
from agentbox.tools.registry import Registry
from agentbox.tools.runner import Runner
from agentbox.tools.store import MemoryStore, Store
from agentbox.tools.time_source import Clock, Now

START = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
"""A Saturday, 10 in the morning."""


class SetClock:
    """Both clocks, set by the test."""

    def __init__(self, wall: datetime = START, zone: tzinfo = UTC) -> None:
        self.wall_s = wall.timestamp()
        self.elapsed_s = 1000.0
        self.boot_id = "boot-1"
        self.zone = zone

    def read(self) -> Now:
        return Now(datetime.fromtimestamp(self.wall_s, self.zone), self.elapsed_s, self.boot_id)

    def pass_(self, **time: float) -> None:
        """Time goes by, on both clocks."""
        seconds = timedelta(**time).total_seconds()
        self.wall_s += seconds
        self.elapsed_s += seconds

    def set_wall(self, **by: float) -> None:
        """Somebody sets the clock."""
        self.wall_s += timedelta(**by).total_seconds()

    def reboot(self, **off: float) -> None:
        """The machine is off for that long."""
        self.wall_s += timedelta(**off).total_seconds()
        self.elapsed_s = 5.0
        self.boot_id += "+"


@dataclass
class Talk:
    """A conversation."""

    last_reply: str = ""
    last_undo: Undo | None = None
    playing: bool = False
    invited: Role | None = None

    def use_backend(self, name: str) -> None:
        self.backend = name

    async def invite(self, role: Role) -> Invitation:
        self.invited = role
        return Invitation("https://kitchen.local:8443", "K7PQ-2M4X", 600.0)

    def silence(self) -> bool:
        was_playing, self.playing = self.playing, False
        return was_playing


@dataclass
class Box:
    runner: Runner
    talk: Talk
    said: list[Reply | Notice] = field(default_factory=list)

    async def call(
        self, tool: str, caller: Caller = "speech", /, *, confirmed: bool = False, **arguments: Any
    ) -> ToolResult:
        call = ToolCall(id=new_id(), utterance_id="u", tool=tool, arguments=arguments, caller=caller)
        result = await self.runner.run(call, confirmed=confirmed)
        if result.ok:
            self.talk.last_undo = result.undo
            self.talk.last_reply = result.text
        return result

    async def undo(self) -> ToolResult:
        return await self.call("undo")

    @property
    def replies(self) -> list[str]:
        return [message.text for message in self.said if isinstance(message, Reply)]

    @property
    def notices(self) -> list[str]:
        return [message.code for message in self.said if isinstance(message, Notice)]


@asynccontextmanager
async def a_box(
    settings: config.Tools | None = None,
    *,
    language: str = "en",
    clock: Clock | None = None,
    stores: dict[str, Store] | None = None,
    secrets: dict[str, str] | None = None,
    registry: Registry | None = None,
) -> AsyncIterator[Box]:
    """A running box. `stores` keeps what the tools keep from one box to the next."""
    settings = settings or config.Tools()
    kept = {} if stores is None else stores
    environ = {f"AGENTBOX_SECRET_{name.upper()}": value for name, value in (secrets or {}).items()}
    talk = Talk()
    said: list[Reply | Notice] = []
    runner = Runner(
        registry or Registry.load(settings, Credentials(Path("/nowhere"), environ=environ)),
        settings,
        language=language,
        phrases=Phrases(language),
        persona=config.Persona(),
        clock=clock or SetClock(),
        stores=lambda name: kept.setdefault(name, MemoryStore()),
        emit=said.append,
        conversation=lambda _: talk,
    )
    async with runner:
        yield Box(runner, talk, said)
