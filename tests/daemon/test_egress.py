"""What the list of what left the box says, whatever became of it."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentbox.daemon import cloud as cloud_module
from agentbox.realtime.link import Link
from agentbox.realtime.prices import Prices
from agentbox.storage.journal import Journal
from tests.daemon.cloud_box import cloud_box
from tests.daemon.test_cloud import CANNOT, UNKNOWN, config
from tests.realtime.servers.base import KEY, Say, Step
from tests.realtime.servers.openai import OpenAIServer, OpenAISession


@pytest.fixture(autouse=True)
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTBOX_STATE", str(tmp_path))
    monkeypatch.setenv("AGENTBOX_SECRET_FIRST", KEY)
    monkeypatch.setenv("AGENTBOX_SECRET_BRAIN", KEY)


@pytest.fixture
def black_hole() -> Iterator[str]:
    """Host and port of somebody who takes whatever comes and says nothing."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        found.listen()
        yield f"127.0.0.1:{found.getsockname()[1]}"


class Mute(OpenAIServer):
    """Greets, and never acknowledges the configuration."""

    async def session(self, client: Any) -> None:
        session = OpenAISession(self, client)
        session.on_session_update = lambda message: asyncio.sleep(0)  # type: ignore[method-assign]
        await session.run()


async def test_a_configuration_that_was_never_acknowledged_has_left_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloud_module, "CONNECT_S", 1.0)
    async with Mute() as server, cloud_box(tmp_path, config(server.url)) as box:
        await box.hear(UNKNOWN)
        [row] = await box.egress()
        assert (row["reason"], row["outcome"]) == ("connect", "cloud_timeout")
        assert row["bytes_out"] > 1_000  # persona and tools
        assert row["bytes_in"] > 50  # the greeting


async def test_a_handshake_that_was_refused_has_left_all_the_same(tmp_path: Path) -> None:
    async with OpenAIServer() as server, cloud_box(tmp_path, config(server.url)) as box:
        server.refuses = HTTPStatus.UNAUTHORIZED
        await box.hear(UNKNOWN)
        [row] = await box.egress()
        assert (row["reason"], row["outcome"]) == ("connect", "cloud_key")
        assert row["bytes_out"] > len(KEY)
        assert row["bytes_in"] > 0


async def test_a_handshake_that_nobody_answers_has_left_all_the_same(
    tmp_path: Path, black_hole: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloud_module, "CONNECT_S", 2.0)
    async with cloud_box(tmp_path, config(f"ws://{black_hole}/v1/realtime")) as box:
        await box.hear(UNKNOWN)
        [row] = await box.egress()
        assert (row["outcome"], row["bytes_in"]) == ("cloud_timeout", 0)
        assert row["bytes_out"] > len(KEY)


