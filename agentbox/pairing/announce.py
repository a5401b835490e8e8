"""Tells the local network where the box's page is (mDNS and DNS-SD, RFC 6762 and 6763)."""

from __future__ import annotations

import socket
from collections.abc import Sequence

from zeroconf import IPVersion, NonUniqueNameException, ServiceInfo
from zeroconf.asyncio import AsyncZeroconf

from agentbox.errors import ControlError

SERVICE = "_https._tcp.local."


class Announcement:
    """`await start()`, then `await close()`, which says farewell. The box is `<name>.local`."""

    def __init__(self, name: str, port: int, addresses: Sequence[str]) -> None:
        self._addresses = list(addresses)
        self._info = ServiceInfo(
            SERVICE,
            f"agentbox {name}.{SERVICE}",
            port=port,
            server=f"{name}.local.",
            addresses=[socket.inet_aton(address) for address in addresses],
            properties={"path": "/"},
        )
        self._zeroconf: AsyncZeroconf | None = None

    async def start(self) -> None:
        """Raises `ControlError` `announce_failed`."""
        try:
            self._zeroconf = AsyncZeroconf(interfaces=self._addresses, ip_version=IPVersion.V4Only)
            await self._zeroconf.async_register_service(self._info, allow_name_change=True)
        except (OSError, NonUniqueNameException) as error:
            await self.close()
            raise ControlError(
                "announce_failed",
                f"The box cannot make its name known in the local network: {type(error).__name__}.",
                "Phones still reach it by its address. page.mdns: false stops trying.",
            ) from error

    async def close(self) -> None:
        zeroconf, self._zeroconf = self._zeroconf, None
        if zeroconf is not None:
            await zeroconf.async_unregister_all_services()
            await zeroconf.async_close()
