"""Web requests of the owner, made to a real server."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agentbox import config
from agentbox.credentials import Credentials
from agentbox.errors import ToolError
from agentbox.messages import ToolResult
from agentbox.tools import web

from .box import a_box

ORDERS = json.dumps({"orders": [{"id": 1, "total": 12.5}, {"id": 2, "total": 3}], "open": True, "names": ["a", "b"]})
SECRET = "s3cr&t/ü"


@dataclass
class Request:
    line: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Server:
    """Answers every request the same way and keeps what it was sent."""

    url: str = ""
    status: str = "200 OK"
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"fine"
    wait_s: float = 0.0
    endless: bool = False
    cut: bool = False
    requests: list[Request] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            self.requests.append(Request(head[0], headers, body))
            await asyncio.sleep(self.wait_s)
            length = len(self.body) + (1000 if self.cut else 0)
            sent = {"Content-Length": str(length), "Connection": "close", **self.headers}
            if self.endless:
                del sent["Content-Length"]
            lines = [f"HTTP/1.1 {self.status}", *(f"{name}: {value}" for name, value in sent.items())]
            writer.write("\r\n".join([*lines, "", ""]).encode("latin-1") + self.body)
            while self.endless:
                writer.write(b"x" * 1000)
                await writer.drain()
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    @property
    def target(self) -> str:
        return self.requests[-1].line.split(" ")[1]


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Server]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    scripted = Server()
    listening = await asyncio.start_server(scripted.serve, "127.0.0.1", 0)
    scripted.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    async with listening:
        yield scripted


async def ask(
    server: Server, path: str = "/", *, language: str = "en", slots: Any = None, **options: Any
) -> ToolResult:
    request = config.WebRequest(name="ask", url=server.url + path, **options)
    async with a_box(config.Tools(web=[request]), language=language, secrets={"key": SECRET}) as box:
        assert box.runner.registry.problems == []
        tool = box.runner.registry.for_intent(request.intent or "ask")
        assert tool is not None
        return await box.call("ask", "cli", **tool.arguments(slots or {}))


async def test_last_weeks_orders(server: Server) -> None:
    server.body = ORDERS.encode()
    result = await ask(
        server,
        "/v1/{shop}/orders?key={secret:key}",
        intent="CheckOrders",
        query={"week": "{week}", "lang": "de & en"},
        headers={"Authorization": "Bearer {secret:key}"},
        pick={"count": "orders.length", "total": "$.orders.0.total", "open": "open", "names": "names"},
        answer="{count} orders in {shop}, the first over {total}. Open: {open}. By {names}.",
        slots={"shop": "tea & coffee", "week": -1, "unused": "x"},
    )
    assert result.text == "2 orders in tea & coffee, the first over 12.5. Open: yes. By a and b."
    assert result.data == {"count": 2, "total": 12.5, "open": True, "names": ["a", "b"]}
    assert server.target == ("/v1/tea%20%26%20coffee/orders?key=s3cr%26t%2F%C3%BC&week=-1&lang=de+%26+en")
    assert server.requests[0].headers["authorization"].encode("latin-1").decode() == f"Bearer {SECRET}"


async def test_a_json_body_keeps_numbers_and_quotes_text(server: Server) -> None:
    body = {"cups": "{cups}", "note": "for {who}", "fixed": [1, True, None], "key": "{secret:key}"}
    result = await ask(server, method="POST", body=body, slots={"cups": 3, "who": '"}, {"x": 1'})
    assert result.ok
    assert json.loads(server.requests[0].body) == {
        "cups": 3,
        "note": 'for "}, {"x": 1',
        "fixed": [1, True, None],
        "key": SECRET,
    }
    assert server.requests[0].headers["content-type"] == "application/json"


async def test_a_text_body_and_a_text_answer(server: Server) -> None:
    server.body = "  schön \n".encode()
    assert (await ask(server, method="PUT", body="say {what}", slots={"what": "ü"})).text == "schön"
    assert server.requests[0].body.decode() == "say ü"
    assert server.requests[0].headers["content-type"] == "text/plain; charset=utf-8"


async def test_an_empty_answer_is_still_an_answer(server: Server) -> None:
    server.status, server.body = "204 No Content", b""
    assert (await ask(server)).text == "Done."


def prepared(path: str, **slots: Any) -> str:
    """The request target that would be sent."""
    request = config.WebRequest(name="ask", url="http://127.0.0.1" + path)
    url, _, _ = web._build(request, Credentials.__new__(Credentials), slots)
    assert url.host == "127.0.0.1"
    return url.raw_path.decode()


@given(value=st.text(min_size=1))
@example("../../etc")
@example("a?b=c#d")
@example("x&admin=1")
@example("@evil.example/")
@example("%2e%2e%2f")
@example("\\..\\")
def test_a_slot_changes_one_step_of_the_address_and_nothing_else(value: str) -> None:
    try:
        target = prepared("/a/{x}/b?q={x}&z=1", x=value)
    except ToolError as error:
        assert error.code == "web_bad_value"  # noqa: PT017 - most values are fine
        assert value in (".", "..") or "\0" in value
        return
    path, _, query = target.partition("?")
    assert path.count("/") == 3
    assert path.startswith("/a/")
    assert path.endswith("/b")
    assert query.startswith("q=")
    assert query.endswith("&z=1")
    assert query.count("&") == 1
    assert "#" not in target
    assert target.isascii()


@pytest.mark.parametrize(
    ("path", "value"), [("/{x}/b", ".."), ("/{x}", "."), ("/.{x}/", "."), ("/{x}/b", ""), ("/{x}", "\0")]
)
async def test_a_slot_that_would_name_another_place_is_refused(server: Server, path: str, value: str) -> None:
    result = await ask(server, path, slots={"x": value})
    assert result.error_code == "web_bad_value"
    assert server.requests == []


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\0b", "\x7f"])
async def test_a_slot_cannot_add_a_header(server: Server, value: str) -> None:
    assert (await ask(server, headers={"X-Who": "{x}"}, slots={"x": value})).error_code == "web_bad_value"
    assert server.requests == []


async def test_a_missing_slot_is_refused(server: Server) -> None:
    assert (await ask(server, "/{x}")).error_code == "tool_bad_arguments"


async def test_a_secret_that_is_set_nowhere(server: Server) -> None:
    result = await ask(server, headers={"X-Key": "{secret:other}"})
    assert (result.error_code, result.text) == (
        "secret_missing",
        "Sorry, a password or key that this needs is not set.",
    )


def answers(**how: Any) -> Callable[[Server], None]:
    def script(server: Server) -> None:
        for name, value in how.items():
            setattr(server, name, value)

    return script


@pytest.mark.parametrize(
    ("script", "options", "code"),
    [
        (answers(status="404 Not Found"), {}, "web_status"),
        (answers(status="500 Oh"), {}, "web_status"),
        (answers(status="302 Found", headers={"Location": "/other"}), {}, "web_redirect"),
        (answers(status="307 Go", headers={"Location": "http://192.0.2.1/"}), {}, "web_redirect"),
        (answers(status="304 Not Modified", body=b""), {}, "web_redirect"),
        (answers(body=b"x" * 2001), {"max_bytes": 2000}, "web_too_large"),
        (answers(endless=True), {"max_bytes": 2000}, "web_too_large"),
        (answers(body=gzip.compress(b"x" * 9999), headers={"Content-Encoding": "gzip"}), {}, "web_too_large"),
        (answers(cut=True), {}, "web_unreachable"),
        (answers(status="nonsense"), {}, "web_unreachable"),
        (answers(wait_s=5.0), {"timeout_s": 0.1}, "web_timeout"),
        (answers(body=b"<html>"), {"pick": {"a": "a"}}, "web_not_json"),
        (answers(body=b"[" * 5000), {"pick": {"a": "a"}}, "web_not_json"),
        (answers(body=b"{}"), {"pick": {"a": "a"}}, "web_no_value"),
        (answers(body=b'{"a": {"b": 1}}'), {"pick": {"a": "a"}}, "web_no_value"),
    ],
)
async def test_what_can_go_wrong_has_a_code_and_names_neither_url_nor_secret(
    server: Server, caplog: pytest.LogCaptureFixture, script: Callable[[Server], None], options: Any, code: str
) -> None:
    script(server)
    caplog.set_level("INFO", "agentbox")
    result = await ask(server, "/private?key={secret:key}", answer="{a}", **options)
    assert result.error_code == code
    told = (
        result.text
        + str(result.data)
        + "".join(record.getMessage() for record in caplog.records if record.name.startswith("agentbox"))
    )
    assert "127.0.0.1" not in told
    assert "private" not in told
    assert "s3cr" not in told


async def test_nobody_is_there(server: Server) -> None:
    server.url = "http://127.0.0.1:9"
    result = await ask(server)
    assert (result.error_code, result.text) == ("web_unreachable", "Sorry, I cannot reach the service.")
    assert (await ask(server, language="zh")).text == "抱歉，连不上服务。"


async def test_the_owners_own_words_for_a_failure(server: Server) -> None:
    server.status = "503 Later"
    assert (await ask(server, failure="The shop is closed.")).text == "The shop is closed."


@pytest.mark.parametrize(
    "options",
    [
        {"url": "http://{host}/"},
        {"url": "http://a.example:{port}/"},
        {"url": "http://user:{secret:key}@a.example/"},
        {"url": "http://user:pw@a.example/"},
        {"url": "http://[::1/"},
        {"url": "http://a.example/", "answer": "{secret:key}"},
        {"url": "http://a.example/", "failure": "{secret:key}"},
        {"url": "http://a.example/", "pick": {"a": "a..b"}},
    ],
)
def test_what_the_owner_wrote_is_checked_when_it_is_read(options: dict[str, Any]) -> None:
    request = config.WebRequest(name="ask", **options)
    with pytest.raises(ToolError) as raised:
        web.web_tool(request, Credentials.__new__(Credentials))
    assert raised.value.code == "web_request_wrong"


def test_what_only_reads_is_harmless_and_what_writes_asks_first() -> None:
    def declared(method: Any) -> tuple[bool, str, bool]:
        request = config.WebRequest(name="ask", url="http://a.example/", method=method)
        tool = web.web_tool(request, Credentials.__new__(Credentials))
        return tool.effects, tool.risk, tool.idempotent

    assert declared("GET") == (False, "normal", True)
    assert declared("POST") == (True, "risky", False)
    assert declared("DELETE") == (True, "risky", True)
