"""A whole turn with a dialog, as the daemon holds it, for the tests of every adapter."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from agentbox.realtime.connection import Connection
from agentbox.realtime.events import AnswerDone, Event, Failed, Ready
from agentbox.realtime.session import ToolSpec

WEATHER = ToolSpec(
    "get_weather",
    "The weather in a town.",
    {"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]},
)

LIMIT_S = 10.0


async def until_ready(events: AsyncIterator[Event]) -> list[Event]:
    """The events up to `Ready`, it included."""
    return await up_to(events, lambda event: isinstance(event, Ready))


async def answer(events: AsyncIterator[Event]) -> list[Event]:
    """The events up to the answer's end, tools' rounds included."""
    return await up_to(events, lambda event: isinstance(event, AnswerDone) and not event.calls)


async def up_to(events: AsyncIterator[Event], found: Any) -> list[Event]:
    """The events up to the first that is `found`, or that ends the session."""
    seen: list[Event] = []
    async with asyncio.timeout(LIMIT_S):
        async for event in events:
            seen.append(event)
            if found(event) or isinstance(event, Failed):
                return seen
    raise AssertionError(f"no more events after {seen}")


async def turn(connection: Connection[Any], events: AsyncIterator[Event], pcm: bytes) -> list[Event]:
    """Say something, and hear the answer."""
    for at in range(0, len(pcm), 4800):
        connection.session.append(pcm[at : at + 4800])
    connection.session.commit()
    connection.flush()
    return await answer(events)
