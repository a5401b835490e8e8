"""The box for one command when no daemon runs: the same methods, on the files themselves."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Protocol, cast

from agentbox import paths
from agentbox.control.client import Client
from agentbox.control.server import Handler
from agentbox.messages import JSON
from agentbox.settings import Loaded


class Connection(Protocol):
    """How a command reaches the box, whether a daemon runs or not."""

    def call(self, method: str, params: dict[str, JSON] | None = None, timeout_s: float = 120.0) -> JSON: ...

    def stream(self, method: str, params: dict[str, JSON] | None = None) -> Iterator[JSON]: ...


class LocalBox:
    """Opens the files for each call and closes them again. Nothing rings and nobody listens."""

    def __init__(self, loaded: Loaded) -> None:
        self._loaded = loaded

    def call(self, method: str, params: dict[str, JSON] | None = None, timeout_s: float = 120.0) -> JSON:
        async def work() -> JSON:
            async with self._table() as table:
                handler = cast(Callable[[dict[str, JSON]], Awaitable[JSON]], table[method])
                return await handler(params or {})

        return asyncio.run(work())

    def stream(self, method: str, params: dict[str, JSON] | None = None) -> Iterator[JSON]:
        with asyncio.Runner() as runner:
            stack = contextlib.AsyncExitStack()
            try:
                table = runner.run(stack.enter_async_context(self._table()))
                items = cast(AsyncIterator[JSON], cast(Any, table[method])(params or {}))
                while True:
                    try:
                        yield runner.run(_next(items))
                    except StopAsyncIteration:
                        return
            finally:
                runner.run(stack.aclose())

    @contextlib.asynccontextmanager
    async def _table(self) -> AsyncIterator[dict[str, Handler]]:
        # Here and not at the top: with a daemon that runs, a command needs nothing of the box itself.
        from agentbox.daemon.core import open_core
        from agentbox.daemon.events import Events, log_event
        from agentbox.daemon.methods import methods
        from agentbox.daemon.paired import open_devices

        events = Events()
        events.subscribe(log_event)
        async with open_core(self._loaded, events, services=False) as core:
            yield methods(core, open_devices(core.journal))


async def _next(items: AsyncIterator[JSON]) -> JSON:
    return await anext(items)


def connect(loaded: Loaded) -> Connection:
    """The running daemon, or the files."""
    client = Client(paths.control_socket(loaded.config))
    return client if client.is_running() else LocalBox(loaded)
