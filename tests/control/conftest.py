"""A control server on a real socket, with methods that a test can watch."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from agentbox.control.server import ControlServer, Handler
from agentbox.errors import InputError, ModelError
from agentbox.messages import JSON


class Methods:
    """What the server under test can do. `begun` and `ended` name each method that began and ended."""

    def __init__(self) -> None:
        self.begun: asyncio.Queue[str] = asyncio.Queue()
        self.ended: asyncio.Queue[str] = asyncio.Queue()
        self.go_on = asyncio.Event()
        self.done: list[str] = []

    def table(self) -> dict[str, Handler]:
        return {
            "echo": self.echo,
            "count": self.count,
            "fail": self.fail,
            "break": self.break_,
            "wait": self.wait,
            "forever": self.forever,
            "fail_late": self.fail_late,
            "large": self.large,
        }

    async def echo(self, params: dict[str, JSON]) -> JSON:
        return params

    async def count(self, params: dict[str, JSON]) -> AsyncIterator[JSON]:
        for number in range(params["to"]):
            yield number

    async def fail(self, _: dict[str, JSON]) -> JSON:
        raise ModelError("model_missing", "There is no model.", "Fetch it.")

    async def fail_late(self, _: dict[str, JSON]) -> AsyncIterator[JSON]:
        yield "first"
        raise InputError("bad_parameter", "No second.", "Ask for one.")

    async def break_(self, params: dict[str, JSON]) -> JSON:
        raise LookupError(params["text"])

    async def large(self, _: dict[str, JSON]) -> JSON:
        return "x" * 300_000

    async def wait(self, _: dict[str, JSON]) -> JSON:
        self.begun.put_nowait("wait")
        try:
            await self.go_on.wait()
            self.done.append("wait")
        finally:
            self.ended.put_nowait("wait")
        return "waited"

    async def forever(self, _: dict[str, JSON]) -> AsyncIterator[JSON]:
        self.begun.put_nowait("forever")
        try:
            yield "first"
            await asyncio.Event().wait()
        finally:
            self.ended.put_nowait("forever")


@pytest.fixture
def path() -> Iterator[Path]:
    """A socket's path, short enough for one (108 bytes) wherever pytest keeps its folders."""
    with tempfile.TemporaryDirectory(prefix="agentbox-") as folder:
        yield Path(folder, "run", "control.sock")


@pytest.fixture
async def methods() -> Methods:
    return Methods()


@pytest.fixture
async def server(path: Path, methods: Methods) -> AsyncIterator[ControlServer]:
    async with ControlServer(path, methods.table()) as server:
        yield server
