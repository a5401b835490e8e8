"""What the phone's page costs: a daemon without one, with one at which nobody looks, and with a phone that does.
`python -m benchmarks.page_cost [SECONDS]`; the sound is silence that never comes, so that the page is all there is."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from websockets.asyncio.client import connect

from agentbox.bench.box import cpu_s, median, percentile
from agentbox.daemon.figures import memory_bytes
from tests.page.conftest import Daemon, Phone, running
from tests.page.test_pairing import children

SETTLE_S = 20.0
STARTS = 9
REQUESTS = 100

BOXES: dict[str, dict[str, Any]] = {
    "no page": {"enabled": False},
    "page, local network, no mDNS": {"lan": True, "mdns": False},
    "page, local network, mDNS": {"lan": True, "mdns": True},
}


def main(seconds: float) -> None:
    print(f"{'':42}{'PSS':>10}{'anonymous':>10}{'CPU':>10}")
    for name, page in BOXES.items():
        with tempfile.TemporaryDirectory() as folder, running(Path(folder), page=page) as daemon:
            assert daemon.process is not None
            time.sleep(SETTLE_S)
            row(f"daemon, {name}", daemon.process.pid, seconds)
            if "page_failed" in daemon.log() or "announce_failed" in daemon.log():
                print("  (it could not open or announce it)")
            if page.get("mdns") is False:
                looked_at(daemon, seconds)
                answers(daemon)


def looked_at(daemon: Daemon, seconds: float) -> None:
    """A phone has the live view open, and the box has nothing to tell."""

    async def look(phone: Phone) -> None:
        place, origin = f"wss://127.0.0.1:{daemon.port}/live", f"https://127.0.0.1:{daemon.port}"
        cookie = {"Cookie": phone.cookie}
        async with connect(place, ssl=daemon.trust, additional_headers=cookie, origin=origin, proxy=None):  # type: ignore[arg-type]
            assert daemon.process is not None
            [page] = children(daemon.process.pid)
            await asyncio.to_thread(row, "page's process, one phone looks", page, seconds)
            await asyncio.to_thread(row, "daemon meanwhile", daemon.process.pid, seconds)

    phone = daemon.phone()
    phone.see("/")
    asyncio.run(look(phone))


def answers(daemon: Daemon) -> None:
    """Until the home page is there: from a page that has to be started, and from one that runs."""
    phone = daemon.phone()
    cookie = phone.cookie
    started_ms = []
    for _ in range(STARTS):
        end_page(daemon)
        started_ms.append(took_ms(daemon, cookie))
    running_ms = [took_ms(daemon, cookie) for _ in range(REQUESTS)]
    for name, found in (("page must be started", started_ms), ("page runs", running_ms)):
        print(f"first answer, new connection, {name}: p50 {median(found):.0f} ms, p95 {percentile(found, 95):.0f} ms")


def took_ms(daemon: Daemon, cookie: str) -> float:
    with daemon.browser(Cookie=cookie) as browser:
        began_s = time.perf_counter()
        assert browser.get("/").status_code == 200
        return (time.perf_counter() - began_s) * 1000


def end_page(daemon: Daemon) -> None:
    assert daemon.process is not None
    for page in children(daemon.process.pid):
        os.kill(page, signal.SIGTERM)
    while children(daemon.process.pid):
        time.sleep(0.05)
    time.sleep(0.2)


def row(name: str, pid: int, seconds: float) -> None:
    before_s = cpu_s(pid)
    time.sleep(seconds)
    used = (cpu_s(pid) - before_s) / seconds
    pss_mb, own_mb = ((memory_bytes(pid, kind=kind) or 0) / 1e6 for kind in ("Pss", "Pss_Anon"))
    print(f"{name:42}{pss_mb:7.1f} MB{own_mb:7.1f} MB{used:9.2%}", flush=True)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 60.0)
