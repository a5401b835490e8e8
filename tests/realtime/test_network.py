"""A change of the way to the network is told, in a network namespace of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from agentbox.realtime.network import NetworkWatch, routes

BEGIN = """
import asyncio, subprocess
from agentbox.realtime import network
network.SETTLE_S = 0.05

def ip(command):
    subprocess.run(["ip", *command.split()], check=True)

async def settled(told):
    await asyncio.sleep(0.4)
    print(len(told))

async def main():
    told = []
    ip("link add wire type veth peer name far")
    ip("link set far up")
    ip("link set wire up")
    await asyncio.sleep(0.2)
"""

END = """
asyncio.run(main())
"""

in_a_namespace = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("ip") is None or shutil.which("unshare") is None,
    reason="needs root, unshare and ip (Debian: util-linux, iproute2)",
)


def told(steps: str) -> list[int]:
    """How often a change was told by each `settled`. `steps`: lines of a program."""
    program = BEGIN + textwrap.indent(textwrap.dedent(steps), "    ") + END
    command = ["unshare", "--net", sys.executable, "-c", program]
    output = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    return [int(count) for count in output.split()]


@in_a_namespace
def test_a_change_is_told_when_it_has_settled_and_not_after_the_end() -> None:
    counts = told(
        """
        watch = network.NetworkWatch(lambda: told.append("changed"))
        assert watch.start()
        await settled(told)
        ip("addr add 10.9.9.1/24 dev wire")
        ip("route add default via 10.9.9.254")
        async with asyncio.timeout(10):
            while not told:
                await asyncio.sleep(0.01)
        await settled(told)
        watch.close()
        ip("route del default")
        await settled(told)
        """
    )
    assert counts[0] == 0
    assert 1 <= counts[1] <= 2
    assert counts[2] == counts[1]


@in_a_namespace
def test_a_watch_that_was_closed_before_it_had_settled_watches_again() -> None:
    counts = told(
        """
        watch = network.NetworkWatch(lambda: told.append("changed"))
        assert watch.start()
        ip("addr add 10.9.9.1/24 dev wire")
        async with asyncio.timeout(10):
            while watch._settling is None:
                await asyncio.sleep(0)
        watch.close()
        await settled(told)
        assert watch.start()
        ip("link set lo up")
        await settled(told)
        ip("addr add 10.9.8.1/24 dev wire")
        await settled(told)
        """
    )
    assert counts == [0, 0, 1]


@in_a_namespace
@pytest.mark.parametrize(("net", "size"), [("10.9.9.", "24"), ("fd99::", "64 nodad")])
def test_another_way_out_is_told(net: str, size: str) -> None:
    way = "-6 route" if ":" in net else "route"
    counts = told(
        f"""
        ip("addr add {net}1/{size[:2]} dev wire{size[2:]}")
        ip("{way} add default via {net}4")
        watch = network.NetworkWatch(lambda: told.append("changed"))
        assert watch.start()
        await settled(told)
        ip("{way} replace default via {net}3")
        await settled(told)
        ip("addr del {net}1/{size[:2]} dev wire")
        ip("addr add {net}2/{size[:2]} dev wire{size[2:]}")
        ip("{way} replace default via {net}3")
        await settled(told)
        ip("link set wire down")
        await settled(told)
        """
    )
    assert counts[:2] == [0, 1]
    assert counts[1] < counts[2] < counts[3]


@in_a_namespace
def test_what_is_no_way_out_is_not_told() -> None:
    counts = told(
        """
        ip("addr add 10.9.9.1/24 dev wire")
        ip("route add default via 10.9.9.254")
        watch = network.NetworkWatch(lambda: told.append("changed"))
        assert watch.start()
        ip("link set lo up")
        ip("addr add 10.7.7.1/24 dev lo")
        ip("link add docker0 type veth peer name inside")
        ip("addr add 172.17.0.1/16 dev docker0")
        ip("link set docker0 up")
        ip("link set inside up")
        ip("addr add 172.17.0.2/16 dev inside")
        await settled(told)
        ip("link del docker0")
        await settled(told)
        """
    )
    assert counts == [0, 0]


@in_a_namespace
def test_without_a_way_out_any_other_counts_but_the_loopback() -> None:
    counts = told(
        """
        watch = network.NetworkWatch(lambda: told.append("changed"))
        assert watch.start()
        ip("link set lo up")
        ip("addr add 10.7.7.1/24 dev lo")
        await settled(told)
        ip("addr add 10.9.9.1/24 dev wire")
        await settled(told)
        """
    )
    assert counts == [0, 1]


async def test_where_there_is_no_netlink_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("socket.AF_NETLINK")
    watch = NetworkWatch(lambda: None)
    assert not watch.start()
    watch.close()


def test_where_routes_cannot_be_read_none_is_known(tmp_path: Path) -> None:
    assert routes(tmp_path) is None
    (tmp_path / "route").write_text("Iface\tDestination\n\n\x00nonsense\nwlan0\t00000000\n")
    assert routes(tmp_path) == frozenset()
