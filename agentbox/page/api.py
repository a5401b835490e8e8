"""The HTTP interface for programs: `/api/v1`, made from the table of api_table.py (docs/api.md)."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any, cast

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from agentbox.errors import AgentboxError, InputError
from agentbox.messages import JSON
from agentbox.page import forms
from agentbox.page.api_line import Line
from agentbox.page.api_table import LINES
from agentbox.page.box import Asker, Device
from agentbox.page.openapi import ROOT, describe
from agentbox.page.render import keep_token

FORM_KEY_HEADER = "x-form-key"
LINES_TYPE = "application/x-ndjson"


def is_api(path: str) -> bool:
    return path == "/api" or path.startswith("/api/")


def answer(body: JSON, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A whole answer as JSON."""
    return Response(msgspec.json.encode(body), status, headers, "application/json")


def failure(status: int, code: str, what: str, todo: str = "", headers: Mapping[str, str] | None = None) -> Response:
    """What went wrong, as all of the interface tells it."""
    told = dict(headers or {})
    if status == 401:
        told["WWW-Authenticate"] = "Bearer"
    return answer({"code": code, "what": what, "todo": todo}, status, told)


async def openapi(request: Request) -> Response:
    """The description of the interface."""
    await forms.asked_by(request)
    return answer(describe())


class _Path:
    """ASGI. All verbs of one path; those that it has not are no business of a path that looks alike."""

    def __init__(self, lines: Mapping[str, Line]) -> None:
        self._lines = lines

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        if request.method not in self._lines:
            raise HTTPException(405, headers={"Allow": ", ".join(sorted(self._lines))})
        line = self._lines[request.method]
        asker, device = await forms.asked_by(request)
        if line.verb != "GET":
            forms.check_key(device, request.headers.get(FORM_KEY_HEADER, ""))
        params = line.sends(await _params(request, line))
        response = await (_streamed if line.streams else _called)(line, asker, device, params)
        if device.fresh_token and device.by_cookie:
            keep_token(response, device.fresh_token)
        await response(scope, receive, send)


async def _called(line: Line, asker: Asker, _: Device, params: dict[str, JSON]) -> Response:
    result = await asker.call(line.method, **params)
    if result is None and line.may_be_null:
        raise HTTPException(404, "There is no such thing.")
    return answer(result)


async def _streamed(line: Line, asker: Asker, device: Device, params: dict[str, JSON]) -> Response:
    items = asker.stream(line.method, **params)
    if not device.may(line.scope):
        await anext(items)  # raises that it may not, and the box writes that down
    return StreamingResponse(_lines(items), media_type=LINES_TYPE)


async def _lines(items: AsyncIterator[JSON]) -> AsyncIterator[bytes]:
    """An error, which the status cannot tell any more, is the last line: an object with `error` alone."""
    async with contextlib.aclosing(cast(Any, items)):
        try:
            async for item in items:
                yield msgspec.json.encode(item) + b"\n"
        except AgentboxError as error:
            told = {"code": error.code, "what": error.what, "todo": error.todo}
            yield msgspec.json.encode({"error": told}) + b"\n"


async def _params(request: Request, line: Line) -> Any:
    """The parameters, checked. Raises `InputError` `parameter_wrong`, `body_wrong`; `HTTPException` 415."""
    given: dict[str, JSON] = dict(request.path_params)
    queried = request.query_params.multi_items()
    in_body = await _body(request) if line.verb == "POST" else {}
    posted = list(in_body.items())
    if line.verb == "POST" and queried:
        raise _wrong("A posted request has its parameters in its body.")
    for name, value in (*queried, *posted):
        if name in given:
            raise _wrong("A parameter was given twice.")
        given[name] = value
    try:
        # Words of an address are all text; those of JSON have their own types.
        return msgspec.convert(given, line.params, strict=line.verb == "POST")
    except msgspec.ValidationError as error:
        raise _wrong(f"{str(error).partition(' - ')[0]}.", _where(error)) from error


def _where(error: msgspec.ValidationError) -> str:
    """Which parameter it is, for the error's text."""
    return str(error).partition(" - at `$.")[2].rstrip("`")


async def _body(request: Request) -> dict[str, JSON]:
    body = await forms.body_of(request)
    if not body:
        return {}
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(415, "The body must be application/json.")
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError("body_wrong", "The body is no JSON object.", "See /api/v1/openapi.json.") from error


def _wrong(what: str, where: str = "") -> InputError:
    said = f"{where}: {what}" if where else what
    return InputError("parameter_wrong", said, "See /api/v1/openapi.json.")


def _routes() -> list[Route]:
    paths: dict[str, dict[str, Line]] = {}
    for line in LINES:
        paths.setdefault(line.path, {})[line.verb] = line
    found = [Route(f"{ROOT}{path}", _Path(lines)) for path, lines in paths.items()]
    return [Route(f"{ROOT}/openapi.json", openapi), *found]


ROUTES = _routes()