async def test_words_that_no_text_model_answers_have_left_all_the_same(
    tmp_path: Path, black_hole: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agentbox.daemon.brain.FIRST_S", 3.0)
    brain = {"brain": {"kind": "compatible", "model": "m", "url": f"http://{black_hole}/v1"}}
    async with cloud_box(tmp_path, brain) as box:
        turn = await box.hear(UNKNOWN)
        assert [reply.text for reply in box.replies(turn)] == [CANNOT]
        [row] = await box.egress()
        assert row["outcome"] == "cloud_timeout"
        assert row["bytes_out"] > 1_000


async def test_whoever_goes_away_while_it_connects_leaves_no_row_without_an_end(
    tmp_path: Path, black_hole: str
) -> None:
    async with cloud_box(tmp_path, config(f"ws://{black_hole}/v1/realtime")) as box:
        hearing = asyncio.create_task(box.hear(UNKNOWN))
        await box.until(lambda: "started" in box.states("egress"))
        await asyncio.sleep(0.2)
        hearing.cancel()
        await asyncio.gather(hearing, return_exceptions=True)
        [row] = await box.egress()
        assert row["outcome"] == "cancelled"
        assert row["bytes_out"] > len(KEY)


class Billing(OpenAISession):
    """Tells of an answer that was broken off what it costs, a moment later."""

    async def tell(self, kind: str, **fields: Any) -> None:
        if kind == "response.done" and fields["response"]["status"] == "cancelled":
            fields["response"]["usage"] = {"output_tokens": 7}
            await asyncio.sleep(0.1)
        await super().tell(kind, **fields)


class BillingServer(OpenAIServer):
    async def session(self, client: Any) -> None:
        await Billing(self, client).run()


def story(number: int, results: Sequence[Any]) -> Sequence[Step]:
    return [Say("A long story.", 60_000)]


async def test_what_is_billed_after_an_interruption_is_the_turns(tmp_path: Path) -> None:
    settings = config("", money_per_day=100.0)
    settings["cloud"]["backends"][0]["price"] = {"minute_out": 60.0, "million": {"output_tokens": 14_000_000.0}}
    async with BillingServer(story, piece_s=0.01) as server:
        settings["cloud"]["backends"][0]["url"] = server.url
        async with cloud_box(tmp_path, settings) as box:
            turn = await box.hear(UNKNOWN)
            await box.until(lambda: box.speaking.heard)
            box.speaking.hush()
            await box.until(lambda: "late" in box.states("egress"))
            _, row = await box.egress()
            assert (row["turn_id"], row["reason"], row["outcome"]) == (turn, "turn", "ok")
            assert row["units"] == {"output_tokens": 7.0}
            assert row["price"] == 1.0 + 98.0
            # It is spent once.
            assert box.cloud.is_on
            box.cloud.backends[0].prices = Prices(million={"output_tokens": 14_000_000.0})
            await box.hear(UNKNOWN)
            await box.until(lambda: box.speaking.heard)
            assert box.cloud.is_on
            box.speaking.hush()
            await box.until(lambda: not box.cloud.is_on)
        rows = rows_of(tmp_path)
        assert sum(row["units"].get("output_tokens", 0) for row in rows) == 14


async def test_all_that_went_over_a_connection_is_in_some_row(tmp_path: Path) -> None:
    links: list[Link] = []
    async with BillingServer(story, piece_s=0.01) as server, cloud_box(tmp_path, config(server.url)) as box:
        for _ in range(2):
            await box.hear(UNKNOWN)
            await box.until(lambda: box.speaking.heard)
            box.speaking.hush()
            await box.quiet()
            assert box.cloud.backends[0].link is not None
            links.append(box.cloud.backends[0].link)
    assert links[0] is links[1]
    rows = rows_of(tmp_path)
    assert [row["reason"] for row in rows] == ["connect", "turn", "turn", "close"]
    for name in ("bytes_out", "bytes_in", "seconds_in"):
        assert sum(row[name] for row in rows) == pytest.approx(getattr(links[0], name))


class Ill(OpenAIServer):
    """Has an error of its own in the midst of an answer, and stays on the line."""

    async def session(self, client: Any) -> None:
        session = OpenAISession(self, client)
        tell = session.tell

        async def told(kind: str, **fields: Any) -> None:
            await tell(kind, **fields)
            if kind == "response.output_audio.delta" and sum(session.items.values()) == 8_000:
                await tell("error", error={"type": "server_error", "code": "server_error", "message": "sorry"})

        session.tell = told  # type: ignore[method-assign]
        await session.run()


async def test_what_goes_over_a_connection_that_fails_is_in_one_row_alone(tmp_path: Path) -> None:
    async with Ill(story, piece_s=0.01) as server, cloud_box(tmp_path, config(server.url)) as box:
        link = await box.cloud.backends[0].ready(5.0)
        turn = await box.hear(UNKNOWN)
        await box.answered(turn)
        await box.until(lambda: not server.clients)
    rows = rows_of(tmp_path)
    assert [(row["reason"], row["outcome"]) for row in rows] == [
        ("connect", "ok"),
        ("turn", "cloud_down"),
        ("close", "ok"),
    ]
    for name in ("bytes_out", "bytes_in", "seconds_in"):
        assert sum(row[name] for row in rows) == pytest.approx(getattr(link, name))


class Lingering(OpenAISession):
    """Hears no farewell."""

    async def on_session_update(self, message: dict[str, Any]) -> None:
        await super().on_session_update(message)
        self.client.transport.pause_reading()


class LingeringServer(OpenAIServer):
    async def session(self, client: Any) -> None:
        await Lingering(self, client).run()


@pytest.mark.parametrize("server", [OpenAIServer(), LingeringServer()], ids=["parts", "lingers"])
@pytest.mark.parametrize("refuses", [None, HTTPStatus.SERVICE_UNAVAILABLE])
async def test_a_test_without_a_daemon_is_put_down_to_its_end(
    tmp_path: Path, server: OpenAIServer, refuses: HTTPStatus | None
) -> None:
    server.refuses = refuses
    async with server:
        settings = config(server.url) | {"storage": {"path": str(tmp_path / "box.db")}}
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(settings))
        command = [sys.executable, "-m", "agentbox", "backends", "test", "first", "--config"]
        running = await asyncio.create_subprocess_exec(*command, str(tmp_path / "config.yaml"))
        assert await running.wait() == (0 if refuses is None else 1)
    rows = rows_of(tmp_path)
    ends = [("test", "ok"), ("close", "ok")] if refuses is None else [("test", "cloud_down")]
    assert [(row["reason"], row["outcome"]) for row in rows] == ends
    assert rows[0]["bytes_out"] > len(KEY)
    assert rows[0]["bytes_in"] > 0


def rows_of(folder: Path) -> list[dict[str, Any]]:
    """The rows of a box that has ended, oldest first."""
    with closing(Journal.open(folder / "box.db")) as journal:
        return journal.egress()[::-1]
