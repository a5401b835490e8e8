"""Takes connections from the sockets that the daemon handed over: who may connect, how many, and for how long.

The first byte tells TLS from plain HTTP, which gets a redirect and nothing else. A connection that says nothing costs a
file descriptor for `FIRST_S` seconds; one address cannot hold more than `MOST_BY_ADDRESS` of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from agentbox.networks import is_local

MOST_OPEN = 256
MOST_BY_ADDRESS = 32
FIRST_S = 5.0
"""Until the first byte, and then again until TLS is set up."""

REQUEST_S = 10.0
"""Until the head of a request is whole, the first one's and each one's after it."""

STALL_S = 30.0
"""Who takes nothing of an answer for so long is gone."""

MOST_HEAD_BYTES = 16 << 10
MOST_SOCKET_BYTES = 64 << 10
_TLS_HANDSHAKE = b"\x16"


class Listener:
    """`start()`, then `await close()`. `names`: where a plain request may be sent on to."""

    def __init__(
        self, sockets: Sequence[socket.socket], tls: ssl.SSLContext, app: Callable[..., Any], names: Collection[str]
    ) -> None:
        self._sockets = sockets
        self._tls = tls
        self._names = names
        self._open: Counter[str] = Counter()
        self._none_open = asyncio.Event()
        self._greeting: set[asyncio.Task[None]] = set()
        self._state = _State(self._left)
        self._config = uvicorn.Config(
            app,
            lifespan="off",
            ws=_SocketProtocol,
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=15,
            h11_max_incomplete_event_size=MOST_HEAD_BYTES,
            ws_max_size=MOST_SOCKET_BYTES,
            ws_per_message_deflate=False,
        )
        self._config.load()

    @property
    def count(self) -> int:
        """Connections that are open, or about to be."""
        return self._open.total()

    def start(self) -> None:
        for listener in self._sockets:
            listener.setblocking(False)
            asyncio.get_running_loop().add_reader(listener, self._accept, listener)

    async def close(self, limit_s: float = 1.0) -> None:
        """Take no more; requests under way may end within `limit_s`."""
        for listener in self._sockets:
            asyncio.get_running_loop().remove_reader(listener)
        for greeting in self._greeting:
            greeting.cancel()
        for connection in list(self._state.connections):
            connection.shutdown()
        if self._open:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._none_open.wait(), limit_s)

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            connection, peer = listener.accept()
            address = str(peer[0])
            if self.count >= MOST_OPEN or self._open[address] >= MOST_BY_ADDRESS or not is_local(address):
                connection.close()
                return
            connection.setblocking(False)
            self._open[address] += 1
            self._none_open.clear()
            task = asyncio.create_task(self._greet(connection, address), name="greeting")
            self._greeting.add(task)
            task.add_done_callback(self._greeting.discard)

    def _left(self, address: str) -> None:
        self._open[address] -= 1
        if self._open[address] <= 0:
            del self._open[address]
        if not self._open:
            self._none_open.set()

    async def _greet(self, connection: socket.socket, address: str) -> None:
        """From a bare connection to one that speaks HTTP, or to its end."""
        loop = asyncio.get_running_loop()
        handed_over = False
        try:
            first = await _peek(connection)
            if first == _TLS_HANDSHAKE:
                await loop.connect_accepted_socket(
                    lambda: _Protocol(self._config, self._state, {}, address=address),
                    connection,
                    ssl=self._tls,
                    ssl_handshake_timeout=FIRST_S,
                    ssl_shutdown_timeout=FIRST_S,
                )
                handed_over = True
            elif first:
                async with asyncio.timeout(FIRST_S):
                    await _redirect(connection, self._names)
        except OSError:  # gone, silent (`TimeoutError` is one), or not TLS after all (`SSLError` too)
            pass
        finally:
            if not handed_over:
                connection.close()
                self._left(address)


class _State(ServerState):
    """What all connections share; `left` is told the address of each that ended."""

    def __init__(self, left: Callable[[str], None]) -> None:
        super().__init__()
        self.left = left


class _Protocol(H11Protocol):
    """HTTP for one connection, which may become a WebSocket. Who is slow is let go: with a request's head, with a body
    that nobody waits for any more, and with taking an answer."""

    def __init__(self, config: uvicorn.Config, state: _State, app_state: dict[str, Any], *, address: str) -> None:
        super().__init__(config, state, app_state)
        self._address = address
        self._left = state.left
        self._heading: asyncio.TimerHandle | None = None
        self._stalling: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._heading = self.loop.call_later(REQUEST_S, self._too_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stop(self._heading)
        self._stop(self._stalling)
        self._left(self._address)

    def handle_events(self) -> None:
        super().handle_events()
        theirs = self.conn.their_state
        unread = theirs is h11.SEND_BODY and self.conn.our_state is h11.DONE  # refused before it was whole
        waits = (theirs is h11.IDLE or unread) and self.timeout_keep_alive_task is None
        if not waits:
            self._stop(self._heading)
            self._heading = None
        elif self._heading is None:
            self._heading = self.loop.call_later(REQUEST_S, self._too_slow)

    def send_400_response(self, msg: str) -> None:
        if self.cycle is not None and not self.cycle.response_complete:  # type: ignore[redundant-expr]  # it may be
            # What is being made has no reader; begun, it cannot become an error any more.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            if self.cycle.response_started:
                self.transport.abort()
                return
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.close()  # everything was said already, and what still comes is nonsense
            return
        super().send_400_response(msg)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._stalling is None:
            self._stalling = self.loop.call_later(STALL_S, self._too_slow)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop(self._stalling)
        self._stalling = None

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        self._stop(self._heading)
        self._stop(self._stalling)
        super().handle_websocket_upgrade(event)

    @staticmethod
    def _stop(timer: asyncio.TimerHandle | None) -> None:
        if timer is not None:
            timer.cancel()

    def _too_slow(self) -> None:
        self.transport.abort()


class _SocketProtocol(WebSocketsSansIOProtocol):
    """What an upgraded connection speaks to its end."""

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        state = self.server_state
        assert isinstance(state, _State)
        state.left(self.client[0] if self.client else "")

    def __init__(self, config: uvicorn.Config, server_state: ServerState, app_state: dict[str, Any]) -> None:
        super().__init__(config, server_state, app_state)
        self.server_state = server_state


def host_of(header: str) -> str:
    """The host of a Host header, without its port; empty for what is no host (RFC 9110, section 7.2)."""
    found = re.fullmatch(r"(?:\[([0-9a-fA-F:]+)\]|([0-9A-Za-z.-]+))(?::[0-9]{1,5})?", header)
    return (found[1] or found[2]).lower() if found else ""


def secure(certificate: str) -> ssl.SSLContext:
    """TLS 1.2 or later, with the key and chain of one PEM file. Raises `OSError`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate)
    context.set_alpn_protocols(["http/1.1"])
    return context


