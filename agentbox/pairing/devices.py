"""Paired devices: who they are, what they may do, and the tokens by which they are known.

A token is 256 random bits; only its SHA-256 is kept (nothing that random needs a slow hash). A token that is a week old
is replaced while its device is at work. The old one counts until the new one has been seen, since an answer may get
lost, and a minute more, for requests that are on their way.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterable
from typing import Protocol

import msgspec

from agentbox.errors import InputError
from agentbox.messages import Role, Scope, new_id

TOKEN_BYTES = 32
ROTATE_S = 7 * 86_400.0
GRACE_S = 60.0
OFFER_AGAIN_S = 3600.0
"""A fresh token that was never used is given up then, and another one offered."""

IDLE_S = 180 * 86_400.0
"""A phone that was not seen for half a year pairs anew."""

SEEN_EVERY_S = 3600.0
"""How exactly `seen_at` is kept: not each request is worth a row."""

MOST_DEVICES = 64
MOST_NAME = 60

SCOPES: dict[Role, tuple[Scope, ...]] = {
    "owner": ("state", "talk", "words", "settings", "admin"),
    "guest": ("state", "talk"),
    "script": ("state",),
}
"""What each role may do where nothing else is said."""


class Device(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One paired device, as it is kept."""

    id: str
    name: str
    role: Role
    scopes: tuple[Scope, ...]
    token_hash: str
    """SHA-256 of the token, in hex."""
    fresh_hash: str = ""
    """Of one that was offered at `offered_at` and has not been used yet."""
    earlier_hash: str = ""
    """Of the token before, until `rotated_at` + `GRACE_S`."""
    form_key: str
    """What the page's forms prove to come from the page (CSRF). No way in by itself."""
    paired_at: float
    seen_at: float
    rotated_at: float
    offered_at: float = 0.0
    address: str = ""
    """From where it was seen last."""


class Entered(msgspec.Struct, frozen=True, kw_only=True):
    """A device that showed its token; `fresh_token` replaces it where it was due."""

    device: Device
    fresh_token: str = ""


class DeviceStore(Protocol):
    """Where devices are kept. Every method raises `StorageError` and then changed nothing."""

    def all(self) -> Iterable[Device]: ...
    def put(self, device: Device) -> None: ...
    def delete(self, device_id: str) -> None: ...


class ClockWatch(Protocol):
    """What is known of the wall clock."""

    def put_forward_s(self, now: float) -> float:
        """By how much it was corrected since this was asked last; 0 where it ran evenly, or was put back."""
        ...

    def believes(self, seen_at: float) -> bool:
        """Whether it shows the right time now, and did then."""
        ...


