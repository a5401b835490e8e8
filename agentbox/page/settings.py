"""Settings by topic, and the set-up, which is the same forms one after the other."""

from __future__ import annotations

from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from agentbox.errors import AgentboxError
from agentbox.messages import JSON
from agentbox.page import forms
from agentbox.page.box import Asker, Device
from agentbox.page.home import state_of
from agentbox.page.render import Pages
from agentbox.page.topics import STEPS, TOPICS, after, changes, hearings

LAST_TURNS = 3


async def overview(request: Request) -> Response:
    asker, device = await forms.asked_by(request)
    await asker.call("config.get")  # who may not see them is told so here, and not at the first link
    pages: Pages = request.app.state.pages
    topics = [one for one in TOPICS if one != "secrets" or device.may("admin")]
    return pages.show(request, "settings.html", device=device, topics=topics)


async def show(request: Request) -> Response:
    """A topic's form."""
    asker, device = await forms.asked_by(request)
    return await _page(request, asker, device, _known(request, TOPICS))


async def step(request: Request) -> Response:
    """The same, as a step of the set-up."""
    asker, device = await forms.asked_by(request)
    return await _page(request, asker, device, _known(request, STEPS), setup=True)


async def begin(request: Request) -> Response:
    await forms.asked_by(request)
    return RedirectResponse(f"/setup/{STEPS[0]}", 303)


async def finish(request: Request) -> Response:
    """At its end, or earlier: it is not begun by itself again."""
    asker, _, _ = await forms.changed_by(request)
    await asker.call("setup.finish")
    return RedirectResponse("/", 303)


async def change(request: Request) -> Response:
    """A form -> the next step of the set-up, or the form again, with what became of it."""
    asker, device, form = await forms.changed_by(request)
    topic, setup = _known(request, TOPICS), _is_setup(request, form)
    later = False
    try:
        values = await _values(asker)
        if changed := changes(topic, form, values):
            later = (await asker.call("config.set", values=changed))["restart_needed"]
    except AgentboxError as error:
        return await _page(request, asker, device, topic, setup=setup, error=error)
    if setup and not later:
        return RedirectResponse(after(topic), 303)
    return await _page(request, asker, device, topic, setup=setup, done="restart" if later else "saved")


async def add_backend(request: Request) -> Response:
    """A kind and a key -> a backend that was tried on the spot."""
    asker, device, form = await forms.changed_by(request)
    kind, key, setup = form.get("kind", ""), form.get("key", ""), _is_setup(request, form)
    tested = None
    try:
        known = await asker.call("backends.list")
        if key:
            await asker.call("secrets.set", name=kind, value=key)
        given: dict[str, JSON] = {"name": kind, "kind": kind}
        given |= {name: form[name].strip() for name in ("model", "app_id") if form.get(name, "").strip()}
        backends = [given if one["name"] == kind else {"name": one["name"]} for one in known]
        if kind not in {one["name"] for one in known}:
            backends.append(given)
        await asker.call("config.set", values={"cloud.backends": backends})
        tested = await _tested(request, asker, kind)
    except AgentboxError as error:
        return await _page(request, asker, device, "cloud", setup=setup, error=error)
    return await _page(request, asker, device, "cloud", setup=setup, tested=tested)


async def test_backend(request: Request) -> Response:
    asker, device, form = await forms.changed_by(request)
    tested = await _tested(request, asker, form.get("name", ""))
    return await _page(request, asker, device, "cloud", setup=_is_setup(request, form), tested=tested)


async def remove_backend(request: Request) -> Response:
    """Its key goes too, where the page keeps it: what is of no use should not lie about."""
    asker, device, form = await forms.changed_by(request)
    name, setup = form.get("name", ""), _is_setup(request, form)
    try:
        kept = [{"name": one["name"]} for one in await asker.call("backends.list") if one["name"] != name]
        await asker.call("config.set", values={"cloud.backends": kept})
        await asker.call("secrets.delete", name=name)
    except AgentboxError as error:
        return await _page(request, asker, device, "cloud", setup=setup, error=error)
    return await _page(request, asker, device, "cloud", setup=setup, done="saved")


async def set_secret(request: Request) -> Response:
    """With a value it is set, without one deleted."""
    asker, device, form = await forms.changed_by(request)
    name, value = form.get("name", ""), form.get("value", "")
    try:
        if value:
            await asker.call("secrets.set", name=name, value=value)
        else:
            await asker.call("secrets.delete", name=name)
    except AgentboxError as error:
        return await _page(request, asker, device, "secrets", error=error)
    return await _page(request, asker, device, "secrets", done="saved")


