"""Forms: read within limits, and proven to come from a page of the box."""

from __future__ import annotations

import asyncio
import hmac
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from agentbox.errors import AgentboxError, InputError
from agentbox.page.box import Asker, Device

READ_S = 10.0
MOST_FIELDS = 100
FORM_KEY = "form_key"


async def read(request: Request) -> dict[str, str]:
    """The fields of a form; of two with one name the last. Raises `InputError` `form_invalid`."""
    body = await body_of(request)
    try:
        pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict")
    except ValueError as error:
        raise InputError("form_invalid", "That is no form of this page.", "Load the page anew.") from error
    return dict(pairs)


async def body_of(request: Request) -> bytes:
    """The whole body, if it comes soon. Raises `HTTPException` 408; 413 by the guard."""
    try:
        async with asyncio.timeout(READ_S):
            return await request.body()
    except (ClientDisconnect, TimeoutError) as error:
        raise HTTPException(408, "The request did not come to its end.", headers={"Connection": "close"}) from error


async def asked_by(request: Request) -> tuple[Asker, Device]:
    """Who asks. Raises `InputError` `not_paired`."""
    asker = Asker(request.app.state.client, request)
    device = await asker.device()
    if device is None:
        raise not_paired()
    return asker, device


async def changed_by(request: Request) -> tuple[Asker, Device, dict[str, str]]:
    """Who wants to change something, and the form. Raises `InputError` `not_paired`, `form_stale`, `form_invalid`."""
    asker, device = await asked_by(request)
    form = await read(request)
    check_key(device, form.get(FORM_KEY, ""))
    return asker, device, form


def check_key(device: Device, key: str) -> None:
    """Whether a page of the box gave a browser this key; programs with a token of their own need none. Raises
    `InputError` `form_stale`."""
    if device.by_cookie and not hmac.compare_digest(key.encode(), device.form_key.encode()):
        raise InputError("form_stale", "This form is not from a page that the box made.", "Load the page anew.")


def not_paired() -> AgentboxError:
    return InputError("not_paired", "This device is not paired with the box.", "agentbox pair shows a code.")
