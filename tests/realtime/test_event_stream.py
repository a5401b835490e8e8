"""What goes wrong on the way to a text model, with real sockets: each becomes an error that says what to do."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from agentbox.realtime.event_stream import EventStreams
from agentbox.realtime.failures import CloudError
from agentbox.realtime.text_model import Request
from tests.realtime.servers.base import KEY
from tests.realtime.servers.chat import ChatServer
from tests.realtime.servers.http import MODEL

BODY = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": "hi"}]}).encode()


@asynccontextmanager
async def streams(**settings: Any) -> AsyncIterator[EventStreams]:
    made = EventStreams(**settings)
    try:
        yield made
    finally:
        await made.close()


def to(url: str, key: str = KEY, body: bytes = BODY) -> Request:
    return Request(f"{url}/v1/chat/completions", {"Authorization": f"Bearer {key}"}, body)


async def failed(request: Request, **settings: Any) -> str:
    async with streams(**settings) as sender:
        with pytest.raises(CloudError) as caught:
            async for _ in sender.post(request):
                pass
    assert caught.value.__cause__ is None
    assert KEY not in str(caught.value)
    return caught.value.code


def answer(status: int, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} Hm", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def error(kind: str, words: str, code: str | None = None) -> bytes:
    return json.dumps({"error": {"type": kind, "message": words, "code": code}}).encode()


def certificate(folder: Path, *, until: timedelta) -> Path:
    """Key and certificate for 127.0.0.1 in one file; valid for ten days `until` then, counted from now."""
    pytest.importorskip("cryptography")
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "box")])
    end = datetime.now(UTC) + until
    host = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(end - timedelta(days=10)).not_valid_after(end).add_extension(host, False)
    plain = serialization.NoEncryption()
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    path = folder / "both.pem"
    path.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(pem) + key.private_bytes(pem, form, plain))
    return path


def invalid(words: str, code: str | None = None) -> bytes:
    return error("invalid_request_error", words, code)


EVENTS = "Content-Type: text/event-stream"
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
JSON_TYPE = "Content-Type: application/json"


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (answer(400, invalid("Arrearage: your account is in debt", "Arrearage")), "cloud_credit"),
        (answer(400, invalid("no", "InvalidParameter.NotSupportEnableThinking")), "cloud_settings"),
        (answer(400, invalid("Unsupported parameter: 'max_tokens'")), "cloud_settings"),
        (answer(400, invalid("max_tokens is too large: 9")), "cloud_settings"),
        (answer(400, invalid("This model's maximum context length is 8 tokens")), "cloud_input"),
        (answer(400, invalid("Your credit balance is too low")), "cloud_credit"),
        (answer(400, invalid("hm")), "cloud_refused"),
        (answer(401, error("authentication_error", "invalid x-api-key")), "cloud_key"),
        (answer(401, b"<html>who are you?"), "cloud_key"),
        (answer(403, error("permission_error", "missing scope")), "cloud_denied"),
        (answer(404, error("not_found_error", "model: claude-x")), "cloud_model"),
        (answer(404, b'{"error": "model \\"x\\" not found, try pulling it first"}'), "cloud_model"),
        (answer(404, b"404 page not found"), "cloud_address"),
        (answer(302, b"", "Location: http://127.0.0.1:1/steal"), "cloud_address"),
        (answer(308, b"", "Location: /v1/chat/completions"), "cloud_address"),
        (answer(413, error("request_too_large", "Request exceeds the maximum size")), "cloud_input"),
        (answer(429, error("rate_limit_error", "slow down")), "cloud_busy"),
        (answer(429, error("insufficient_quota", "You exceeded your quota", "insufficient_quota")), "cloud_credit"),
        (answer(500, b"billing rate limit idle"), "cloud_down"),
        (answer(529, error("overloaded_error", "Overloaded")), "cloud_busy"),
        (answer(200, error("api_error", "hm"), JSON_TYPE), "cloud_down"),
        (answer(200, b'{"choices": []}', JSON_TYPE), "cloud_protocol"),
        (answer(200, b"<html>log in to this network", "Content-Type: text/html"), "cloud_protocol"),
        (answer(204, b"", EVENTS), "cloud_protocol"),
        (answer(200, gzip.compress(b"data: x\n\n"), EVENTS, "Content-Encoding: gzip"), "cloud_protocol"),
        (answer(200, b"data: x\n\n" * 300_000, EVENTS), "cloud_protocol"),
        (answer(200, b"data: " + b"x" * 3_000_000, EVENTS), "cloud_protocol"),
        (answer(500, b"x" * 3_000_000), "cloud_down"),
        (STREAM + b"Content-Length: 99\r\n\r\ndata: x\n\n", "cloud_closed"),
        (STREAM + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", "cloud_protocol"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "cloud_protocol"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000, "cloud_protocol"),
        (b"", "cloud_closed"),
    ],
)  # fmt: skip
async def test_what_a_service_may_answer(raw: bytes, code: str) -> None:
    async with ChatServer() as server:
        server.raw = raw
        assert await failed(to(server.url), max_bytes=1 << 20) == code
        assert len(server.posted) == 1  # nothing is tried again, no redirect followed


@pytest.mark.parametrize("claimed", ["utf-8", "latin-1", "hex", "idna", "utf-7", "nonsense"])
async def test_a_stream_is_read_as_utf8_whatever_it_claims(claimed: str) -> None:
    async with ChatServer() as server, streams() as sender:
        server.raw = answer(200, "data: 你好\n\ndata: \xff\n\n".encode(), f"{EVENTS}; charset={claimed}")
        assert [data async for data in sender.post(to(server.url))] == ["你好", "\xff"]


async def test_nobody_is_there() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        assert await failed(to(f"http://127.0.0.1:{taken.getsockname()[1]}")) == "cloud_unreachable"


async def test_a_name_that_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*asked: Any, **hints: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    # Not the machine's own: some resolvers take longer than a connection may.
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert await failed(to("http://box.invalid")) == "cloud_dns"


@pytest.mark.parametrize("url", ["", "box", "ftp://127.0.0.1", "http://", "http://[::1", "http://127.0.0.1:99999"])
async def test_what_is_no_address(url: str) -> None:
    assert await failed(to(url)) == "cloud_address"


@pytest.mark.parametrize("key", [f"{KEY}\nX-Other: 1", f"{KEY}\r", f"{KEY}é", f"{KEY}\0"])
async def test_a_key_that_no_header_can_hold_is_never_sent_nor_quoted(key: str) -> None:
    async with ChatServer() as server:
        assert await failed(to(server.url, key)) == "cloud_key"
        assert server.posted == []


async def test_a_service_that_says_nothing_is_left() -> None:
    async with ChatServer() as server:
        server.hold_events = 1
        assert await failed(to(server.url), read_s=0.2) == "cloud_timeout"
        await asyncio.wait_for(server.hung_up.wait(), 10)


async def test_its_own_machine_is_asked_past_any_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    async with ChatServer() as proxy, ChatServer() as server, streams() as sender:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        assert [data async for data in sender.post(to(server.url))]
        assert proxy.connections == 0


async def test_others_are_asked_by_the_proxy_that_the_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    async with ChatServer() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        proxy.raw = answer(503, b"")
        assert await failed(to("http://model.invalid")) == "cloud_down"
        assert proxy.posted[0].path == "http://model.invalid/v1/chat/completions"


@pytest.mark.parametrize("proxy", ["gopher://127.0.0.1:1", "http://[::1"])
async def test_a_proxy_that_is_none(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", proxy)
    assert await failed(to("http://model.invalid")) == "cloud_proxy"


async def test_a_certificate_must_be_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = certificate(tmp_path, until=timedelta(days=2))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    async with ChatServer(tls=context) as server:
        assert await failed(to(server.url)) == "cloud_tls"
        monkeypatch.setenv("SSL_CERT_FILE", str(path))
        async with streams() as sender:
            assert [data async for data in sender.post(to(server.url))]
        monkeypatch.delenv("SSL_CERT_FILE")
        async with streams(tls=ssl.create_default_context(cafile=str(path))) as sender:
            assert [data async for data in sender.post(to(server.url))]


async def test_a_certificate_of_another_time_speaks_of_the_clock(tmp_path: Path) -> None:
    path = certificate(tmp_path, until=timedelta(days=-2))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    async with ChatServer(tls=context) as server:
        assert await failed(to(server.url), tls=ssl.create_default_context(cafile=str(path))) == "cloud_clock"


async def test_a_server_without_tls_behind_https() -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        assert await failed(to(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}")) == "cloud_tls"