async def test_sound(request: Request) -> Response:
    asker, device, form = await forms.changed_by(request)
    setup = _is_setup(request, form)
    try:
        played = (await asker.call("sound.test"))["played"]
    except AgentboxError as error:
        return await _page(request, asker, device, "sound", setup=setup, error=error)
    return await _page(request, asker, device, "sound", setup=setup, done="played" if played else "not_played")


async def level(request: Request) -> Response:
    """How loud the last sound was, for a meter that moves."""
    asker, _ = await forms.asked_by(request)
    status = await asker.call("status")
    return JSONResponse({"level_dbfs": status["level_dbfs"], "muted": status["muted"]})


async def _page(
    request: Request,
    asker: Asker,
    device: Device,
    topic: str,
    *,
    setup: bool = False,
    error: AgentboxError | None = None,
    done: str = "",
    tested: dict[str, JSON] | None = None,
) -> Response:
    """`error`: why nothing was changed; `done`: what became of a form, as a word's key; `tested`: of a backend."""
    pages: Pages = request.app.state.pages
    values = await _values(asker)
    status = await asker.call("status")
    found: dict[str, Any] = {"values": values, "box": status, "state": state_of(status), "turns": []}
    if topic == "sound":
        found["devices"] = await _devices(asker)
    if topic in ("listening", "wake", "cloud", "try"):
        found["choices"] = choices = await asker.call("setup.choices")
        words = pages.words(request)
        found["hearings"] = hearings(choices["models"], values, lambda language: words.has(f"language.{language}"))
    if topic == "cloud":
        found["backends"] = await asker.call("backends.list")
    if topic in ("secrets", "cloud") and device.may("admin"):
        found["secrets"] = await asker.call("secrets.list")
    if topic == "try" and device.may("words"):
        found["turns"] = await asker.call("transcripts.list", limit=LAST_TURNS)
    return pages.show(
        request,
        "topic.html",
        device=device,
        status=200 if error is None else 400,
        topic=topic,
        setup=setup,
        steps=STEPS,
        next=after(topic) if setup else "",
        problem=None if error is None else _words(request, error),
        done=done,
        tested=tested,
        **found,
    )


async def _values(asker: Asker) -> dict[str, JSON]:
    return {row["key"]: row["value"] for row in await asker.call("config.get")}


async def _devices(asker: Asker) -> dict[str, Any]:
    """A box without sound shows a form without devices, and says why elsewhere."""
    try:
        found: dict[str, Any] = await asker.call("sound.devices")
    except AgentboxError as error:
        if error.code in ("not_paired", "not_permitted"):
            raise
        return {"inputs": [], "outputs": []}
    return found


async def _tested(request: Request, asker: Asker, name: str) -> dict[str, JSON]:
    try:
        found = await asker.call("backends.test", name=name)
    except AgentboxError as error:
        if error.code in ("not_paired", "not_permitted"):
            raise
        return {"name": name, "ok": False, "code": error.code, "text": _words(request, error)}
    return {"name": name, "ok": True, "seconds": f"{found['acknowledged_s']:.1f}"}


def _words(request: Request, error: AgentboxError) -> str:
    """In the browser's language where there are words; what is wrong with a value is told by the box alone."""
    words = request.app.state.pages.words(request)
    known = words(f"error.{error.code}") if words.has(f"error.{error.code}") else ""
    if error.code in ("config_invalid", "model_language") or not known:
        return f"{known} {error.what} {error.todo}".strip()
    return str(known)


def _is_setup(request: Request, form: dict[str, str]) -> bool:
    return form.get("setup") == "1"


def _known(request: Request, known: Any) -> str:
    topic = str(request.path_params["topic"])
    if topic not in known:
        raise HTTPException(404)
    return topic


ROUTES = [
    Route("/setup", begin),
    Route("/setup/finish", finish, methods=["POST"]),
    Route("/setup/{topic}", step),
    Route("/settings", overview),
    Route("/settings/level", level),
    Route("/settings/cloud/backend", add_backend, methods=["POST"]),
    Route("/settings/cloud/test", test_backend, methods=["POST"]),
    Route("/settings/cloud/remove", remove_backend, methods=["POST"]),
    Route("/settings/sound/test", test_sound, methods=["POST"]),
    Route("/settings/secrets/set", set_secret, methods=["POST"]),
    Route("/settings/{topic}", show),
    Route("/settings/{topic}", change, methods=["POST"]),
]
