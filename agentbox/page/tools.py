"""What the box can do: what starts each tool, who may use it, and how it went last."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from agentbox.page import forms
from agentbox.page.render import Pages

POLICIES = ("allow", "confirm", "deny")


async def show(request: Request) -> Response:
    asker, device = await forms.asked_by(request)
    pages: Pages = request.app.state.pages
    tools = await asker.call("tools.list")
    last = {row["tool"]: row for row in await asker.call("tools.last")} if device.may("words") else {}
    return pages.show(request, "tools.html", device=device, tools=tools, last=last, policies=POLICIES)


async def policy(request: Request) -> Response:
    """Who may use one tool: what was chosen otherwise than it is."""
    asker, _, form = await forms.changed_by(request)
    name = form.get("tool", "")
    tools = await asker.call("tools.list", examples=False)
    tool = next((one for one in tools if one["name"] == name), None)
    now = tool["policy"] if tool is not None else {}
    chosen = {caller: form[caller] for caller, policy in now.items() if form.get(caller, policy) != policy}
    if chosen:
        await asker.call("tools.policy", tool=name, policies=chosen)
    return RedirectResponse(f"/tools#{name}" if tool is not None else "/tools", 303)


ROUTES = [Route("/tools", show), Route("/tools/policy", policy, methods=["POST"])]
