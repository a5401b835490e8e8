"""What a paired device may ask of the daemon. The page's own socket offers this table and nothing else.

It fails closed: a method that stands in no line of `NEEDS` cannot be reached from the network, and none of them
without a valid token. A page that somebody broke into has no more rights here than the devices whose tokens it sees.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import re
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, cast

from agentbox.control.server import Handler
from agentbox.daemon.events import Events
from agentbox.errors import AgentboxError, ControlError, InputError
from agentbox.messages import JSON, Audit, Scope
from agentbox.pairing.devices import Device, Devices

NEEDS: Mapping[str, Scope] = {
    "status": "state",
    "ask": "talk",
    "listen": "settings",
    "events": "state",
    "reload": "settings",
    "setup.choices": "settings",
    "setup.finish": "settings",
    "sound.devices": "settings",
    "sound.test": "settings",
    "config.get": "settings",
    "config.set": "settings",
    "models.list": "settings",
    "models.recommend": "settings",
    "models.use": "settings",
    "mute": "settings",
    "unmute": "settings",
    "tools.list": "state",
    "tools.call": "settings",
    "timers.list": "words",
    "lists.list": "words",
    "tools.policy": "settings",
    "tools.last": "words",
    "understand": "talk",
    "sentences.files": "settings",
    "sentences.read": "settings",
    "sentences.check": "settings",
    "sentences.save": "settings",
    "backends.list": "state",
    "backends.test": "settings",
    "egress.list": "words",
    "egress.days": "words",
    "egress.budget": "words",
    "transcripts.list": "words",
    "transcripts.kept": "words",
    "transcripts.search": "words",
    "transcripts.show": "words",
    "transcripts.export": "words",
    "transcripts.delete": "settings",
    "transcripts.upkeep": "settings",
    "secrets.list": "admin",
    "secrets.set": "admin",
    "secrets.delete": "admin",
    "devices.list": "admin",
    "devices.add": "admin",
    "devices.rename": "admin",
    "devices.revoke": "admin",
    "audit.list": "admin",
    "system.show": "settings",
    "doctor": "settings",
    "log.list": "admin",
    "restart": "admin",
    "backup.create": "admin",
    "restore.put": "admin",
    "restore.stage": "admin",
    "factory.reset": "admin",
}
"""Method -> what a device must be allowed to. `pair.start` is missing on purpose: the network cannot ask for it."""

CHANGES = frozenset(
    (
        "ask",
        "listen",
        "reload",
        "setup.finish",
        "sound.test",
        "config.set",
        "models.use",
        "mute",
        "unmute",
        "tools.call",
        "tools.policy",
        "sentences.save",
        "backends.test",
        "transcripts.delete",
        "transcripts.upkeep",
        "transcripts.export",
        "secrets.set",
        "secrets.delete",
        "devices.add",
        "devices.rename",
        "devices.revoke",
        "restart",
        "backup.create",
        "restore.stage",
        "factory.reset",
    )
)
"""Those of which a row of `audit` tells: what changes something, or carries everything away."""

_TARGETS = ("id", "tool", "name", "file", "key")
"""The parameters that say what a change was done to. None of them is a value or words."""


MOST_STREAMS = 6
"""That one device may have open at once: the box has 32 places for all, and one guest must not take the owner's."""


def guarded(table: Mapping[str, Handler], devices: Devices, events: Events) -> dict[str, Handler]:
    """The methods of `table` that devices may reach. Each wants two more parameters: `token`, and `address`, which is
    where the device is.

    Raises, when called, `InputError` `not_paired` without a valid token, `not_permitted` for what the device may not;
    `ControlError` `too_busy` where it has too much open.
    """
    opened = Counter[str]()
    return {method: _guarded(method, table[method], scope, devices, events, opened) for method, scope in NEEDS.items()}


