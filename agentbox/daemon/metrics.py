"""The box's figures in Prometheus' text format, on a Unix socket or a port of this machine's own. Off unless asked for.

Only counts and times are told; the format and its escaping are prometheus-client's.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from agentbox.control.server import bound
from agentbox.daemon.figures import Figures
from agentbox.errors import ControlError

MAX_REQUEST_BYTES = 8192
PATIENCE_S = 5.0
_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_HERE = ("127.0.0.1", "localhost", "[::1]")


class _Figures(Collector):
    def __init__(self, figures: Figures, gauges: Callable[[], dict[str, float | None]]) -> None:
        self._figures = figures
        self._gauges = gauges

    def collect(self) -> Iterator[Metric]:
        events = CounterMetricFamily("agentbox_events", "Stage events (docs/events.md).", labels=["stage", "state"])
        for (stage, state), count in sorted(self._figures.events.items()):
            events.add_metric([stage, state], count)
        yield events
        times = HistogramMetricFamily("agentbox_time_ms", "Times in stage events, milliseconds.", labels=["figure"])
        for name, histogram in sorted(self._figures.timings.items()):
            times.add_metric([name], list(histogram.cumulative()), histogram.sum)
        yield times
        for name, value in self._gauges().items():
            if value is not None:
                yield GaugeMetricFamily(f"agentbox_{name}", GAUGES[name], value)


GAUGES = {
    "up_seconds": "Since the daemon started.",
    "healthy": "1 while the watchdog is fed.",
    "listening": "1 while sound comes from the microphone.",
    "queue": "Utterances that wait to be decoded.",
    "level_dbfs": "How loud the last sound was.",
    "memory_bytes": "The daemon's share of the memory (PSS).",
    "utterances_last_hour": "Utterances that ended in the last hour, meant for the box or not.",
}


def rendered(figures: Figures, gauges: Callable[[], dict[str, float | None]]) -> bytes:
    """All figures as text."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Figures(figures, gauges))
    return generate_latest(registry)


@contextlib.asynccontextmanager
async def serve(listen: str, render: Callable[[], bytes]) -> AsyncIterator[None]:
    """Answer `GET /metrics` at `listen`: `unix:PATH`, `127.0.0.1:PORT` or `[::1]:PORT`.

    Raises `ControlError` `metrics_failed`.
    """

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.LimitOverrunError, asyncio.IncompleteReadError, TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(_response(head, render))
                await writer.drain()
        writer.close()

    with contextlib.ExitStack() as held:
        try:
            if listen.startswith("unix:"):
                listener = held.enter_context(bound(Path(listen.removeprefix("unix:"))))
                server = await asyncio.start_unix_server(answer, sock=listener, limit=MAX_REQUEST_BYTES)
            else:
                host, _, port = listen.rpartition(":")
                server = await asyncio.start_server(answer, host.strip("[]"), int(port), limit=MAX_REQUEST_BYTES)
        except OSError as error:
            raise ControlError(
                "metrics_failed",
                f"The metrics cannot be served at {listen}: {error.strerror or error}.",
                "Set metrics.listen to another address.",
            ) from error
        held.callback(server.close)
        yield


def _response(head: bytes, render: Callable[[], bytes]) -> bytes:
    lines = head.decode("latin-1").split("\r\n")
    method, _, rest = lines[0].partition(" ")
    hosts = [line.partition(":")[2].strip() for line in lines[1:] if line.lower().startswith("host:")]
    if not _is_local(hosts):
        # A page somewhere on the web whose name was made to point here (DNS rebinding).
        return _plain("403 Forbidden", b"not this host\n")
    if rest.split(" ")[0].split("?")[0] != "/metrics":
        return _plain("404 Not Found", b"see /metrics\n")
    if method not in ("GET", "HEAD"):
        return _plain("405 Method Not Allowed", b"only GET\n")
    return _plain("200 OK", render(), _TYPE)


def _is_local(hosts: Iterable[str]) -> bool:
    return all(host.rpartition(":")[0] in _HERE or host in _HERE for host in hosts)


def _plain(status: str, body: bytes, kind: str = "text/plain; charset=utf-8") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body