class Devices:
    """`now` arguments are seconds since 1970, of a clock that may jump: nothing is deleted because of its age, and
    with a `watch` nobody is idle by a clock that is not believed."""

    def __init__(self, store: DeviceStore, watch: ClockWatch | None = None) -> None:
        self._store = store
        self._watch = watch
        self._seen: set[str] = set()
        """Who was seen by this process, and so by the clock as it is."""
        self._devices = {device.id: device for device in store.all()}
        self._leaving: dict[str, set[Callable[[], None]]] = {}
        self.guests_read = False
        """Whether guests may read what was said: the configuration in force, not the one under which they paired."""

    def all(self) -> list[Device]:
        """In the order in which they were paired."""
        return sorted(map(self._as_now, self._devices.values()), key=lambda device: (device.paired_at, device.id))

    def scopes(self, device: Device) -> tuple[Scope, ...]:
        """What it may do now."""
        if device.role != "guest":
            return device.scopes
        return (*SCOPES["guest"], "words") if self.guests_read else SCOPES["guest"]

    def add(
        self, name: str, role: Role, now: float, *, scopes: tuple[Scope, ...] | None = None, address: str = ""
    ) -> tuple[Device, str]:
        """A new device and its token, which is shown nowhere again.

        Raises `InputError` `device_name_invalid`, `devices_full`; `StorageError`.
        """
        self.check_new(name)
        self._follow(now)
        token = secrets.token_urlsafe(TOKEN_BYTES)
        device = Device(
            id=new_id(),
            name=named(name),
            role=role,
            scopes=SCOPES[role] if scopes is None else scopes,
            token_hash=_hash(token),
            form_key=secrets.token_urlsafe(16),
            paired_at=now,
            seen_at=now,
            rotated_at=now,
            address=address,
        )
        self._put(device)
        self._seen.add(device.id)
        return self._as_now(device), token

    def check_new(self, name: str) -> None:
        """Whether there is room for one more, of this name. Raises `InputError` `device_name_invalid`,
        `devices_full`."""
        if len(self._devices) >= MOST_DEVICES:
            raise InputError("devices_full", f"{MOST_DEVICES} devices are paired already.", "Revoke one first.")
        named(name)

    def enter(self, token: str, now: float, address: str = "", *, rotates: bool = False) -> Entered | None:
        """Whose token that is; null for nobody's. `rotates`: the device can take a fresh one with this answer."""
        self._follow(now)
        given = _hash(token)
        # Found by what a hash is equal to: how long that takes tells about hashes, and nothing about tokens.
        found = (one for one in self._devices.values() if given in (one.token_hash, one.fresh_hash, one.earlier_hash))
        known = next(found, None)
        if known is None or self._is_idle(known, now):
            return None
        device = known
        if given == device.fresh_hash:
            device = msgspec.structs.replace(
                device, token_hash=given, fresh_hash="", earlier_hash=device.token_hash, rotated_at=now
            )
        elif given != device.token_hash and not 0 <= now - device.rotated_at <= GRACE_S:
            return None
        fresh = ""
        if rotates and given == device.token_hash and _is_due(device, now):
            fresh = secrets.token_urlsafe(TOKEN_BYTES)
            device = msgspec.structs.replace(device, fresh_hash=_hash(fresh), offered_at=now)
        if now - device.seen_at > SEEN_EVERY_S or (address and address != device.address):
            # Never earlier than it was: a box that starts in 1970 must not find all phones half a century old later.
            seen_at = max(now, device.seen_at)
            device = msgspec.structs.replace(device, seen_at=seen_at, address=address or device.address)
        if device is not known:
            self._put(device)
        self._seen.add(device.id)
        return Entered(device=self._as_now(device), fresh_token=fresh)

    def get(self, device_id: str) -> Device:
        """The one with this id, or whose id begins so. Raises `InputError` `paired_device_missing`."""
        found = [one for one in self._devices.values() if one.id.startswith(device_id)] if device_id else []
        if len(found) != 1:
            raise InputError(
                "paired_device_missing", "There is no such device.", "agentbox devices-paired list shows them."
            )
        return self._as_now(found[0])

    def rename(self, device_id: str, name: str) -> Device:
        """Raises as `get` and `add` do."""
        device = msgspec.structs.replace(self.get(device_id), name=named(name))
        self._put(device)
        return device

    def revoke(self, device_id: str) -> Device:
        """It is let in no more, and what it has open ends now. Raises as `get`; `StorageError`."""
        device = self.get(device_id)
        self._store.delete(device.id)
        del self._devices[device.id]
        self._seen.discard(device.id)
        for leave in tuple(self._leaving.pop(device.id, ())):
            leave()
        return device

    def on_revoked(self, device_id: str, leave: Callable[[], None]) -> Callable[[], None]:
        """`leave` is called when the device is revoked; what is given back takes that back."""
        waiting = self._leaving.setdefault(device_id, set())
        waiting.add(leave)

        def forget() -> None:
            waiting.discard(leave)
            if not waiting and self._leaving.get(device_id) is waiting:
                del self._leaving[device_id]

        return forget

    def _is_idle(self, device: Device, now: float) -> bool:
        return now - device.seen_at > IDLE_S and (self._watch is None or self._watch.believes(device.seen_at))

    def _follow(self, now: float) -> None:
        """Where the clock was behind until now, who was seen by it was seen as much later."""
        later_s = 0.0 if self._watch is None else self._watch.put_forward_s(now)
        for device_id in self._seen if later_s else ():
            device = self._devices[device_id]
            self._put(msgspec.structs.replace(device, seen_at=device.seen_at + later_s))

    def _as_now(self, device: Device) -> Device:
        return msgspec.structs.replace(device, scopes=self.scopes(device))

    def _put(self, device: Device) -> None:
        self._store.put(device)
        self._devices[device.id] = device


def named(name: str) -> str:
    """A name as it is kept: one line without letters that cannot be seen. Raises `InputError` `device_name_invalid`."""
    plain = " ".join("".join(letter if letter.isprintable() else " " for letter in name).split())
    if not plain or len(plain) > MOST_NAME:
        raise InputError("device_name_invalid", f"A name has 1 to {MOST_NAME} letters.", "Choose another one.")
    return plain


def _is_due(device: Device, now: float) -> bool:
    if device.role == "script" or 0 <= now - device.rotated_at <= ROTATE_S:
        return False
    return not device.fresh_hash or not 0 <= now - device.offered_at <= OFFER_AGAIN_S


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()
