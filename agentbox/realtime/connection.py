"""The one WebSocket shell: connects an adapter to its vendor, carries frames both ways, and counts what left the box.

What goes wrong in between (no name server, a wrong clock, a refused key) becomes a `Failure` that says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidProxy,
    InvalidStatus,
    InvalidURI,
    ProxyError,
    WebSocketException,
)

from agentbox.realtime.events import Event, Failed
from agentbox.realtime.failures import CloudError, Failure, failure, of_status, of_words
from agentbox.realtime.session import Endpoint, Frame, Session

OPEN_S = 5.0
"""To reach the service and to be let in. Whoever needs longer is too slow to talk to."""

CLOSE_S = 1.0
"""For the other side's farewell."""

MAX_FRAME_BYTES = 16 << 20
"""The largest frame that is read; vendors send some seconds of sound in one at most."""

_CLOCK_CODES = (9, 10)
"""X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED (OpenSSL, x509_vfy.h)."""

S = TypeVar("S", bound=Session)


@dataclass(slots=True)
class Traffic:
    """What went over a connection, in bytes: the handshake, and the frames."""

    bytes_out: int = 0
    bytes_in: int = 0


class _Counted(ClientConnection):
    """Its handshake is counted as well, however it ends: the key is in it."""

    def __init__(self, *given: Any, traffic: Traffic, **named: Any) -> None:
        super().__init__(*given, **named)
        self.traffic = traffic

    async def handshake(self, *given: Any, **named: Any) -> None:
        try:
            await super().handshake(*given, **named)
        finally:
            if self.request is not None:
                self.traffic.bytes_out += len(self.request.serialize())
            if self.response is not None:
                self.traffic.bytes_in += len(self.response.serialize())


class _NoDetours(connect):
    """A service that sends one elsewhere would be sent the key there as well."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class Connection(Generic[S]):
    """One connection of one adapter: `async with Connection(adapter) as connection`.

    After each command to `session` call `flush`. `async for event in connection` gives what the other side tells, and
    ends after a `Failed` that ended the session. Raises `CloudError` where no connection can be had.
    """

    def __init__(self, session: S, *, tls: ssl.SSLContext | None = None, open_s: float = OPEN_S) -> None:
        self.session = session
        self.traffic = Traffic()
        self._tls = tls
        self._open_s = open_s
        self._socket: ClientConnection | None = None
        self._to_send: asyncio.Queue[Frame | None] = asyncio.Queue()
        self._sender: asyncio.Task[None] | None = None
        self._first: Sequence[Event] = ()

    async def __aenter__(self) -> Connection[S]:
        self._socket = await _connected(self.session.endpoint, self._tls, self._open_s, self.traffic)
        self._sender = asyncio.create_task(self._send_all(self._socket), name="cloud-send")
        self._first = self.session.opened() or ()
        self.flush()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Say goodbye, as far as the protocol has a word for it, and hang up. May be called twice, and before it was
        connected."""
        connection, self._socket = self._socket, None
        if connection is None or self._sender is None:
            return
        try:
            self.session.finish()
            self.flush()
            self._to_send.put_nowait(None)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_S):
                    await asyncio.wait([self._sender])
        finally:
            self._sender.cancel()
            await connection.close()

    def abort(self) -> None:
        """Hang up at once, without a word."""
        connection, self._socket = self._socket, None
        if self._sender is not None:
            self._sender.cancel()
        if connection is not None:
            connection.transport.abort()

    def flush(self) -> None:
        """Send what the adapter wants sent, in order, without waiting for it."""
        for frame in self.session.frames():
            self._to_send.put_nowait(frame)

    async def __aiter__(self) -> AsyncIterator[Event]:
        connection = self._socket
        assert connection is not None
        first, self._first = self._first, ()
        for event in first:
            yield event
        over = False
        while not over:
            try:
                frame: Frame = await connection.recv()
            except ConnectionClosed as closed:
                code = closed.rcvd.code if closed.rcvd is not None else None
                reason = closed.rcvd.reason if closed.rcvd is not None else ""
                events = self.session.closed(code, reason)
                over = True
            else:
                self.traffic.bytes_in += len(frame)
                events = self.session.receive(frame)
                self.flush()
            for event in events:
                yield event
                over = over or (isinstance(event, Failed) and event.session)

    async def _send_all(self, connection: ClientConnection) -> None:
        while (frame := await self._to_send.get()) is not None:
            # Before: who is cut off while it is on its way has sent it all the same.
            self.traffic.bytes_out += len(frame)
            try:
                await connection.send(frame)
            except ConnectionClosed:
                return  # whoever reads is told why


def is_loopback(url: str) -> bool:
    """Whether an address is on this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


async def _connected(
    endpoint: Endpoint, tls: ssl.SSLContext | None, open_s: float, traffic: Traffic
) -> ClientConnection:
    """Raises `CloudError`, whose code is one of `failures.PROBLEMS`."""
    secure = endpoint.url.startswith("wss:")
    try:
        return await _NoDetours(
            endpoint.url,
            additional_headers=dict(endpoint.headers),
            ssl=(tls or ssl.create_default_context()) if secure else None,
            proxy=None if is_loopback(endpoint.url) else True,  # what is on this machine is not reached by a proxy
            compression=None,  # sound does not get smaller, and a zip bomb stays small
            open_timeout=open_s,
            ping_interval=endpoint.ping_s,
            ping_timeout=endpoint.ping_s,
            close_timeout=CLOSE_S,
            max_size=MAX_FRAME_BYTES,
            user_agent_header="agentbox",
            create_connection=partial(_Counted, traffic=traffic),  # type: ignore[arg-type]  # it is only called
        )
    except (OSError, WebSocketException, ValueError, ImportError) as error:
        # The cause may quote the address with its query, or a header.
        raise unreachable(error) from None


def unreachable(error: Exception) -> CloudError:
    """Why a connection could not be had."""
    return CloudError(_why(error))


def _why(error: Exception) -> Failure:
    match error:
        case InvalidStatus():
            failed = of_status(error.response.status_code)
            body = (error.response.body or b"")[:4096].decode("utf-8", "replace")
            return of_words(failed.vendor_code, body, default=failed.code)
        case ImportError() | InvalidProxy() | ProxyError():
            # A kind of proxy that there is no support for, or none.
            return failure("cloud_proxy")
        case TimeoutError():
            return failure("cloud_timeout")
        case socket.gaierror():
            return failure("cloud_dns")
        case ssl.SSLCertVerificationError():
            return failure("cloud_clock" if error.verify_code in _CLOCK_CODES else "cloud_tls")
        case ssl.SSLError():
            return failure("cloud_tls")
        case InvalidURI() | ValueError():
            return failure("cloud_address")
        case InvalidHandshake():
            return failure("cloud_protocol")
        case _:
            return failure("cloud_unreachable")
