"""What the box tells as it happens, over a WebSocket."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any, cast

from starlette.websockets import WebSocket, WebSocketDisconnect

from agentbox.errors import AgentboxError
from agentbox.messages import JSON

AT_ITS_END = 1000
BOX_AWAY = 1012
"""The page tries again."""

NOT_WANTED = 4401
"""Not paired any more, or not allowed to."""


async def tell(socket: WebSocket, items: AsyncIterator[JSON]) -> None:
    """Accept, and send each item as JSON, until there are no more or one of the two hangs up. What the browser says is
    of no interest."""
    await socket.accept()
    sending = asyncio.create_task(_send(socket, items))
    leaving = asyncio.create_task(_left(socket))
    await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
    for task in (sending, leaving):
        task.cancel()
    await asyncio.gather(sending, leaving, return_exceptions=True)


async def _send(socket: WebSocket, items: AsyncIterator[JSON]) -> None:
    code = AT_ITS_END
    try:
        async with contextlib.aclosing(cast(Any, items)):
            async for item in items:
                await socket.send_text(json.dumps(item, ensure_ascii=False))
    except AgentboxError as error:
        code = NOT_WANTED if error.code in ("not_paired", "not_permitted") else BOX_AWAY
    with contextlib.suppress(RuntimeError, WebSocketDisconnect):
        await socket.close(code)


async def _left(socket: WebSocket) -> None:
    with contextlib.suppress(WebSocketDisconnect):
        while True:
            await socket.receive_text()
