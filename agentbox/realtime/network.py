"""Tells when the machine's way to the network changes: what could not be reached may be reached now.

Linux tells it over a netlink socket (rtnetlink(7)); where there is none, nothing is told, and backends are found again
by their probes alone. It also tells of what leads nowhere (the loopback, a container that comes and goes), so that each
time it is looked whether what counts is another one: the way out is when a default route is, or the address that the
machine uses on it; the page counts all addresses under which phones find it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from agentbox.networks import on_the_way_out

SETTLE_S = 1.0
"""Changes come in flocks: an interface, its addresses, its routes."""

_IPV4_ADDRESS, _IPV4_ROUTE, _IPV6_ADDRESS, _IPV6_ROUTE = 0x10, 0x40, 0x100, 0x400
"""RTMGRP_* of linux/rtnetlink.h."""

_GROUPS = _IPV4_ADDRESS | _IPV4_ROUTE | _IPV6_ADDRESS | _IPV6_ROUTE


class Route(NamedTuple):
    """As the kernel writes it, in hexadecimal digits."""

    interface: str
    destination: str
    gateway: str
    metric: str


def routes(folder: Path = Path("/proc/net")) -> frozenset[Route] | None:
    """The default routes; where there is none, all that lead off the machine. Null: they cannot be read.

    Source: proc_pid_net(5) and the kernel's net/ipv4/fib_trie.c and net/ipv6/route.c for the columns.
    """
    found = set()
    try:
        for line in (folder / "route").read_text("ascii", "replace").splitlines()[1:]:
            columns = line.split()
            if len(columns) >= 8:
                interface, destination, gateway, metric, mask = (columns[place] for place in (0, 1, 2, 6, 7))
                found.add(Route(interface, f"{destination}/{mask}", gateway, metric))
        with contextlib.suppress(FileNotFoundError):  # a kernel without IPv6
            for line in (folder / "ipv6_route").read_text("ascii", "replace").splitlines():
                columns = line.split()
                if len(columns) == 10 and not columns[0].startswith(("fe8", "ff")):
                    found.add(Route(columns[9], f"{columns[0]}/{columns[1]}", columns[4], columns[5]))
    except OSError:
        return None
    off = frozenset(route for route in found if route.interface != "lo")
    return frozenset(route for route in off if not route.destination.strip("0/")) or off


def ways_out() -> object:
    """The routes and the machine's own addresses on them. Null: they cannot be read."""
    found = routes()
    return None if found is None else (found, on_the_way_out(socket.AF_INET), on_the_way_out(socket.AF_INET6))


class NetworkWatch:
    """Calls `changed`, in the event loop, a moment after the network has changed what `look` finds. Where that is null
    it cannot be told what changed, and all counts."""

    def __init__(self, changed: Callable[[], None], look: Callable[[], object] = ways_out) -> None:
        self._changed = changed
        self._look = look
        self._socket: socket.socket | None = None
        self._settling: asyncio.TimerHandle | None = None
        self._before: object = None

    def start(self) -> bool:
        """Whether changes will be told."""
        with contextlib.suppress(OSError, AttributeError):
            found = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
            try:
                found.setblocking(False)
                found.bind((0, _GROUPS))
            except OSError:
                found.close()
                return False
            self._socket = found
            asyncio.get_running_loop().add_reader(found, self._read)
            self._before = self._look()
            return True
        return False

    def close(self) -> None:
        if self._settling is not None:
            self._settling.cancel()
            self._settling = None
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    def _read(self) -> None:
        # What changed is of no interest; that more changed than fits in the buffer (ENOBUFS) says as much.
        with contextlib.suppress(OSError):
            while self._socket is not None and self._socket.recv(65536):
                pass
        if self._settling is None:
            self._settling = asyncio.get_running_loop().call_later(SETTLE_S, self._tell)

    def _tell(self) -> None:
        self._settling = None
        before, self._before = self._before, self._look()
        if self._before != before or self._before is None:
            self._changed()
