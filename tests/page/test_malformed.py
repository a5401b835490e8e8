"""What is no HTTP, no TLS, too much or too slow, over real sockets: an answer of 4xx or none, and nothing breaks."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentbox.page.guard import MOST_BODY_BYTES
from agentbox.page.listen import MOST_HEAD_BYTES, _redirect
from tests.page.conftest import Daemon
from tests.page.wire import connect, head, rest, say, status


@pytest.fixture(autouse=True)
def _no_trace_of_a_mistake(daemon: Daemon) -> Iterator[None]:
    """The page's log is the daemon's."""
    yield
    assert "Traceback" not in daemon.log()
    assert "Exception" not in daemon.log()


def test_a_head_or_a_body_that_is_too_long_is_refused(daemon: Daemon) -> None:
    assert status(say(daemon, head(daemon, "GET /pair", "X: " + "x" * (MOST_HEAD_BYTES // 2)))) == 200
    assert status(say(daemon, head(daemon, "GET /pair", "X: " + "x" * MOST_HEAD_BYTES))) in (400, 431)
    assert status(say(daemon, head(daemon, "GET /" + "x" * MOST_HEAD_BYTES))) in (400, 414, 431)
    assert status(say(daemon, head(daemon, "POST /pair", f"Content-Length: {MOST_BODY_BYTES + 1}"))) == 413
    chunked = head(daemon, "POST /pair", "Transfer-Encoding: chunked")
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    assert status(say(daemon, chunked, chunk * 17)) == 413
    assert status(say(daemon, chunked, b"5\r\ncode=\r\n0\r\n\r\n")) == 403  # a code that is wrong: it was read


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([b"GET /pair HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n"], {200}),
        ([b"GET /pair HTTP/1.0\r\n\r\n"], {421}),
        ([b"GET /pair HTTP/1.1\r\n\r\n"], {400}),
        ([b"GET /pair HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\n\r\n"], {400, 421}),
        ([b"GET /pair HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: 127.0.0.1\r\n\r\n"], {400, 421}),
        ([b"GET https://evil.example/ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"], {400}),
        ([b"GET https://127.0.0.1/pair HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"], {400}),
        ([b"GET [ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"], {400}),
        ([b"GET @evil[ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"], {400}),
        ([b"OPTIONS * HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"], {400, 405}),
        ([b"CONNECT evil.example:443 HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"], {400, 404, 405}),
        ([b"TRACE /pair HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"], {405}),
        ([b"GET /%ff%fe%00 HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"], {404}),
        ([b"GET /pair\xff HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"], {400}),
        ([b"GET /pair HTTP/9.9\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"], {200, 400}),
        ([b"GET  /pair HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"], {400}),
        ([b"GET /pair HTTP/1.1\r\nHost : 127.0.0.1\r\n\r\n"], {400}),
        ([b"GET /pair HTTP/1.1\r\nHost: 127.0.0.1\r\nX: a\r\n b\r\nConnection: close\r\n\r\n"], {200, 400}),
        ([b"GET /pair HTTP/1.1\r\nHost: 127.0.0.1\r\nX: \x00\r\n\r\n"], {400}),
        ([b"GET /pair HTTP/1.1\nHost: 127.0.0.1\nConnection: close\n\n"], {200, 400}),
        ([b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"], {400}),
        ([b"\r\n\r\n\r\n\x00\x01\x02\r\n\r\n"], {400}),
        ([b"POST /pair HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello"], {400}),
        ([b"POST /pair HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -5\r\n\r\n"], {400}),
        ([b"POST /pair HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: gzip\r\n\r\n"], {400, 501}),
        ([b"POST /pair HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"], {400}),
        ([b"POST /pair HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"3\r\n", b"abcdef"], {400}),
        ([b"POST /devices HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"x\r\n"], {400, 405}),
        (
            [
                b"POST /pair HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n"
                b"Connection: close\r\n\r\n0\r\n\r\nGET /devices HTTP/1.1\r\n\r\n"
            ],
            {400, 403},
        ),
        (
            [b"GET /live HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"],
            {400, 403, 426},
        ),
        ([b"GET /live HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"], {404}),
        ([b"GET /nothing HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: h2c\r\nConnection: Upgrade, close\r\n\r\n"], {404}),
    ],
)
def test_what_is_odd_is_answered_or_refused_and_breaks_nothing(
    daemon: Daemon, pieces: list[bytes], expected: set[int]
) -> None:
    assert status(say(daemon, *pieces)) in expected
    assert daemon.browser().get("/pair").status_code == 200


def test_requests_in_a_row_are_answered_in_their_order(daemon: Daemon) -> None:
    """Pipelining (RFC 9112, section 9.3.2); what comes after one that asks to close is not looked at."""
    first, last = head(daemon, "GET /static/page.css", close=False), head(daemon, "GET /nothing")
    answer = say(daemon, first * 20 + last + first)
    assert [int(one) for one in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)] == [200] * 20 + [404]


def test_garbage_as_a_second_request_and_as_a_socket(daemon: Daemon) -> None:
    good = head(daemon, "GET /pair", close=False)
    assert b"HTTP/1.1 400" in say(daemon, good, b"\x00\xff\r\n\r\n")
    upgrade = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    asked = head(daemon, "GET /live", *upgrade, key, f"Origin: https://127.0.0.1:{daemon.port}", close=False)
    frames = (b"\x81\x82abcd" + bytes((0xFF ^ 0x61, 0xFE ^ 0x62)), b"\xff" * 20, b"\x82\x80abcd", b"\x81\x05hello")
    # At once: the box waits 10 s for the answer to its goodbye.
    with ThreadPoolExecutor(len(frames)) as pool:
        answers = list(pool.map(lambda frame: say(daemon, asked, frame), frames))
    assert [status(answer) for answer in answers] == [101] * len(frames)


def test_only_a_modern_handshake_is_answered(daemon: Daemon) -> None:
    for version in ("TLSv1", "TLSv1_1"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
            context.minimum_version, context.maximum_version = ssl.TLSVersion.MINIMUM_SUPPORTED, ssl.TLSVersion[version]
        with socket.create_connection(("127.0.0.1", daemon.port), 10) as plain, pytest.raises((ssl.SSLError, OSError)):
            context.wrap_socket(plain)
    with connect(daemon) as modern:
        assert modern.version() in ("TLSv1.2", "TLSv1.3")
        assert modern.selected_alpn_protocol() is None


def test_who_is_slow_is_let_go(daemon: Daemon) -> None:
    """Not a byte, half a handshake, half a head, half a second head, half a body, nothing after an answer, and blank
    lines for ever: whoever holds on is hung up on."""
    place = ("127.0.0.1", daemon.port)
    plain: list[socket.socket] = [socket.create_connection(place, 40), socket.create_connection(place, 40)]
    plain[1].sendall(b"\x16\x03\x01")
    good = head(daemon, "GET /pair", close=False)
    body = head(daemon, "POST /pair", "Content-Length: 100", close=False)
    refused = head(daemon, "POST /talk", "Content-Length: 100", close=False)
    secure: list[socket.socket] = [connect(daemon, limit_s=40) for _ in range(7)]
    for connection, data in zip(
        secure, (b"", good[:20], good + good[:20], good + b"\r\n", body, refused, good), strict=True
    ):
        connection.sendall(data)
    everyone = [*plain, *secure]
    answers = [rest(connection) for connection in everyone]
    assert [status(answer) for answer in answers] == [0, 0, 0, 0, 200, 200, 408, 401, 200]
    for connection in everyone:
        connection.close()


HOST = st.binary(max_size=60) | st.sampled_from(
    [b"desk.local", b"desk.local:8443", b"[::1]:8443", b"desk.local\r\nX: y"]
)
PLAIN = st.builds(
    lambda path, host: b"GET /%b HTTP/1.1\r\nHost: %b\r\n\r\n" % (path, host), st.binary(max_size=60), HOST
)


@given(st.binary(max_size=300) | PLAIN)
@settings(deadline=None, derandomize=True)
def test_plain_http_is_sent_on_to_the_box_or_refused(request_bytes: bytes) -> None:
    async def walk() -> bytes:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            theirs.sendall(request_bytes)
            theirs.shutdown(socket.SHUT_WR)
            await _redirect(ours, {"desk.local", "::1"})
            ours.close()
            return rest(theirs)

    answer = asyncio.run(walk())
    assert status(answer) in (0, 308, 400)
    assert answer.count(b"\r\n\r\n") <= 1
    places = [line for line in answer.split(b"\r\n") if line.lower().startswith(b"location:")]
    assert all(
        line.lower().startswith((b"location: https://desk.local", b"location: https://[::1]")) for line in places
    )


def test_plain_http_is_sent_on_over_a_real_socket(daemon: Daemon) -> None:
    for asked, expected in (
        (b"GET /devices?x=1 HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % daemon.port, 308),
        (b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 400),
        (b"\x80\x2e\x01\x00\x02\r\n\r\n", 400),
    ):
        with socket.create_connection(("127.0.0.1", daemon.port), 20) as plain:
            plain.sendall(asked)
            answer = rest(plain)
        assert status(answer) == expected
        if expected == 308:
            assert b"Location: https://127.0.0.1:%d/\r\n" % daemon.port in answer
