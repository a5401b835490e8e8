"""Tells the local network where the box's page is (mDNS and DNS-SD, RFC 6762 and 6763)."""

from __future__ import annotations

import socket
from collections.abc import Sequence

import zeroconf
from zeroconf import IPVersion, ServiceInfo
from zeroconf.asyncio import AsyncZeroconf

from agentbox.errors import ControlError

SERVICE = "_https._tcp.local."

MOST_LABEL = 60
"""Letters of the service's name: DNS-SD allows 63 (RFC 6763, 4.1.1), and one that is taken gets a number behind it."""


class Announcement:
    """`await start()`, then `await close()`, which says farewell. The box is `<name>.local`."""

    def __init__(self, name: str, port: int, addresses: Sequence[str]) -> None:
        self._name = name
        self._port = port
        self._addresses = list(addresses)
        self._zeroconf: AsyncZeroconf | None = None

    async def start(self) -> None:
        """Raises `ControlError` `announce_failed`."""
        label = f"agentbox {self._name}"[:MOST_LABEL].rstrip("-")
        try:
            info = ServiceInfo(
                SERVICE,
                f"{label}.{SERVICE}",
                port=self._port,
                server=f"{self._name}.local.",
                addresses=[socket.inet_aton(address) for address in self._addresses],
                properties={"path": "/"},
            )
            self._zeroconf = AsyncZeroconf(interfaces=self._addresses, ip_version=IPVersion.V4Only)
            await self._zeroconf.async_register_service(info, allow_name_change=True)
        except (OSError, zeroconf.Error) as error:
            await self.close()
            raise ControlError(
                "announce_failed",
                f"The box cannot make its name known in the local network: {type(error).__name__}.",
                "Phones still reach it by its address. page.mdns: false stops trying.",
            ) from error

    async def close(self) -> None:
        running, self._zeroconf = self._zeroconf, None
        if running is not None:
            await running.async_unregister_all_services()
            await running.async_close()
