"""Newer versions: asked for only where the owner said so, once a day, with nothing of the box in the request."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agentbox import __version__, settings
from agentbox.daemon.core import Core, open_core
from agentbox.daemon.events import Events
from agentbox.daemon.updates import Updates, is_newer, told


class Publisher:
    """A server that answers each request with the same bytes, and keeps what it was asked."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.asked: list[bytes] = []
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(self.answer)
        writer.close()


@asynccontextmanager
async def publishing(answer: bytes) -> AsyncIterator[Publisher]:
    publisher = Publisher(answer)
    server = await asyncio.start_server(publisher.serve, "127.0.0.1", 0)
    publisher.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/newest"
    async with server:
        yield publisher


@asynccontextmanager
async def core_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **updates: Any) -> AsyncIterator[Core]:
    monkeypatch.setenv("AGENTBOX_STATE", str(tmp_path))
    file = tmp_path / "config.yaml"
    file.write_text(f"updates: {updates or '{}'}\n".replace("True", "true").replace("False", "false"))
    async with open_core(settings.load(file), Events(), services=False) as core:
        yield core


def ok(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(body), body)


async def rows(core: Core) -> list[tuple[object, ...]]:
    found = await core.read_journal(core.journal.egress)
    return [(row["backend"], row["reason"], row["outcome"]) for row in found]


@pytest.mark.parametrize("updates", [{}, {"check": True}, {"check": False, "url": "set"}])
async def test_nobody_is_asked_before_the_owner_says_so_and_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, updates: dict[str, Any]
) -> None:
    async with publishing(ok(b"9.9.9\n")) as publisher:
        if "url" in updates:
            updates = updates | {"url": publisher.url}
        async with core_of(tmp_path, monkeypatch, **updates) as core:
            await Updates(core).look()
            assert await rows(core) == []
            assert told(core) == {"check": False, "asked_at": None, "newest": "", "newer": False}
        assert publisher.asked == []


async def test_it_asks_once_a_day_and_leaves_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_900_000_000.0
    async with publishing(ok(b"v9.10.0\nmore\n")) as publisher:
        async with core_of(tmp_path, monkeypatch, check=True, url=publisher.url) as core:
            for later_s, asked in ((0, 1), (60, 1), (86_399, 1), (86_400, 2), (-1000, 3)):
                await Updates(core, lambda later_s=later_s: now + later_s).look()  # type: ignore[misc]
                assert len(publisher.asked) == asked
            assert await rows(core) == [("updates", "update", "ok")] * 3
            assert (told(core)["newest"], told(core)["newer"]) == ("9.10.0", True)
        async with core_of(tmp_path, monkeypatch, check=True, url=publisher.url) as core:
            await Updates(core, lambda: now).look()
            assert len(publisher.asked) == 3, "a restart is no new day"
    [first, *others] = publisher.asked
    assert others == [first, first]
    assert __version__.encode() not in first.partition(b"\r\n")[2]
    names = {line.partition(b":")[0].lower() for line in first.split(b"\r\n")[1:] if line}
    assert names == {b"host", b"accept", b"accept-encoding", b"connection", b"user-agent"}
    assert b"user-agent: agentbox\r\n" in first.lower()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        ok(b"<html>"),
        ok(b"x" * 5000),
        ok(b"1.2.3-secret\n"),
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        b"HTTP/1.1 500 No\r\nContent-Length: 5\r\nConnection: close\r\n\r\n9.9.9",
    ],
)
async def test_what_is_no_answer_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: bytes) -> None:
    async with (
        publishing(answer) as publisher,
        core_of(tmp_path, monkeypatch, check=True, url=publisher.url) as core,
    ):
        await Updates(core).look()
        await Updates(core).look()
        assert len(publisher.asked) == 1
        assert await rows(core) == [("updates", "update", "update_check_failed")]
        assert (told(core)["newest"], told(core)["newer"]) == ("", False)


@pytest.mark.parametrize(
    ("version", "than", "newer"),
    [("1.10", "1.9.2", True), ("1.0", "1.0.0", False), ("0.9", "1.0", False), ("", "0.1.0", False), ("2", "1.9", True)],
)
def test_versions_are_compared_by_their_numbers(version: str, than: str, newer: bool) -> None:
    assert is_newer(version, than) is newer


@pytest.mark.parametrize("url", ["http://example.net/x", "https://example.net/?id=1", "ftp://x", "https://me@x/y"])
def test_an_address_that_could_tell_of_the_box_is_refused(tmp_path: Path, url: str) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(f"updates: {{url: '{url}'}}\n")
    with pytest.raises(Exception, match="config_invalid"):
        settings.load(file, tmp_path / "none.yaml")


async def test_the_loop_goes_on_while_the_journal_is_seen_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held, free = threading.Event(), threading.Event()
    async with (
        publishing(ok(b"9.9.9\n")) as publisher,
        core_of(tmp_path, monkeypatch, check=True, url=publisher.url) as core,
    ):

        def hold() -> bool:
            with core.journal._connection.use():
                held.set()
                return free.wait(5)

        holding = asyncio.create_task(asyncio.to_thread(hold))
        await asyncio.to_thread(held.wait)
        looking = asyncio.create_task(Updates(core).look())
        await asyncio.sleep(0)
        free.set()
        assert await holding, "freed by the loop"
        await looking
        assert told(core)["newest"] == "9.9.9"
