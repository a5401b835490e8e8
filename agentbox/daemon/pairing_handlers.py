"""What commands can ask about paired devices, and what a device may ask before it is one."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

import msgspec

from agentbox.control.server import Handler
from agentbox.daemon.core import Core
from agentbox.daemon.entrance import Entrance
from agentbox.daemon.mute import Mute
from agentbox.daemon.params import Params, want
from agentbox.errors import AgentboxError, ControlError, InputError
from agentbox.messages import JSON, Audit, Role, Scope
from agentbox.pairing.devices import Device, Devices

MOST_FAILURES = 30
FAILURES_S = 600.0
"""So many failed pairings, from all addresses, are written down in so long: whoever is not paired fills no journal."""

_HIDDEN = ("token_hash", "fresh_hash", "earlier_hash", "form_key")


class PairingHandlers:
    """`table()` is for the control socket; `open_table()` is what the page may ask without a device's token.
    `entrance` and `mute` are null where no daemon runs."""

    def __init__(
        self, core: Core, devices: Devices, entrance: Entrance | None = None, mute: Mute | None = None
    ) -> None:
        self._core = core
        self._devices = devices
        self._entrance = entrance
        self._mute = mute
        self._failures: deque[float] = deque(maxlen=MOST_FAILURES)

    def table(self) -> dict[str, Handler]:
        return {
            "pair.start": self.pair_start,
            "devices.list": self.devices_list,
            "devices.add": self.devices_add,
            "devices.rename": self.devices_rename,
            "devices.revoke": self.devices_revoke,
            "audit.list": self.audit_list,
        }

    def open_table(self) -> dict[str, Handler]:
        return {"pair.redeem": self.pair_redeem, "devices.me": self.devices_me}

    async def pair_start(self, params: Params) -> JSON:
        """`{"role"}` -> where and with which codes one more device can come in."""
        return await self._open_entrance().invite(_role(params))

    async def pair_redeem(self, params: Params) -> JSON:
        """`{"code", "name", "address"}` -> a device and its token."""
        address = want(params, "address", str)
        try:
            code, name = want(params, "code", str), want(params, "name", str)
            device, token = self._open_entrance().redeem(code, name, address)
        except AgentboxError as error:
            if error.code != "pairing_locked" and self._is_told(time.monotonic()):
                self._audit(error.code, Audit(action="pair.redeem", address=address))
            raise
        told = Audit(action="pair.redeem", device_id=device.id, device_name=device.name, address=address)
        self._audit("ok", told)
        return {"device": public(device), "token": token}

    async def devices_me(self, params: Params) -> JSON:
        """`{"token", "address"}` -> the device, the key of its forms, a fresh token where one is due, and whether the
        box is muted: every page shows that."""
        found = self._devices.enter(want(params, "token", str), time.time(), want(params, "address", str), rotates=True)
        if found is None:
            raise InputError("not_paired", "This device is not paired with the box.", "agentbox pair shows a code.")
        return {
            "device": public(found.device),
            "form_key": found.device.form_key,
            "fresh_token": found.fresh_token,
            "muted": self._mute is not None and self._mute.muted,
        }

    async def devices_list(self, _: Params) -> JSON:
        return [public(device) for device in self._devices.all()]

    async def devices_add(self, params: Params) -> JSON:
        """`{"name", "scopes"}` -> a program's token, shown this once."""
        try:
            scopes = msgspec.convert(params.get("scopes"), tuple[Scope, ...])
        except msgspec.ValidationError as error:
            raise InputError("bad_parameter", "scopes must be a list of scopes.", "See docs/page.md.") from error
        name = want(params, "name", str)
        device, token = self._devices.add(name, "script", time.time(), scopes=scopes)
        return {"device": public(device), "token": token}

    async def devices_rename(self, params: Params) -> JSON:
        """`{"id", "name"}` -> the device."""
        return public(self._devices.rename(want(params, "id", str), want(params, "name", str)))

    async def devices_revoke(self, params: Params) -> JSON:
        """`{"id"}` -> the device that was; what it has open ends now."""
        return public(self._devices.revoke(want(params, "id", str)))

    async def audit_list(self, params: Params) -> JSON:
        """`{"limit"}` -> what paired devices changed, newest first."""
        return await self._core.read_journal(lambda: self._core.journal.audit(want(params, "limit", int)))

    def _open_entrance(self) -> Entrance:
        if self._entrance is None:
            raise ControlError("not_running", "No agentbox daemon is running.", "Start one: agentbox run")
        return self._entrance

    def _is_told(self, now_s: float) -> bool:
        """Whether one more failure is written down."""
        if len(self._failures) == MOST_FAILURES and now_s - self._failures[0] < FAILURES_S:
            return False
        self._failures.append(now_s)
        return True

    def _audit(self, outcome: str, audit: Audit) -> None:
        self._core.events.emit("audit", outcome, message=audit)


def public(device: Device) -> dict[str, Any]:
    """A device without what it is known by."""
    return {name: value for name, value in msgspec.to_builtins(device).items() if name not in _HIDDEN}


def _role(params: Params) -> Role:
    role = params.get("role", "owner")
    if role not in ("owner", "guest"):
        raise InputError("bad_parameter", "role must be owner or guest.", "See docs/control.md.")
    return role  # type: ignore[no-any-return]
