"""A whole turn with a dialog, as the daemon holds it, for the tests of every adapter."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from agentbox.realtime.connection import Connection
from agentbox.realtime.events import AnswerDone, Event, Failed, Ready
from agentbox.realtime.failures import CloudError, Failure
from agentbox.realtime.session import ToolSpec
from tests.realtime.servers.base import Say, Step

WEATHER = ToolSpec(
    "get_weather",
    "The weather in a town.",
    {"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]},
)

LIMIT_S = 10.0


def two_stories(number: int, results: Sequence[Any]) -> Sequence[Step]:
    """A script: a long answer, and short ones."""
    return [Say("Yes?")] if number else [Say("A long story of a fox.", 5_000)]


def of(events: Sequence[Event], kind: type[Any]) -> list[Any]:
    """Those of a kind."""
    return [event for event in events if isinstance(event, kind)]


def is_done(event: Event) -> bool:
    return isinstance(event, AnswerDone)


async def failure_of(dialog: Any) -> Failure:
    """Why a session cannot be had: the connection is refused, or what is told over it."""
    try:
        async with Connection(dialog) as connection:
            failed = (await until_ready(aiter(connection)))[-1]
    except CloudError as error:
        told, why = f"{error!r} {error}", error.failure
    else:
        assert isinstance(failed, Failed)
        told, why = repr(failed), failed.failure
    assert dialog.account.key not in told
    return why


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