async def _peek(connection: socket.socket) -> bytes:
    """The first byte, which stays where it is. Raises `TimeoutError`, `OSError`."""
    loop = asyncio.get_running_loop()
    there = asyncio.Event()
    loop.add_reader(connection, there.set)
    try:
        async with asyncio.timeout(FIRST_S):
            await there.wait()
    finally:
        loop.remove_reader(connection)
    return connection.recv(1, socket.MSG_PEEK)


async def _redirect(connection: socket.socket, names: Collection[str]) -> None:
    """Answer a plain request with where the page is, if it is for a host of the box's own. Raises `OSError`."""
    loop = asyncio.get_running_loop()
    head = b""
    while b"\r\n\r\n" not in head and len(head) < MOST_HEAD_BYTES:
        more = await loop.sock_recv(connection, 4096)
        if not more:
            return
        head += more
    hosts = [line[5:].strip() for line in head.decode("latin-1").split("\r\n") if line.lower().startswith("host:")]
    if len(hosts) == 1 and host_of(hosts[0]) in names:
        answer = f"308 Permanent Redirect\r\nLocation: https://{hosts[0]}/"
    else:
        answer = "400 Bad Request"
    end = "Content-Length: 0\r\nConnection: close\r\n\r\n"
    await loop.sock_sendall(connection, f"HTTP/1.1 {answer}\r\n{end}".encode("latin-1"))
