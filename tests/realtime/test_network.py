"""A change of the network is told, in a network namespace of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from agentbox.realtime.network import NetworkWatch

PROGRAM = """
import asyncio, subprocess
from agentbox.realtime import network
network.SETTLE_S = 0.05

async def main():
    told = []
    watch = network.NetworkWatch(lambda: told.append("changed"))
    assert watch.start()
    await asyncio.sleep(0.3)
    print(len(told))
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["ip", "addr", "add", "10.9.9.1/24", "dev", "lo"], check=True)
    async with asyncio.timeout(10):
        while not told:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.3)
    print(len(told))
    watch.close()
    subprocess.run(["ip", "addr", "add", "10.9.9.2/24", "dev", "lo"], check=True)
    await asyncio.sleep(0.3)
    print(len(told))

asyncio.run(main())
"""


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("ip") is None or shutil.which("unshare") is None,
    reason="needs root, unshare and ip (Debian: util-linux, iproute2)",
)
def test_a_change_is_told_when_it_has_settled_and_not_after_the_end() -> None:
    command = ["unshare", "--net", sys.executable, "-c", PROGRAM]
    told = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.split()
    assert told[0] == "0"
    assert int(told[1]) >= 1
    assert told[2] == told[1]


async def test_where_there_is_no_netlink_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("socket.AF_NETLINK")
    watch = NetworkWatch(lambda: None)
    assert not watch.start()
    watch.close()
