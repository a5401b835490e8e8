"""What whoever has a shell tells a running box: signals, and in the foreground the Enter key."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import Protocol, TextIO

from agentbox.daemon.events import Events
from agentbox.errors import AgentboxError, ControlError
from agentbox.messages import Notice


class Told(Protocol):
    """The box."""

    def press(self) -> None: ...
    async def reload(self) -> None: ...


def catch_signals(
    box: Told, events: Events, stop: asyncio.Event, stack: contextlib.AsyncExitStack, *, keys: TextIO | None
) -> None:
    """SIGTERM and SIGINT set `stop`, SIGHUP reads the configuration anew, SIGUSR1 is the talk key, and so is the Enter
    key where `keys` is a terminal; until `stack` is left."""
    loop = asyncio.get_running_loop()
    reloads: set[asyncio.Task[None]] = set()

    def press() -> None:
        try:
            box.press()
        except ControlError as error:
            events.notice(Notice(code=error.code, what=error.what, todo=error.todo, level="info"))

    async def reload() -> None:
        try:
            await box.reload()
        except AgentboxError as error:
            events.notice(Notice(code=error.code, what=error.what, todo=error.todo, level="error"))

    def begin_reload() -> None:
        # The loop keeps only weak references to its tasks.
        task = loop.create_task(reload())
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    for number, action in (
        (signal.SIGTERM, stop.set),
        (signal.SIGINT, stop.set),
        (signal.SIGHUP, begin_reload),
        (signal.SIGUSR1, press),
    ):
        loop.add_signal_handler(number, action)
        stack.callback(loop.remove_signal_handler, number)
    if keys is not None and keys.isatty():

        def key() -> None:
            if keys.readline():
                press()
            else:
                loop.remove_reader(keys.fileno())

        loop.add_reader(keys.fileno(), key)
        stack.callback(loop.remove_reader, keys.fileno())
