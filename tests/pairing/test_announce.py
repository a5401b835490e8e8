"""The announcement, found by a second participant of the same protocol."""

from __future__ import annotations

import asyncio

import pytest
from zeroconf import IPVersion
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from agentbox.errors import ControlError
from agentbox.pairing.announce import SERVICE, Announcement


async def test_a_phone_finds_the_box_and_it_says_farewell() -> None:
    announcement = Announcement("test-desk", 8443, ["127.0.0.1"])
    await announcement.start()
    try:
        phone = AsyncZeroconf(interfaces=["127.0.0.1"], ip_version=IPVersion.V4Only)
        try:
            found = AsyncServiceInfo(SERVICE, f"agentbox test-desk.{SERVICE}")
            assert await found.async_request(phone.zeroconf, 5000)
            assert found.server == "test-desk.local."
            assert found.port == 8443
            assert found.parsed_addresses() == ["127.0.0.1"]
        finally:
            await phone.async_close()
    finally:
        await announcement.close()
    await announcement.close()


async def test_a_network_without_multicast_is_told() -> None:
    announcement = Announcement("test-desk", 8443, ["203.0.113.77"])  # not an address of this machine
    with pytest.raises(ControlError) as caught:
        await asyncio.wait_for(announcement.start(), 30)
    assert caught.value.code == "announce_failed"
