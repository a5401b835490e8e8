"""A daemon whose answers cannot be used is one that is away."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from agentbox.control.asking import AsyncClient
from agentbox.page.app import make
from agentbox.page.listen import _Protocol, _State
from agentbox.page.render import Pages

ANSWERS = [
    b"",
    b"\n",
    b"garbage\n",
    b"\xff\xfe\n",
    b"{}\n",
    b'{"id":1}\n',
    b'{"id":1,"result":null}\n',
    b'{"id":1,"result":[5]}\n',
    b'{"id":1,"result":5}\n',
    b'{"id":1,"result":{"device":{}}}\n',
    b'{"id":1,"result":{"device":5,"form_key":[],"fresh_token":{}}}\n',
    b'{"id":1,"item":5}\n',
    b'{"id":1,"error":5}\n',
    b'{"id":1,"error":{"code":"x"}}\n',
    b'{"id":1,"result":"' + b"x" * 100_000 + b'"}\n',
    b"[" * 100_000 + b"\n",
]
ME = {"id": "0" * 32, "name": "x", "role": "owner", "scopes": ["state", "words", "talk", "admin"], "address": ""}
GOOD_ME = {**ME, "paired_at": 1.0, "seen_at": 1.0, "rotated_at": 1.0, "offered_at": 0.0}


@contextlib.asynccontextmanager
async def _box_that_says(path: Path, raw: bytes, knows: bool) -> Any:
    """A daemon gone mad; `knows`: it still tells who asks."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = json.loads(await reader.readline())
        me = {"id": 1, "result": {"device": GOOD_ME, "form_key": "key", "fresh_token": "", "muted": False}}
        sane = knows and asked["method"] == "devices.me"
        with contextlib.suppress(ConnectionError):
            writer.write(json.dumps(me).encode() + b"\n" if sane else raw)
            await writer.drain()
        writer.close()

    server = await asyncio.start_unix_server(answer, path, limit=1 << 20)
    async with server:
        yield


class _Wire(asyncio.Transport):
    """A connection that goes on delivering after it was closed, as one under TLS may."""

    def __init__(self) -> None:
        super().__init__()
        self.said = b""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 5) if name in ("peername", "sockname") else default

    def write(self, data: Any) -> None:
        self.said += bytes(data)

    def is_closing(self) -> bool:
        return False

    def close(self) -> None: ...

    def abort(self) -> None: ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


async def test_garbage_after_the_last_answer_is_let_lie() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("done")(scope, receive, send)

    config = uvicorn.Config(app, lifespan="off", log_config=None)
    protocol = _Protocol(config, _State(lambda address: None), {}, address="127.0.0.1")
    wire = _Wire()
    protocol.connection_made(wire)
    protocol.data_received(b"GET / HTTP/1.1\r\nHost: box\r\nConnection: close\r\n\r\n")
    while b"done" not in wire.said:
        await asyncio.sleep(0)
    said = wire.said
    protocol.data_received(b"\x00 garbage\r\n\r\n")
    assert wire.said == said
    protocol.connection_lost(None)


@pytest.mark.parametrize("knows", [False, True])
@pytest.mark.parametrize("raw", ANSWERS, ids=range(len(ANSWERS)))
async def test_a_box_that_talks_nonsense_is_one_that_is_away(tmp_path: Path, raw: bytes, knows: bool) -> None:
    app = make(AsyncClient(tmp_path / "s"), Pages("en", "AB:CD"), {"box"})
    headers = {"Cookie": "__Host-agentbox=token"}
    transport = httpx.ASGITransport(app)
    async with (
        _box_that_says(tmp_path / "s", raw, knows),
        httpx.AsyncClient(transport=transport, base_url="https://box", headers=headers) as client,
    ):
        answers = [await client.get(place) for place in ("/", "/turns", "/devices", "/api/v1/status", "/api/v1/tools")]
        answers += [await client.post("/talk", data={"text": "x", "form_key": "key"})]
    for answer in answers:
        assert answer.status_code == 503, (answer.request.url, answer.text)
