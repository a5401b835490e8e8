"""The metrics over real sockets, read by prometheus-client's own parser."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from agentbox.daemon.figures import Figures
from agentbox.daemon.metrics import GAUGES, rendered, serve
from agentbox.errors import ControlError
from agentbox.messages import Egress, StageEvent


def figures() -> Figures:
    found = Figures()
    for silence_ms in (200, 300, 300):
        found(StageEvent(stage="utterance", state="ended", at=0.0, monotonic_s=0.0, timings={"silence_ms": silence_ms}))
    return found


def text() -> bytes:
    return rendered(figures(), lambda: {"up_seconds": 12.5, "memory_bytes": None})


def test_a_use_of_a_cloud_is_open_until_it_ends() -> None:
    found = figures()
    first, second = (Egress(id=name, backend="b", model="m", reason="turn") for name in ("first", "second"))
    counts = []
    for state, use in (("started", first), ("started", second), ("ended", first), ("late", first), ("ended", second)):
        found(StageEvent(stage="egress", state=state, at=0.0, monotonic_s=0.0, message=use))
        counts.append(found.cloud_uses)
    assert counts == [1, 2, 1, 1, 0]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


async def ask(listen: str, request: bytes) -> tuple[str, bytes]:
    if listen.startswith("unix:"):
        reader, writer = await asyncio.open_unix_connection(listen.removeprefix("unix:"))
    else:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(listen.rpartition(":")[2]))
    writer.write(request)
    answer = await asyncio.wait_for(reader.read(), 20)
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.decode().split("\r\n")[0].partition(" ")[2], body


def test_the_text_says_what_the_figures_are() -> None:
    families = {family.name: family for family in text_string_to_metric_families(text().decode())}
    [events] = families["agentbox_events"].samples
    assert (events.labels, events.value) == ({"stage": "utterance", "state": "ended"}, 3)
    times = {(sample.name, sample.labels.get("le")): sample.value for sample in families["agentbox_time_ms"].samples}
    assert times["agentbox_time_ms_bucket", "250"] == 1
    assert times["agentbox_time_ms_count", None] == 3
    assert times["agentbox_time_ms_sum", None] == 800
    assert families["agentbox_up_seconds"].samples[0].value == 12.5
    assert "agentbox_memory_bytes" not in families


@pytest.mark.parametrize("kind", ["unix", "port"])
async def test_it_is_served(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "metrics.sock"
    listen = f"unix:{path}" if kind == "unix" else f"127.0.0.1:{free_port()}"
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))  # left by a daemon that was killed
    async with serve(listen, text):
        assert await ask(listen, b"GET /metrics HTTP/1.1\r\nHost: localhost:1\r\n\r\n") == ("200 OK", text())
        assert (await ask(listen, b"GET / HTTP/1.1\r\n\r\n"))[0] == "404 Not Found"
        assert (await ask(listen, b"POST /metrics HTTP/1.1\r\n\r\n"))[0] == "405 Method Not Allowed"
        foreign = await ask(listen, b"GET /metrics HTTP/1.1\r\nHost: box.example:9464\r\n\r\n")
        assert foreign[0] == "403 Forbidden"
        assert await ask(listen, b"x" * 20_000 + b"\r\n\r\n") == ("", b"")
        if kind == "unix":
            assert path.stat().st_mode & 0o777 == 0o660
    if kind == "unix":
        assert not path.exists()


async def test_what_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "diary"
    path.write_text("mine")
    with pytest.raises(ControlError) as caught:
        async with serve(f"unix:{path}", text):
            pass
    assert caught.value.code == "metrics_failed"
    assert path.read_text() == "mine"


async def test_an_address_in_use_is_told() -> None:
    listen = f"127.0.0.1:{free_port()}"
    async with serve(listen, text):
        with pytest.raises(ControlError) as caught:
            async with serve(listen, text):
                pass
    assert caught.value.code == "metrics_failed"


def test_every_gauge_is_documented() -> None:
    docs = (Path(__file__).parents[2] / "docs" / "events.md").read_text()
    for name in GAUGES:
        assert f"`agentbox_{name}`" in docs
