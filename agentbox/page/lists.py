"""Lists: seen, added to, checked off. What is changed goes through the box's tools and their policy."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from agentbox.errors import InputError
from agentbox.messages import JSON
from agentbox.page import forms
from agentbox.page.box import Asker, Device
from agentbox.page.render import Pages

_TOOLS = {"add": "add_item", "again": "add_item", "check": "complete_item", "remove": "remove_item"}
"""An item that was checked off is to be had again by adding it."""


async def show(request: Request) -> Response:
    asker, device = await forms.asked_by(request)
    return await _page(request, asker, device)


async def change(request: Request) -> Response:
    asker, device, form = await forms.changed_by(request)
    tool = _TOOLS.get(form.get("do", ""))
    if tool is None:
        raise InputError("form_invalid", "That is no form of this page.", "Load the page anew.")
    arguments: dict[str, JSON] = {"item": form.get("item", "").strip(), "name": form.get("list", "").strip()}
    result = await asker.call("tools.call", tool=tool, arguments=arguments)
    if result["ok"]:
        return RedirectResponse("/lists", 303)
    return await _page(request, asker, device, result)


async def _page(request: Request, asker: Asker, device: Device, failed: JSON = None) -> Response:
    pages: Pages = request.app.state.pages
    found = await asker.call("lists.list")
    status = 200 if failed is None else 400
    return pages.show(request, "lists.html", device=device, status=status, lists=found, failed=failed)


ROUTES = [Route("/lists", show), Route("/lists/change", change, methods=["POST"])]
