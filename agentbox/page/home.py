"""The live view: what the box does now, its last turns, and talking to it by text."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from agentbox.page import forms, sockets
from agentbox.page.box import Asker, Device
from agentbox.page.render import LANGUAGE_COOKIE, LANGUAGES, Pages

LAST_TURNS = 20
MOST_TEXT = 1000


async def show(request: Request) -> Response:
    asker = Asker(request.app.state.client, request)
    device = await asker.device()
    if device is None:
        return RedirectResponse("/pair", 303)
    status = await asker.call("status")
    if device.may("settings") and not status["set_up"]:
        return RedirectResponse("/setup", 303)
    return await _page(request, asker, device, status)


async def turns(request: Request) -> Response:
    """The last turns alone, for a page that is open."""
    asker, device = await forms.asked_by(request)
    pages: Pages = request.app.state.pages
    return pages.show(request, "turns.html", device=device, turns=await _turns(asker, device))


async def state(request: Request) -> Response:
    """What the box does now, for a page that lost sight of it."""
    asker, _ = await forms.asked_by(request)
    status = await asker.call("status")
    told = {"ears": _ears(status), "muted": status["muted"], "cloud_uses": status["cloud_uses"]}
    return JSONResponse({"state": state_of(status), **told})


async def talk(request: Request) -> Response:
    """A typed sentence -> the answer, on the page."""
    asker, device, form = await forms.changed_by(request)
    text = form.get("text", "").strip()[:MOST_TEXT]
    answer = await asker.call("ask", text=text) if text else None
    if answer:
        request.state.language = answer["language"]  # whoever chose none gets the page in the answer's
    return await _page(request, asker, device, await asker.call("status"), answer)


async def live(socket: WebSocket) -> None:
    """Every stage event, as it happens, until one of the two hangs up."""
    await sockets.tell(socket, Asker(socket.app.state.client, socket).stream("events"))


async def language(request: Request) -> Response:
    """Only how this browser shows the page: nothing of the box changes."""
    form = await forms.read(request)
    place = form.get("back", "/")
    # A path of this page and of no other: "//elsewhere" is one of elsewhere.
    response = RedirectResponse(place if place.startswith("/") and not place.startswith(("//", "/\\")) else "/", 303)
    if (chosen := form.get("language")) in LANGUAGES:
        response.set_cookie(
            LANGUAGE_COOKIE, chosen, max_age=400 * 86_400, secure=True, httponly=True, samesite="strict"
        )
    return response


def state_of(status: dict[str, object]) -> str:
    """Which of the words under `state` says how the box is. That it is muted stands in every page's head as well."""
    if status.get("cloud_uses"):
        return "cloud"
    return "muted" if status.get("muted") else _ears(status)


def _ears(status: dict[str, object]) -> str:
    return "listening" if status.get("microphone") else "not_listening"


async def _page(
    request: Request,
    asker: Asker,
    device: Device,
    status: dict[str, object],
    answer: dict[str, str] | None = None,
) -> Response:
    pages: Pages = request.app.state.pages
    found = await _turns(asker, device)
    shown: dict[str, Any] = {"state": state_of(status), "box": status, "turns": found, "answer": answer}
    return pages.show(request, "home.html", device=device, **shown)


async def _turns(asker: Asker, device: Device) -> list[dict[str, object]]:
    found: list[dict[str, object]] = (
        await asker.call("transcripts.list", limit=LAST_TURNS) if device.may("words") else []
    )
    return found


ROUTES = [
    Route("/", show),
    Route("/turns", turns),
    Route("/state", state),
    Route("/talk", talk, methods=["POST"]),
    Route("/language", language, methods=["POST"]),
    WebSocketRoute("/live", live),
]
