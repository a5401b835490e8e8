"""The page as an ASGI application: routes, and what becomes of errors."""

from __future__ import annotations

from collections.abc import Collection

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount
from starlette.types import ASGIApp

from agentbox.control.asking import AsyncClient
from agentbox.errors import AgentboxError, ExitCode
from agentbox.page import (
    api,
    backups,
    devices,
    egress,
    home,
    lists,
    mute,
    pair,
    sentences,
    settings,
    system,
    timers,
    tools,
    transcripts,
)
from agentbox.page.files import Files
from agentbox.page.guard import Guard
from agentbox.page.render import Pages

_STATUS = {
    "not_paired": 401,
    "not_permitted": 403,
    "form_stale": 403,
    "pairing_code_wrong": 403,
    "turn_missing": 404,
    "backend_missing": 404,
    "paired_device_missing": 404,
    "sentences_unknown": 404,
    "tool_unknown": 404,
    "devices_full": 409,
    "sentences_changed": 409,
    "pairing_locked": 429,
}


def make(client: AsyncClient, pages: Pages, names: Collection[str], lasting_name: str = "") -> ASGIApp:
    """`names`: the hosts that are this box. `lasting_name`: the one by which it is found when its address changes;
    empty where the network carries none."""

    async def failed(request: Request, error: Exception) -> Response:
        assert isinstance(error, AgentboxError)
        if api.is_api(request.url.path):
            return api.failure(_status(error), error.code, error.what, error.todo)
        return pages.error(request, error.code, f"{error.what} {error.todo}", _status(error))

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        code = f"http_{error.status_code}"
        if api.is_api(request.url.path):
            return api.failure(error.status_code, code, error.detail, headers=error.headers)
        response = pages.error(request, code, error.detail, error.status_code)
        response.headers.update(error.headers or {})
        return response

    app = Starlette(
        routes=[
            *home.ROUTES,
            *mute.ROUTES,
            *settings.ROUTES,
            *pair.ROUTES,
            *devices.ROUTES,
            *tools.ROUTES,
            *sentences.ROUTES,
            *transcripts.ROUTES,
            *egress.ROUTES,
            *timers.ROUTES,
            *lists.ROUTES,
            *system.ROUTES,
            *backups.ROUTES,
            *api.ROUTES,
            Mount("/static", Files()),
        ],
        exception_handlers={AgentboxError: failed, HTTPException: refused},
    )
    app.router.redirect_slashes = False
    app.state.client, app.state.pages, app.state.lasting_name = client, pages, lasting_name
    return Guard(app, names)


def _status(error: AgentboxError) -> int:
    if error.code in _STATUS:
        return _STATUS[error.code]
    if error.code.startswith("cloud_"):
        return 502
    return 503 if error.exit_code in (ExitCode.UNREACHABLE, ExitCode.STORAGE) else 400
