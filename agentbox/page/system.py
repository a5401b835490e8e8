"""The box itself: what it is and has, whether all is well, its log, and beginning anew."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agentbox.page import forms
from agentbox.page.render import Pages

LOG_LINES = 500


async def show(request: Request) -> Response:
    """With `?checks=1` the checks are made first, which takes seconds."""
    asker, device = await forms.asked_by(request)
    pages: Pages = request.app.state.pages
    box = await asker.call("system.show")
    log = await asker.call("log.list", limit=LOG_LINES)
    checks = await asker.call("doctor") if request.query_params.get("checks") else None
    return pages.show(request, "system.html", device=device, box=box, log=log, checks=checks)


async def restart(request: Request) -> Response:
    asker, device, _ = await forms.changed_by(request)
    await asker.call("restart")
    pages: Pages = request.app.state.pages
    return pages.show(request, "restarting.html", device=device, done="")


ROUTES = [Route("/system", show), Route("/system/restart", restart, methods=["POST"])]