def _guarded(
    method: str, handler: Handler, scope: Scope, devices: Devices, events: Events, opened: Counter[str]
) -> Handler:
    """`opened`: how many streams each device has open, by its id."""

    def admit(params: dict[str, JSON]) -> tuple[Device, dict[str, JSON], Audit]:
        return _admitted(method, params, scope, devices, events)

    async def call(params: dict[str, JSON]) -> JSON:
        _, rest, audit = admit(params)
        outcome = "failed"
        try:
            result = await cast(Callable[[dict[str, JSON]], Awaitable[JSON]], handler)(rest)
            outcome = "ok"
        except AgentboxError as error:
            outcome = error.code
            raise
        finally:
            if method in CHANGES:
                events.emit("audit", outcome, message=audit)
        return result

    async def stream(params: dict[str, JSON]) -> AsyncIterator[JSON]:
        device, rest, audit = admit(params)
        if opened[device.id] >= MOST_STREAMS:
            raise ControlError("too_busy", "This device has too much open at once.", "Close one of its pages.")
        opened[device.id] += 1
        items = cast(Callable[[dict[str, JSON]], AsyncIterator[JSON]], handler)(rest)
        outcome, begun = "failed", False
        try:
            async with contextlib.aclosing(_until_revoked(items, device, devices)) as until_revoked:
                async for item in until_revoked:
                    begun = True
                    shown = "words" in devices.scopes(device) or method not in ("events", "listen")
                    yield item if shown else _without_words(item)
            outcome = "ok"
        except AgentboxError as error:
            outcome = error.code
            raise
        except (GeneratorExit, asyncio.CancelledError):
            outcome = "ok" if begun else "failed"  # whoever hangs up amidst it has had some of it
            raise
        finally:
            opened[device.id] -= 1
            if method in CHANGES:
                events.emit("audit", outcome, message=audit)

    return stream if inspect.isasyncgenfunction(handler) else call


def _admitted(
    method: str, params: dict[str, JSON], scope: Scope, devices: Devices, events: Events
) -> tuple[Device, dict[str, JSON], Audit]:
    """Who asks, with what, and the row that tells of it. Raises `InputError` `not_paired`, `not_permitted`."""
    rest = {name: value for name, value in params.items() if name not in ("token", "address", "guest")}
    address = str(params.get("address", ""))
    entered = devices.enter(str(params.get("token", "")), time.time(), address)
    target = _target(method, rest)
    if entered is None:
        raise InputError("not_paired", "This device is not paired with the box.", "agentbox pair shows a code.")
    device = entered.device
    audit = Audit(action=method, target=target, device_id=device.id, device_name=device.name, address=address)
    if scope not in device.scopes:
        events.emit("audit", "not_permitted", message=audit)
        raise InputError("not_permitted", "This device may not do that.", "An owner's phone may.")
    if method == "ask" and "settings" not in device.scopes:
        rest["guest"] = device.id
    return device, rest, audit


def _target(method: str, params: dict[str, JSON]) -> str:
    """What is changed, by its name; of several settings at once their keys, and never their values."""
    if isinstance(several := params.get("values"), dict):
        return ", ".join(sorted(map(str, several)))
    target = next((str(params[name]) for name in _TARGETS if name in params), "")
    # A key that was pasted into the wrong field is not written down.
    return "" if method.startswith("secrets.") and not re.fullmatch(r"[a-z][a-z0-9_]{0,63}", target) else target


async def _until_revoked(items: AsyncIterator[JSON], device: Device, devices: Devices) -> AsyncGenerator[JSON]:
    """What is open ends with its device."""
    revoked = asyncio.Event()
    forget = devices.on_revoked(device.id, revoked.set)
    waiting = asyncio.create_task(revoked.wait(), name="revoked")
    try:
        async with contextlib.aclosing(cast(Any, items)):
            while True:
                coming = asyncio.ensure_future(anext(items))
                try:
                    await asyncio.wait({coming, waiting}, return_when=asyncio.FIRST_COMPLETED)
                    if not coming.done():
                        raise InputError("not_paired", "This device was revoked.", "agentbox pair shows a code.")
                finally:  # also where the client is gone: what runs cannot be closed
                    if not coming.done():
                        coming.cancel()
                        await asyncio.wait({coming})
                try:
                    yield coming.result()
                except StopAsyncIteration:
                    return
    finally:
        forget()
        waiting.cancel()


def _without_words(item: JSON) -> JSON:
    return {**item, "message": None}
