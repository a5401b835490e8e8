"""The few files that come with the page, by name; nothing else of the disk can be asked for."""

from __future__ import annotations

import hashlib
from importlib import resources

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
}


class Files:
    """ASGI. The files are small and stay in memory once they were asked for."""

    def __init__(self) -> None:
        folder = resources.files("agentbox.page").joinpath("static")
        self._known = {file.name: file for file in folder.iterdir() if file.name.endswith(tuple(_TYPES))}
        self._read: dict[str, tuple[bytes, str]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        name = request.path_params.get("path", "") or scope["path"].rpartition("/static/")[2]
        if scope["type"] != "http" or name not in self._known or request.method not in ("GET", "HEAD"):
            raise HTTPException(404)
        if name not in self._read:
            data = self._known[name].read_bytes()
            self._read[name] = data, f'"{hashlib.sha256(data).hexdigest()[:16]}"'
        data, tag = self._read[name]
        headers = {"ETag": tag, "Cache-Control": "no-cache", "Content-Type": _TYPES["." + name.rpartition(".")[2]]}
        unchanged = request.headers.get("if-none-match") == tag
        await Response(b"" if unchanged else data, 304 if unchanged else 200, headers)(scope, receive, send)
