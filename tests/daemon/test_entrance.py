"""The way in from the network: opened, moved, closed, and what goes wrong with it told."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from agentbox import paths, settings
from agentbox.config import Config, Page
from agentbox.control.server import ControlServer
from agentbox.daemon.entrance import Entrance
from agentbox.daemon.events import Events
from agentbox.errors import ControlError, InputError
from agentbox.messages import Notice, StageEvent
from agentbox.pairing import addresses, certificate, devices
from agentbox.pairing.devices import Devices
from tests.pairing.test_devices import Kept

Make = Callable[..., Entrance]


@pytest.fixture
def told() -> list[StageEvent]:
    return []


@pytest.fixture
async def make(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: list[StageEvent]
) -> AsyncIterator[Callable[..., Entrance]]:
    monkeypatch.setenv("AGENTBOX_STATE", str(tmp_path))
    made: list[Entrance] = []

    def entrance(**page: object) -> Entrance:
        events = Events()
        events.subscribe(told.append)
        config = Config(page=Page(**{"port": 0, "mdns": False, **page}))  # type: ignore[arg-type]
        made.append(Entrance(config, events, Devices(Kept())))
        return made[-1]

    yield entrance
    for one in made:
        await one.close()


def codes(told: list[StageEvent]) -> list[str]:
    return [event.message.code for event in told if isinstance(event.message, Notice)]


async def shown(entrance: Entrance) -> str:
    """The fingerprint of the certificate that a browser meets at the door."""
    port = int(entrance.offer("owner")["place"].rpartition(":")[2])
    trust = ssl.create_default_context()
    trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
    _, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port, ssl=trust), 20)
    der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return hashlib.sha256(der).digest().hex(":").upper()


async def test_closed_it_offers_nothing(make: Make, told: list[StageEvent]) -> None:
    entrance = make(enabled=False)
    await entrance.open({})
    assert not entrance.is_open
    with pytest.raises(ControlError) as caught:
        entrance.offer("owner")
    assert caught.value.code == "page_closed"
    assert not told


async def test_it_is_for_this_machine_until_a_phone_is_asked_in(make: Make, tmp_path: Path) -> None:
    entrance = make()
    await entrance.open({})
    assert entrance.offer("owner")["place"].startswith("https://localhost:")
    assert not entrance.awaits_first
    await entrance.let_in(tmp_path / "settings.yaml")
    assert settings.load(None).config.page.lan
    assert entrance.awaits_first
    assert "localhost" not in entrance.offer("owner")["place"]
    entrance.redeem(entrance.offer("guest")["code"], "phone", "192.168.1.20")
    assert not entrance.awaits_first


async def test_what_the_code_says_of_the_certificate_is_what_a_browser_meets(make: Make) -> None:
    entrance = make()
    await entrance.open({})
    assert await shown(entrance) == entrance.offer("owner")["fingerprint"]


@pytest.mark.parametrize(
    ("page", "lasting"),
    [
        ({"lan": True, "mdns": True, "name": "Kitchen"}, "kitchen.local"),
        ({"lan": True, "mdns": False, "name": "Kitchen"}, ""),
        ({"lan": False, "mdns": True, "name": "Kitchen"}, ""),
    ],
)
async def test_the_page_knows_the_name_that_lasts(
    make: Make, monkeypatch: pytest.MonkeyPatch, page: dict[str, Any], lasting: str
) -> None:
    monkeypatch.setattr(addresses, "lan_addresses", list)  # nowhere to announce anything
    entrance = make(**page)
    await entrance.open({})
    assert f"--lasting-name={lasting}" in entrance._program([])


async def test_a_box_that_moves_has_a_new_certificate_with_the_same_key(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = ["192.168.1.5"]
    monkeypatch.setattr(addresses, "lan_addresses", lambda: list(found))
    entrance = make(lan=True)
    await entrance.open({})
    key = (paths.page_dir() / "key.pem").read_bytes()
    before = await shown(entrance)
    found[:] = ["192.168.7.9"]
    await entrance._move()
    assert entrance.offer("owner")["place"].startswith("https://192.168.7.9:")
    assert await shown(entrance) == entrance.offer("owner")["fingerprint"] != before
    assert (paths.page_dir() / "key.pem").read_bytes() == key


async def test_another_address_beside_the_way_out_moves_the_box(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    found = ["192.168.1.5", "192.168.2.6"]
    monkeypatch.setattr(addresses, "lan_addresses", lambda: list(found))
    entrance = make(lan=True)
    await entrance.open({})
    found[1] = "192.168.2.7"
    entrance._watch._tell()
    await asyncio.gather(*entrance._tasks)
    assert "192.168.2.7" in entrance._names


async def test_another_address_while_the_page_opens_moves_the_box(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    found = ["192.168.1.5"]
    monkeypatch.setattr(addresses, "lan_addresses", lambda: list(found))
    entrance = make(lan=True)
    ensure = certificate.ensure

    def slow(*given: Any) -> certificate.Certificate:
        found[:] = ["192.168.7.9"]
        return ensure(*given)

    monkeypatch.setattr(certificate, "ensure", slow)
    await entrance.open({})
    entrance._watch._tell()
    await asyncio.gather(*entrance._tasks)
    assert entrance.offer("owner")["place"].startswith("https://192.168.7.9:")


async def test_a_port_of_another_program_is_told_and_nothing_else_breaks(make: Make, told: list[StageEvent]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        entrance = make(port=other.getsockname()[1])
        await entrance.open({})
        assert codes(told) == ["page_port_taken"]
        assert not entrance.is_open
    await entrance.configure(Config(page=Page(port=0, mdns=False)))
    assert entrance.is_open


async def test_a_certificate_that_cannot_be_used_is_told(make: Make, told: list[StageEvent], tmp_path: Path) -> None:
    (tmp_path / "mine.pem").write_text("nothing")
    entrance = make(certificate=str(tmp_path / "mine.pem"))
    await entrance.open({})
    assert codes(told) == ["certificate_unusable"]
    assert not entrance.is_open


async def test_guests_read_where_the_owner_says_so(make: Make) -> None:
    for reads in (False, True):
        entrance = make(guests_read=reads)
        await entrance.open({})
        guest, _ = entrance.redeem(entrance.offer("guest")["code"], "phone", "192.168.1.20")
        assert ("words" in guest.scopes) is reads
        await entrance.close()


async def test_what_guests_may_read_follows_the_configuration_in_force(make: Make) -> None:
    entrance = make()
    await entrance.open({})
    guest, token = entrance.redeem(entrance.offer("guest")["code"], "phone", "192.168.1.20")
    for reads in (True, False):
        await entrance.configure(Config(page=Page(port=0, mdns=False, guests_read=reads)))
        entered = entrance.devices.enter(token, time.time())
        assert entered is not None
        assert ("words" in entered.device.scopes) is reads
        assert ("words" in entrance.devices.get(guest.id).scopes) is reads


async def test_what_cannot_be_paired_uses_up_no_code(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    entrance = make()
    await entrance.open({})
    code = entrance.offer("owner")["code"]
    with pytest.raises(InputError, match="A name has"):
        entrance.redeem(code, " ", "192.168.1.20")
    with monkeypatch.context() as full:
        full.setattr(devices, "MOST_DEVICES", 0)
        with pytest.raises(InputError, match="are paired already"):
            entrance.redeem(code, "phone", "192.168.1.20")
    assert entrance.redeem(code, "phone", "192.168.1.20")[0].role == "owner"


async def test_phones_stay_paired_when_the_configuration_changes(make: Make) -> None:
    entrance = make()
    await entrance.open({})
    _, token = entrance.redeem(entrance.offer("owner")["code"], "phone", "192.168.1.20")
    await entrance.configure(Config(page=Page(port=0, mdns=False, name="kitchen")))
    assert entrance.devices.enter(token, time.time()) is not None
    assert entrance.offer("owner")["name"].startswith("https://kitchen.local:")
    assert len(entrance.devices.all()) == 1


async def test_two_changes_at_once_leave_the_page_open(make: Make, told: list[StageEvent]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    entrance = make(port=port)
    await entrance.open({})
    entrance._stack.push_async_callback(asyncio.sleep, 0)  # as a page that is to end
    names = ("kitchen", "hall")
    await asyncio.gather(*(entrance.configure(Config(page=Page(port=port, mdns=False, name=name))) for name in names))
    assert codes(told) == []
    assert entrance.offer("owner")["name"].startswith("https://hall.local:")


async def test_of_changes_that_a_page_asks_for_the_last_opens_it_anew(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ControlServer, "is_asking", True)
    entrance = make()
    await entrance.open({})
    for name in ("kitchen", "hall"):
        await entrance.configure(Config(page=Page(port=0, mdns=False, name=name)))
    first, last = sorted(entrance._tasks, key=lambda task: task is entrance._waiting)
    await entrance.close()
    await asyncio.wait({first, last})
    assert first.cancelled()
    assert last.cancelled()
    assert not entrance.is_open


async def test_a_page_that_asks_for_a_change_is_opened_anew(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ControlServer, "is_asking", True)
    monkeypatch.setattr("agentbox.daemon.entrance.ANSWERED_S", 0.0)
    entrance = make()
    await entrance.open({})
    await entrance.configure(Config(page=Page(port=0, mdns=False, name="hall")))
    await asyncio.gather(*entrance._tasks)
    assert entrance.offer("owner")["name"].startswith("https://hall.local:")
