"""What every request passes first, asked without a network."""

from __future__ import annotations

import logging
import sys

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from agentbox.messages import MOST_ARCHIVE_BYTES
from agentbox.page.__main__ import plain
from agentbox.page.guard import HEADERS, MOST_BODY_BYTES, Guard
from agentbox.page.listen import host_of

NAMES = frozenset(("desk.local", "192.168.1.5", "localhost", "::1"))


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    body = await Request(scope, receive).body()
    answer: Response = PlainTextResponse(f"{len(body)} bytes")
    await answer(scope, receive, send)


def browser() -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(Guard(app, NAMES)), base_url="https://desk.local:8443")


@pytest.mark.parametrize("host", ["desk.local", "DESK.local:8443", "192.168.1.5:8443", "[::1]:8443", "localhost"])
async def test_its_own_names_are_answered_with_headers_that_bind_a_browser(host: str) -> None:
    async with browser() as client:
        answer = await client.get("/", headers={"Host": host})
    assert answer.status_code == 200
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS
    policy = answer.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert "strict-transport-security" not in answer.headers


@pytest.mark.parametrize(
    "host", ["evil.example", "desk.local.evil.example", "192.168.1.6", "desk.local@evil.example", "", "desk.local:x"]
)
async def test_another_name_for_its_address_is_refused(host: str) -> None:
    """DNS rebinding: a page of evil.example, whose name has become the box's address."""
    async with browser() as client:
        answer = await client.get("/", headers={"Host": host})
    assert answer.status_code == 421
    assert answer.headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "https://desk.local:8443"}, 200),
        ({"Origin": "https://desk.local:8443", "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": "https://desk.local"}, 403),
        ({"Origin": "http://desk.local:8443"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
    ],
)
async def test_another_sites_page_changes_nothing(headers: dict[str, str], status: int) -> None:
    async with browser() as client:
        assert (await client.post("/", headers=headers, content=b"x")).status_code == status
        assert (await client.get("/", headers=headers)).status_code == 200  # a link on another site is a link


@pytest.mark.parametrize("length", ["-1", "1e9", "x", str(MOST_BODY_BYTES + 1), "9" * 5000])
async def test_a_body_that_is_too_long_is_refused_before_it_is_read(length: str) -> None:
    async with browser() as client:
        answer = await client.post("/", headers={"Content-Length": length}, content=b"x")
    assert answer.status_code == 413


@given(st.text(max_size=100))
def test_a_host_is_a_name_or_nothing(header: str) -> None:
    found = host_of(header)
    assert found == "" or (header.lower().lstrip("[").startswith(found) and not set(found) & set("/@#? \\\r\n"))


def test_a_mistake_is_logged_without_what_was_sent() -> None:
    def logged(message: str, error: Exception) -> logging.LogRecord:
        try:
            raise error
        except Exception:  # as uvicorn does
            return logging.LogRecord("uvicorn.error", logging.ERROR, "", 0, message, (), sys.exc_info())

    record = logged("Exception in ASGI application\n", ValueError("pomegranates"))
    assert plain(record)
    text = logging.Formatter().format(record)
    assert "ValueError" in text
    assert "in logged" in text
    assert "pomegranates" not in text
    assert not plain(logged("Invalid UTF-8 sequence received from client.", ValueError()))


@pytest.mark.parametrize(("more", "status"), [(0, 200), (MOST_BODY_BYTES, 200), (MOST_BODY_BYTES + 1, 413)])
async def test_a_backup_that_the_box_gave_fits_back_in(more: int, status: int) -> None:
    async with browser() as client:
        length = str(MOST_ARCHIVE_BYTES + more)
        answer = await client.post("/system/restore", headers={"Content-Length": length}, content=b"")
    assert answer.status_code == status
