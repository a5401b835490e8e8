"""Sentences: what one would mean, said or typed; and the owner's files of them, edited."""

from __future__ import annotations

from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from agentbox.errors import AgentboxError
from agentbox.messages import JSON
from agentbox.page import forms, sockets
from agentbox.page.box import Asker, Device
from agentbox.page.render import Pages

MOST_TEXT = 1000

_ABOUT_THE_TEXT = ("sentences_wrong", "sentences_changed", "sentences_too_long", "sentences_unwritable")
"""Refusals after which the text that was typed is shown again, and nothing of it is lost."""


async def show(request: Request) -> Response:
    asker, device = await forms.asked_by(request)
    return await _page(request, asker, device)


async def attempt(request: Request) -> Response:
    """A typed sentence -> what it would mean; or, where the other button was pressed, the box does it."""
    asker, device, form = await forms.changed_by(request)
    text = form.get("text", "").strip()[:MOST_TEXT]
    meaning = await asker.call("understand", text=text) if text else None
    done = await asker.call("ask", text=text) if text and form.get("do") == "act" else None
    return await _page(request, asker, device, meaning, done)


async def listen(socket: WebSocket) -> None:
    """Press the talk key: what becomes of the next utterance, as it happens."""
    await sockets.tell(socket, Asker(socket.app.state.client, socket).stream("listen"))


async def edit(request: Request) -> Response:
    """One file, in a text field."""
    asker, device = await forms.asked_by(request)
    file = await asker.call("sentences.read", file=request.query_params.get("file", ""))
    saved = "saved" in request.query_params
    found = await asker.call("sentences.check", file=file["id"], text=file["text"]) if saved else None
    return _editor(request, device, file, findings=found, saved=saved)


async def save(request: Request) -> Response:
    """Check what was typed, or save it. Where it cannot be saved it is shown again, with what is wrong."""
    asker, device, form = await forms.changed_by(request)
    # A browser ends lines as mail does.
    text = form.get("text", "").replace("\r\n", "\n")
    name, before = form.get("file", ""), form.get("version", "")
    known = await asker.call("sentences.files")
    file = next((one for one in known if one["id"] == name), None)
    if file is None or form.get("do") != "save":
        found = await asker.call("sentences.check", file=name, text=text)
        return _editor(request, device, {**(file or {}), "text": text, "version": before}, findings=found)
    try:
        await asker.call("sentences.save", file=name, text=text, version=before)
    except AgentboxError as error:
        if error.code not in _ABOUT_THE_TEXT:
            raise
        wrong = error.code == "sentences_wrong"
        found = await asker.call("sentences.check", file=name, text=text) if wrong else None
        return _editor(
            request, device, {**file, "text": text, "version": before}, findings=found, problem=error.code, status=409
        )
    return RedirectResponse(f"/sentences/edit?{urlencode({'file': name, 'saved': ''})}", 303)


def _editor(
    request: Request,
    device: Device,
    file: dict[str, JSON],
    *,
    findings: list[dict[str, JSON]] | None = None,
    problem: str = "",
    saved: bool = False,
    status: int = 200,
) -> Response:
    pages: Pages = request.app.state.pages
    values = {"file": file, "findings": findings, "problem": problem, "saved": saved}
    return pages.show(request, "edit.html", device=device, status=status, **values)


async def _page(
    request: Request,
    asker: Asker,
    device: Device,
    meaning: dict[str, JSON] | None = None,
    done: dict[str, JSON] | None = None,
) -> Response:
    pages: Pages = request.app.state.pages
    files = await asker.call("sentences.files") if device.may("settings") else []
    return pages.show(request, "sentences.html", device=device, files=files, meaning=meaning, done=done)


ROUTES = [
    Route("/sentences", show),
    Route("/sentences/try", attempt, methods=["POST"]),
    Route("/sentences/edit", edit),
    Route("/sentences/edit", save, methods=["POST"]),
    WebSocketRoute("/sentences/listen", listen),
]
