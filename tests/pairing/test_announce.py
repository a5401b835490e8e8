"""The announcement, found by a second participant of the same protocol."""

from __future__ import annotations

import asyncio

import pytest
from zeroconf import IPVersion, ServiceInfo
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


@pytest.mark.parametrize("length", [1, 51, 54, 55, 63])
async def test_a_name_of_any_length_is_made_known(length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    known: list[ServiceInfo] = []

    async def register(_: object, info: ServiceInfo, **options: bool) -> None:
        known.append(info)

    monkeypatch.setattr(AsyncZeroconf, "async_register_service", register)
    name = "k" * length
    announcement = Announcement(name, 8443, ["127.0.0.1"])
    await announcement.start()
    await announcement.close()
    assert known[0].server == f"{name}.local."
    assert len(known[0].name.removesuffix(f".{SERVICE}") + "-99") <= 63, "where others have the name"


async def test_a_name_that_cannot_be_made_known_is_told() -> None:
    announcement = Announcement("not\x01a name", 8443, ["127.0.0.1"])
    with pytest.raises(ControlError) as caught:
        await announcement.start()
    assert caught.value.code == "announce_failed"


async def test_a_network_without_multicast_is_told() -> None:
    announcement = Announcement("test-desk", 8443, ["203.0.113.77"])  # not an address of this machine
    with pytest.raises(ControlError) as caught:
        await asyncio.wait_for(announcement.start(), 30)
    assert caught.value.code == "announce_failed"
