"""Backups taken to this device and brought back, and deleting all of the owner's."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import AsyncIterator
from typing import Any, cast

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from agentbox.messages import JSON
from agentbox.page import forms
from agentbox.page.box import Asker
from agentbox.page.render import Pages
from agentbox.page.upload import Upload

PIECE_BYTES = 384 << 10
STAGE_S = 600.0
"""A large backup is looked at from end to end."""


async def take(request: Request) -> Response:
    """The archive, as a file."""
    asker, _, _ = await forms.changed_by(request)
    pieces = asker.stream("backup.create")
    told = await anext(pieces)  # what goes wrong is an error page; from here on it is a download that breaks off
    headers = {"Content-Disposition": f'attachment; filename="{told["name"]}"', "Content-Length": str(told["bytes"])}
    return StreamingResponse(_decoded(pieces), media_type="application/zip", headers=headers)


async def bring_back(request: Request) -> Response:
    """A backup of this box's, or of another: checked, then the box restarts with it."""
    asker, device = await forms.asked_by(request)
    pages: Pages = request.app.state.pages
    offset = 0
    async for piece in Upload(request, device).pieces(PIECE_BYTES):
        offset = await _put(asker, offset, piece)
    told = await asker.call("restore.stage", timeout_s=STAGE_S)
    await asker.call("restart")
    words = pages.words(request)
    done = words("backup.restored")
    if told["left"]:
        done += " " + words("backup.left", keys=", ".join(told["left"]))
    return pages.show(request, "restarting.html", device=device, done=done)


async def reset(request: Request) -> Response:
    asker, device, form = await forms.changed_by(request)
    await asker.call("factory.reset", name=form.get("name", ""))
    await asker.call("restart")
    pages: Pages = request.app.state.pages
    return pages.show(request, "restarting.html", device=device, done=pages.words(request)("reset.done"))


async def _put(asker: Asker, offset: int, piece: bytes) -> int:
    answer = await asker.call("restore.put", offset=offset, data=base64.b64encode(piece).decode("ascii"))
    return int(answer["bytes"])


async def _decoded(pieces: AsyncIterator[JSON]) -> AsyncIterator[bytes]:
    async with contextlib.aclosing(cast(Any, pieces)):
        async for piece in pieces:
            yield base64.b64decode(piece["data"])


ROUTES = [
    Route("/system/backup", take, methods=["POST"]),
    Route("/system/restore", bring_back, methods=["POST"]),
    Route("/system/reset", reset, methods=["POST"]),
]
