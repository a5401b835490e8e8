"""Timers, alarms and reminders: seen, set and stopped. Changes go through the box's tools and their policy."""

from __future__ import annotations

import re

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from agentbox.errors import InputError
from agentbox.messages import JSON
from agentbox.page import forms
from agentbox.page.box import Asker, Device
from agentbox.page.render import Pages

DAYS = ("today", "tomorrow", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

_STOPPING = {"timer": "cancel_timer", "alarm": "cancel_alarm", "reminder": "cancel_reminder"}
_PAUSING = ("pause_timer", "resume_timer")


async def show(request: Request) -> Response:
    asker, device = await forms.asked_by(request)
    return await _page(request, asker, device)


async def add(request: Request) -> Response:
    asker, device, form = await forms.changed_by(request)
    tool, arguments = _new(form)
    return await _called(request, asker, device, tool, arguments)


async def change(request: Request) -> Response:
    """Stop one, or let a timer wait and go on."""
    asker, device, form = await forms.changed_by(request)
    tool = _STOPPING.get(form.get("kind", "")) if form.get("do") == "stop" else form.get("do")
    if tool not in (*_STOPPING.values(), *_PAUSING):
        raise _invalid()
    return await _called(request, asker, device, tool, {"id": number(form, "id", 2**31)})


async def _called(request: Request, asker: Asker, device: Device, tool: str, arguments: dict[str, JSON]) -> Response:
    result = await asker.call("tools.call", tool=tool, arguments=arguments)
    if result["ok"]:
        return RedirectResponse("/timers", 303)
    return await _page(request, asker, device, result)


async def _page(request: Request, asker: Asker, device: Device, failed: JSON = None) -> Response:
    pages: Pages = request.app.state.pages
    found = await asker.call("timers.list")
    status = 200 if failed is None else 400
    return pages.show(request, "timers.html", device=device, status=status, timers=found, failed=failed, days=DAYS)


def _new(form: dict[str, str]) -> tuple[str, dict[str, JSON]]:
    """The tool that a form means, and its arguments. Raises `InputError` `form_invalid`."""
    kind = form.get("kind")
    if kind == "timer":
        parts: dict[str, JSON] = {name: number(form, name, 100_000) for name in ("hours", "minutes", "seconds")}
        return "start_timer", {**parts, "name": form.get("name", "")[:100]}
    if kind == "alarm":
        return "set_alarm", {**_moment(form), "name": form.get("name", "")[:100]}
    if kind != "reminder":
        raise _invalid()
    message = form.get("message", "")[:200]
    in_minutes = number(form, "in_minutes", 44_640)
    moment: dict[str, JSON] = {"in_minutes": in_minutes} if in_minutes else _moment(form)
    return "set_reminder", {**moment, "message": message}


def _moment(form: dict[str, str]) -> dict[str, JSON]:
    """A clock's time and a day, as the tools take them: a browser's `07:30` is in the morning."""
    given, day = form.get("time", ""), form.get("day", "")
    arguments: dict[str, JSON] = {}
    if day:
        if day not in DAYS:
            raise _invalid()
        arguments["day"] = day
    if given:
        found = re.fullmatch(r"([01][0-9]|2[0-3]):([0-5][0-9])(?::[0-9.]+)?", given)
        if found is None:
            raise _invalid()
        hour = int(found[1])
        arguments |= {"hour": hour, "minute": int(found[2])}
        if 1 <= hour <= 12:
            arguments["period"] = "am" if hour < 12 else "pm"
    return arguments


def number(form: dict[str, str], name: str, most: int) -> int:
    """A whole number from 0 to `most`; none is 0. Raises `InputError` `form_invalid`."""
    given = form.get(name, "").strip()
    if not given:
        return 0
    if not re.fullmatch(r"[0-9]{1,10}", given) or int(given) > most:
        raise _invalid()
    return int(given)


def _invalid() -> InputError:
    return InputError("form_invalid", "That is no form of this page.", "Load the page anew.")


ROUTES = [
    Route("/timers", show),
    Route("/timers/add", add, methods=["POST"]),
    Route("/timers/change", change, methods=["POST"]),
]
