"""Paired devices: seen, renamed, revoked; and tokens for programs."""

from __future__ import annotations

from typing import get_args

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from agentbox.messages import JSON, Scope
from agentbox.page import forms
from agentbox.page.box import Asker, Device
from agentbox.page.render import Pages

SCOPES = get_args(Scope)


async def show(request: Request) -> Response:
    asker, device = await forms.asked_by(request)
    return await _page(request, asker, device)


async def add(request: Request) -> Response:
    """A name and scopes -> a program's token, on this one page and never again."""
    asker, device, form = await forms.changed_by(request)
    scopes: list[JSON] = [scope for scope in SCOPES if f"scope-{scope}" in form]
    made = await asker.call("devices.add", name=form.get("name", ""), scopes=scopes)
    return await _page(request, asker, device, made)


async def _page(request: Request, asker: Asker, device: Device, made: JSON = None) -> Response:
    pages: Pages = request.app.state.pages
    found = await asker.call("devices.list")
    audit = await asker.call("audit.list", limit=50)
    return pages.show(request, "devices.html", device=device, devices=found, audit=audit, scopes=SCOPES, made=made)


async def rename(request: Request) -> Response:
    asker, _, form = await forms.changed_by(request)
    await asker.call("devices.rename", id=form.get("id", ""), name=form.get("name", ""))
    return RedirectResponse("/devices", 303)


async def revoke(request: Request) -> Response:
    """Out it goes, what it has open included; this phone too, if it is the one."""
    asker, device, form = await forms.changed_by(request)
    gone = await asker.call("devices.revoke", id=form.get("id", ""))
    return RedirectResponse("/pair" if gone["id"] == device.id else "/devices", 303)


ROUTES = [
    Route("/devices", show),
    Route("/devices/add", add, methods=["POST"]),
    Route("/devices/rename", rename, methods=["POST"]),
    Route("/devices/revoke", revoke, methods=["POST"]),
]
