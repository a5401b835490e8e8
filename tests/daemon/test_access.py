"""What paired devices may ask, and what nobody may ask from the network."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from agentbox.control.server import Handler
from agentbox.daemon.access import CHANGES, MOST_STREAMS, NEEDS, guarded
from agentbox.daemon.events import Events
from agentbox.daemon.methods import methods
from agentbox.daemon.pairing_handlers import PairingHandlers
from agentbox.errors import ConfigError, ControlError, InputError
from agentbox.messages import JSON, Audit, Role, StageEvent
from agentbox.pairing.devices import Device, Devices
from tests.pairing.test_devices import Kept

ONLY_HERE = {"pair.start"}
"""Not to be asked from the network: whoever is at the box lets phones in."""

UNPAIRED = {"pair.redeem", "devices.me"}


class House:
    """Devices and a table of methods that note what they were asked."""

    def __init__(self) -> None:
        self.events = Events()
        self.told: list[StageEvent] = []
        self.events.subscribe(self.told.append)
        self.devices = Devices(Kept())
        self.asked: list[tuple[str, dict[str, JSON]]] = []
        self.closed: list[str] = []
        self.raises: Exception | None = None

    def table(self) -> dict[str, Handler]:
        async def stream(params: dict[str, JSON]) -> AsyncIterator[JSON]:
            self.asked.append(("stream", params))
            try:
                yield {"stage": "reply", "message": {"text": "pomegranates"}}
                await asyncio.Event().wait()
            finally:
                self.closed.append("stream")

        def method(name: str) -> Handler:
            async def answer(params: dict[str, JSON]) -> JSON:
                self.asked.append((name, params))
                if self.raises is not None:
                    raise self.raises
                return name

            return answer

        streams = ("events", "listen", "transcripts.export")
        table: dict[str, Handler] = {name: stream if name in streams else method(name) for name in NEEDS}
        return guarded(table, self.devices, self.events)

    def paired(self, role: Role = "owner") -> tuple[Device, str]:
        return self.devices.add("phone", role, 1_800_000_000.0)

    def audit(self) -> list[tuple[str, str, str]]:
        rows = [(one.state, one.message) for one in self.told if isinstance(one.message, Audit)]
        return [(state, audit.action, audit.target) for state, audit in rows]


async def ask(handler: Handler, params: dict[str, JSON]) -> JSON:
    answer = cast(Any, handler)(params)
    if isinstance(answer, AsyncIterator):
        return await anext(answer)
    return await answer


def test_every_method_is_for_devices_or_on_purpose_not() -> None:
    core = cast(Any, None)
    assert set(methods(core, core)) == set(NEEDS) | ONLY_HERE
    assert set(PairingHandlers(core, core).open_table()) == UNPAIRED
    assert set(NEEDS) >= CHANGES


@pytest.mark.parametrize("method", sorted(NEEDS))
@pytest.mark.parametrize("token", ["", "guess", None])
async def test_nothing_is_answered_without_a_valid_token(method: str, token: str | None) -> None:
    house = House()
    house.paired()
    with pytest.raises(InputError) as caught:
        await ask(house.table()[method], {} if token is None else {"token": token})
    assert caught.value.code == "not_paired"
    assert not house.asked


@pytest.mark.parametrize("method", sorted(NEEDS))
async def test_a_device_may_do_what_its_scopes_say(method: str) -> None:
    for role in ("owner", "guest", "script"):
        house = House()
        device, token = house.paired(role)
        if NEEDS[method] in device.scopes:
            await ask(house.table()[method], {"token": token, "address": "10.0.0.2", "id": "x", "guest": ""})
            # Whose turn it is the box says, and nobody else.
            whose = {"guest": device.id} if method == "ask" and role != "owner" else {}
            assert [params for _, params in house.asked] == [{"id": "x", **whose}]
        else:
            with pytest.raises(InputError) as caught:
                await ask(house.table()[method], {"token": token})
            assert caught.value.code == "not_permitted"
            assert not house.asked
            assert house.audit() == [("not_permitted", method, "")]


async def test_a_change_leaves_a_row_that_says_how_it_went() -> None:
    house = House()
    _, token = house.paired()
    await ask(house.table()["devices.revoke"], {"token": token, "id": "d7"})
    house.raises = ConfigError("config_invalid", "no")
    with pytest.raises(ConfigError):
        await ask(house.table()["reload"], {"token": token})
    assert house.audit() == [("ok", "devices.revoke", "d7"), ("config_invalid", "reload", "")]
    assert token not in repr(house.told)


@pytest.mark.parametrize(
    ("raises", "outcome"),
    [(None, "ok"), (ConfigError("config_invalid", "no"), "config_invalid"), (ValueError("no"), "failed")],
)
@pytest.mark.parametrize("items", [0, 2])
async def test_the_row_of_a_stream_says_how_it_went(raises: Exception | None, outcome: str, items: int) -> None:
    house = House()
    _, token = house.paired()

    async def stream(_: dict[str, JSON]) -> AsyncIterator[JSON]:
        for number in range(items):
            yield number
        if raises is not None:
            raise raises

    table = dict.fromkeys(NEEDS, stream)
    export = cast(Any, guarded(table, house.devices, house.events)["transcripts.export"])({"token": token})
    with contextlib.nullcontext() if raises is None else pytest.raises(type(raises)):
        async for _ in export:
            assert house.audit() == []
    assert house.audit() == [(outcome, "transcripts.export", "")]


async def test_the_row_of_a_stream_tells_of_whoever_hangs_up_amidst_it_and_is_sent_away() -> None:
    house = House()
    device, token = house.paired()
    export = cast(Any, house.table()["transcripts.export"])({"token": token})
    await anext(export)
    await export.aclose()
    assert house.audit() == [("ok", "transcripts.export", "")]
    export = cast(Any, house.table()["transcripts.export"])({"token": token})
    await anext(export)
    house.devices.revoke(device.id)
    with pytest.raises(InputError):
        await asyncio.wait_for(anext(export), 5)
    assert house.audit()[1:] == [("not_paired", "transcripts.export", "")]


async def test_several_settings_leave_their_names_and_no_values() -> None:
    house = House()
    _, token = house.paired()
    await ask(house.table()["config.set"], {"token": token, "values": {"speech.pace": 1.5, "persona.name": "Ann"}})
    await ask(house.table()["config.set"], {"token": token, "key": "persona.name", "value": "Ann"})
    assert house.audit() == [("ok", "config.set", "persona.name, speech.pace"), ("ok", "config.set", "persona.name")]


async def test_a_key_that_was_pasted_as_a_name_is_not_written_down() -> None:
    house = House()
    _, token = house.paired()
    await ask(house.table()["secrets.set"], {"token": token, "name": "sk-Abc123", "value": "x"})
    await ask(house.table()["secrets.set"], {"token": token, "name": "openai", "value": "sk-Abc123"})
    assert house.audit() == [("ok", "secrets.set", ""), ("ok", "secrets.set", "openai")]
    assert "sk-" not in repr(house.told)


async def test_a_stream_ends_when_its_device_is_revoked() -> None:
    house = House()
    device, token = house.paired()
    stream = cast(Any, house.table()["events"])({"token": token})
    await anext(stream)
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    house.devices.revoke(device.id)
    with pytest.raises(InputError) as caught:
        await asyncio.wait_for(waiting, 5)
    assert caught.value.code == "not_paired"


async def test_a_stream_that_waits_ends_with_its_client() -> None:
    house = House()
    _, token = house.paired()
    stream = cast(Any, house.table()["events"])({"token": token})
    await anext(stream)
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert house.closed == ["stream"]


async def test_a_guest_sees_that_something_happens_and_no_words() -> None:
    house = House()
    _, token = house.paired("guest")
    stream = cast(Any, house.table()["events"])({"token": token})
    assert await anext(stream) == {"stage": "reply", "message": None}
    await stream.aclose()


async def test_one_device_takes_no_more_than_its_share_of_the_boxs_attention() -> None:
    house = House()
    table = house.table()
    (_, guest), (_, owner) = house.paired("guest"), house.paired()

    def watch(token: str) -> Any:
        return cast(Any, table["events"])({"token": token})

    held = [watch(guest) for _ in range(MOST_STREAMS)]
    for one in held:
        await anext(one)
    with pytest.raises(ControlError, match="too much open") as refused:
        await anext(watch(guest))
    assert refused.value.code == "too_busy"
    await anext(watch(owner))
    await held[0].aclose()
    await anext(watch(guest))
