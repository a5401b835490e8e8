"""Tells when the machine's way to the network changes: what could not be reached may be reached now.

Linux tells it over a netlink socket (rtnetlink(7)); where there is none, nothing is told, and backends are found again
by their probes alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable

SETTLE_S = 1.0
"""Changes come in flocks: an interface, its addresses, its routes."""

_IPV4_ADDRESS, _IPV4_ROUTE, _IPV6_ADDRESS, _IPV6_ROUTE = 0x10, 0x40, 0x100, 0x400
"""RTMGRP_* of linux/rtnetlink.h."""

_GROUPS = _IPV4_ADDRESS | _IPV4_ROUTE | _IPV6_ADDRESS | _IPV6_ROUTE


class NetworkWatch:
    """Calls `changed`, in the event loop, a moment after addresses or routes have changed."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._socket: socket.socket | None = None
        self._settling: asyncio.TimerHandle | None = None

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
            return True
        return False

    def close(self) -> None:
        if self._settling is not None:
            self._settling.cancel()
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
        self._changed()
