"""Mute and unmute, from any page."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from agentbox.errors import InputError
from agentbox.page import forms


async def mute(request: Request) -> Response:
    """For good, or for the minutes that were chosen."""
    asker, _, form = await forms.changed_by(request)
    minutes = form.get("minutes", "")
    if not minutes:
        await asker.call("mute")
    elif minutes.isascii() and minutes.isdecimal() and len(minutes) <= 5:
        await asker.call("mute", minutes=int(minutes))
    else:
        raise InputError("form_invalid", "The minutes must be a whole number.", "Load the page anew.")
    return RedirectResponse("/", 303)


async def unmute(request: Request) -> Response:
    asker, _, _ = await forms.changed_by(request)
    await asker.call("unmute")
    return RedirectResponse("/", 303)


ROUTES = [Route("/mute", mute, methods=["POST"]), Route("/unmute", unmute, methods=["POST"])]
