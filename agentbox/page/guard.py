"""What every request passes first: is it for this box, from a page of this box, and small enough?

The answers get headers that keep a browser from running, framing or guessing anything. No Strict-Transport-Security:
with a certificate of the box's own it would take away the one way past a browser's warning.
"""

from __future__ import annotations

import re
from collections.abc import Collection

import msgspec
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agentbox.messages import MOST_ARCHIVE_BYTES
from agentbox.page.listen import MOST_HEAD_BYTES, host_of

MOST_BODY_BYTES = 1 << 20

LARGER_BODIES = {"/system/restore": MOST_ARCHIVE_BYTES + MOST_BODY_BYTES}
"""Path -> what may come there: an archive, and the form around it. It is read piece by piece, and by nobody but
an owner."""

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "manifest-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    # Not "no-referrer": with that browsers send "Origin: null" with the forms of the page itself.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cache-Control": "no-store",
}

_READING = ("GET", "HEAD")


class Guard:
    """ASGI middleware. `names`: the hosts that are this box; any other Host is somebody else's name for its address
    (DNS rebinding), and any other Origin is somebody else's page."""

    def __init__(self, app: ASGIApp, names: Collection[str]) -> None:
        self._app = app
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        if problem := self._problem(scope, headers):
            await self._refuse(scope, send, *problem)
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        read, most = 0, LARGER_BODIES.get(scope["path"], MOST_BODY_BYTES)

        async def limited() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > most:  # of no said length
                raise HTTPException(413, "That is too long.", {"Connection": "close"})
            return message

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    answer.setdefault(name, value)
            await send(message)

        await self._app(scope, limited, marked)

    def _problem(self, scope: Scope, headers: Headers) -> tuple[int, str] | None:
        """The status and words with which a request is refused; null for one that may go on."""
        if not scope["path"].startswith("/"):  # a proxy's request, or "*": no path of this page, and half a URL
            return 400, "That is no path."
        size = len(scope["raw_path"]) + len(scope["query_string"])
        if size + sum(len(name) + len(value) + 4 for name, value in headers.raw) > MOST_HEAD_BYTES:
            return 431, "That is too long."
        hosts = headers.getlist("host")
        if len(hosts) != 1 or host_of(hosts[0]) not in self._names:
            return 421, "This is not the name of the box."
        length = headers.get("content-length", "0")
        if not re.fullmatch(r"[0-9]{1,10}", length) or int(length) > LARGER_BODIES.get(scope["path"], MOST_BODY_BYTES):
            return 413, "That is too long."
        changes = scope["type"] == "websocket" or scope["method"] not in _READING
        site = headers.get("sec-fetch-site")
        if changes and site is not None and site not in ("same-origin", "none"):
            return 403, "Another site's page asked for this."
        origins = headers.getlist("origin")
        # A browser always sends it where something changes; a program of the owner's does not.
        if origins and origins != [f"https://{hosts[0]}"] and changes:
            return 403, "Another site's page asked for this."
        if scope["type"] == "websocket" and not origins and "authorization" not in headers:
            return 403, "Whose page is this?"
        return None

    async def _refuse(self, scope: Scope, send: Send, status: int, words: str) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        answer = MutableHeaders(HEADERS)
        if scope["path"].startswith("/api/"):
            body = msgspec.json.encode({"code": f"http_{status}", "what": words, "todo": ""})
            answer["Content-Type"] = "application/json"
        else:
            body = f"{words}\n".encode()
            answer["Content-Type"] = "text/plain; charset=utf-8"
        answer["Content-Length"] = str(len(body))
        answer["Connection"] = "close"
        await send({"type": "http.response.start", "status": status, "headers": answer.raw})
        await send({"type": "http.response.body", "body": body})
