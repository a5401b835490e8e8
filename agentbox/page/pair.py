"""How a phone gets in: a code from the URL's fragment, which a script reads, or from fingers."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from agentbox.page import forms
from agentbox.page.box import Asker
from agentbox.page.render import Pages, keep_token


async def show(request: Request) -> Response:
    pages: Pages = request.app.state.pages
    lasting = request.app.state.lasting_name
    elsewhere = lasting and request.url.hostname != lasting
    # What proves a phone paired counts for the host at which it was paired, and for no other.
    named = f"https://{lasting}:{request.url.port or 443}/pair" if elsewhere else ""
    return pages.show(request, "pair.html", guess=_name(request), named=named)


async def redeem(request: Request) -> Response:
    """A code and a name -> a token in a cookie. Raises what the box says of the code."""
    form = await forms.read(request)
    asker = Asker(request.app.state.client, request)
    found = await asker.call("pair.redeem", code=form.get("code", ""), name=form.get("name", "") or _name(request))
    response = RedirectResponse("/", 303)
    keep_token(response, found["token"])
    return response


def _name(request: Request) -> str:
    """What to call this device, until its owner has a better name."""
    agent = request.headers.get("user-agent", "")
    kinds = ("iPhone", "iPad", "Android", "Windows", "Mac", "Linux")
    return next((kind for kind in kinds if kind in agent), "Phone")


ROUTES = [Route("/pair", show), Route("/pair", redeem, methods=["POST"])]
