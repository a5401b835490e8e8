"""What was said: found, read in full, taken away as a file, and deleted.

Words go into no URL: a search is a form, and a link holds ids, times and the names of tools.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from agentbox.errors import InputError
from agentbox.page import export, forms
from agentbox.page.box import Asker, Device
from agentbox.page.paging import PAGE, day_of, page_of, place_of
from agentbox.page.render import Pages

MOST_TEXT = 200

FILTERS = ("day", "activated_by", "outcome", "tool")

WAYS = ("wake_phrase", "push_to_talk", "control", "attention", "follow_up", "always")
OUTCOMES = ("done", "failed", "not_understood", "question", "cancelled", "attention", "alert")


async def show(request: Request) -> Response:
    asker, device = await forms.asked_by(request)
    return await _page(request, asker, device, request.query_params, "")


async def search(request: Request) -> Response:
    """A form with words to look for, or with filters alone, which a link can hold."""
    asker, device, form = await forms.changed_by(request)
    text = form.get("text", "").strip()[:MOST_TEXT]
    if text:
        return await _page(request, asker, device, form, text)
    chosen = {name: form[name] for name in FILTERS if form.get(name)}
    return RedirectResponse(f"/transcripts?{urlencode(chosen)}", 303)


async def one(request: Request) -> Response:
    asker, device = await forms.asked_by(request)
    pages: Pages = request.app.state.pages
    turn = await _turn(asker, request.path_params["id"])
    return pages.show(request, "transcript.html", device=device, turn=turn)


async def confirm(request: Request) -> Response:
    """What would be deleted: one turn, a day, or everything."""
    asker, device = await forms.asked_by(request)
    if not device.may("settings"):
        raise InputError("not_permitted", "This device may not do that.", "An owner's phone may.")
    asked = {name: request.query_params.get(name, "") for name in ("id", "day", "all")}
    turn = await _turn(asker, asked["id"]) if asked["id"] else None
    kept = await asker.call("transcripts.kept", **day_of("" if turn else asked["day"]))
    if turn is None and not asked["day"] and asked["all"] != "1":
        raise _nothing_meant()
    pages: Pages = request.app.state.pages
    return pages.show(request, "transcripts_delete.html", device=device, asked=asked, turn=turn, kept=kept)


async def delete(request: Request) -> Response:
    asker, _, form = await forms.changed_by(request)
    params: dict[str, Any]
    if form.get("id"):
        params = {"ids": [form["id"]]}
    elif form.get("day"):
        params = dict(day_of(form["day"]))
    elif form.get("all") == "1":
        params = {"all": True}
    else:
        raise _nothing_meant()
    gone = await asker.call("transcripts.delete", **params)
    return RedirectResponse(f"/transcripts?deleted={gone['deleted']}", 303)


async def take(request: Request) -> Response:
    """All turns, as a file to keep."""
    asker, _, form = await forms.changed_by(request)
    return await export.download(asker, form.get("format", ""))


async def _page(request: Request, asker: Asker, device: Device, asked: Mapping[str, str], text: str) -> Response:
    chosen = {name: asked.get(name, "") for name in FILTERS}
    params: dict[str, Any] = {name: value for name, value in chosen.items() if value and name != "day"}
    params |= day_of(chosen["day"]) | place_of(asked.get("before", ""))
    if text:
        params["text"] = text
    turns, older = page_of(await asker.call("transcripts.list", limit=PAGE + 1, **params))
    kept = await asker.call("transcripts.kept")
    tools = await asker.call("tools.list", examples=False) if device.may("state") else []
    deleted = request.query_params.get("deleted", "")
    pages: Pages = request.app.state.pages
    return pages.show(
        request,
        "transcripts.html",
        device=device,
        turns=turns,
        older=older,
        newest=not asked.get("before"),
        kept=kept,
        text=text,
        chosen=chosen,
        filters={name: value for name, value in chosen.items() if value},
        tools=sorted({tool["name"] for tool in tools} | ({chosen["tool"]} - {""})),
        ways=WAYS,
        outcomes=OUTCOMES,
        deleted=int(deleted) if deleted.isascii() and deleted.isdigit() and len(deleted) < 10 else None,
    )


async def _turn(asker: Asker, turn_id: str) -> dict[str, Any]:
    turn: dict[str, Any] | None = await asker.call("transcripts.show", id=turn_id)
    if turn is None:
        raise InputError("turn_missing", "No single turn has this id.", "It may have been deleted.")
    return turn


def _nothing_meant() -> InputError:
    return InputError("bad_parameter", "Nothing was named that could be deleted.", "Go back to the list.")


ROUTES = [
    Route("/transcripts", show),
    Route("/transcripts", search, methods=["POST"]),
    Route("/transcripts/delete", confirm),
    Route("/transcripts/delete", delete, methods=["POST"]),
    Route("/transcripts/export", take, methods=["POST"]),
    Route("/transcripts/{id}", one),
]
