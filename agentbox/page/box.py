"""The page's way to the box: every question goes with the token of the device that asks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec
from starlette.requests import HTTPConnection

from agentbox.control.asking import AsyncClient
from agentbox.errors import AgentboxError, ControlError
from agentbox.messages import JSON, Caller
from agentbox.page.api_table import LINES
from agentbox.page.api_types import NewDevice, PairedDevice

COOKIE = "__Host-agentbox"
"""The prefix makes browsers take it only over TLS, from this host, for all of it (RFC 6265bis, section 4.1.3.2)."""

COOKIE_S = 400 * 86_400
"""As long as browsers keep one; the box itself forgets a device after half a year."""


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks."""

    id: str
    name: str
    role: str
    scopes: list[str]
    form_key: str
    fresh_token: str
    by_cookie: bool
    """A browser, whose changes must prove to come from a page of the box."""
    muted: bool = False
    """Not the device but the box: it hears nothing, which every page shows."""

    def may(self, scope: str) -> bool:
        return scope in self.scopes


class _Me(msgspec.Struct, frozen=True):
    device: PairedDevice
    form_key: str
    fresh_token: str
    muted: bool


class _PolicySet(msgspec.Struct, frozen=True):
    """Of one caller, as scripts ask for it, or of several, as the page does."""

    tool: str
    caller: Caller | None = None
    policy: str = ""
    policies: dict[Caller, str] = {}


_SHAPES: Mapping[str, Any] = {
    **{line.method: line.answer | None if line.may_be_null else line.answer for line in LINES},
    "tools.policy": _PolicySet,
    "devices.me": _Me,
    "pair.redeem": NewDevice,
}
"""What the pages rely on in an answer."""


QUICK_S = 30.0

SLOW_S = 300.0

_SLOW = frozenset(("config.set", "models.use"))
"""They may try and load another speech model, which takes minutes on a small box."""


class Asker:
    """One request's questions to the daemon. A program's token counts under `/api/` and nowhere else: what has no
    address there (a reset, a restore) is not for programs."""

    def __init__(self, client: AsyncClient, connection: HTTPConnection) -> None:
        self._client = client
        self._for_programs = connection.url.path.startswith("/api/")
        scheme, _, bearer = connection.headers.get("authorization", "").partition(" ")
        self._bearer = bearer.strip() if self._for_programs and scheme.lower() == "bearer" else ""
        token = self._bearer or connection.cookies.get(COOKIE, "")
        address = connection.client.host if connection.client is not None else ""
        self._who: dict[str, JSON] = {"token": token, "address": address}

    async def call(self, method: str, *, timeout_s: float | None = None, **params: JSON) -> Any:
        """The method's result. Raises what the daemon raised, and `ControlError` `bad_answer`."""
        limit_s = timeout_s or (SLOW_S if method in _SLOW else QUICK_S)
        result = await self._client.call(method, {**params, **self._who}, limit_s)
        try:
            msgspec.convert(result, _SHAPES.get(method, Any))
        except msgspec.ValidationError as error:
            raise ControlError("bad_answer", "The daemon's answer cannot be used.", "Restart the daemon.") from error
        return result

    def stream(self, method: str, **params: JSON) -> AsyncIterator[JSON]:
        return self._client.stream(method, {**params, **self._who})

    async def device(self) -> Device | None:
        """Who asks; null for nobody that is paired. Raises `ControlError` where the box does not answer."""
        if not self._who["token"]:
            return None
        try:
            found = await self.call("devices.me")
        except AgentboxError as error:
            if error.code == "not_paired":
                return None
            raise
        if found["device"]["role"] == "script" and not self._for_programs:
            return None
        return Device(
            **{name: found["device"][name] for name in ("id", "name", "role", "scopes")},
            form_key=found["form_key"],
            fresh_token=found["fresh_token"],
            by_cookie=not self._bearer,
            muted=found["muted"],
        )
