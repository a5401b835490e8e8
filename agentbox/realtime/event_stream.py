"""The one HTTP shell: posts a text model's requests and gives the data of the events that stream back.

What goes wrong in between (no name server, a wrong clock, a refused key) becomes a `CloudError` that says so. Nothing
is tried again here, and no redirect is followed: the key would go along.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import httpx
from httpx_sse import EventSource, SSEError

from agentbox.realtime.connection import OPEN_S, Traffic, is_loopback, unreachable
from agentbox.realtime.failures import CloudError, Failure, failure
from agentbox.realtime.text_model import Request, error_in, failure_of

READ_S = 30.0
"""Between two pieces of an answer. Thinking models and models that are loaded first take their time."""

MAX_BYTES = 4 << 20
"""Of one answer, with all that stands around its words."""

_MOST_OF_REFUSAL = 64 << 10


class EventStreams:
    """Asks one service. Use `close` at the end; connections are kept between requests."""

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        connect_s: float = OPEN_S,
        read_s: float = READ_S,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self.traffic = Traffic()
        """Bodies of requests and answers."""
        self._tls = tls
        self._timeout = httpx.Timeout(read_s, connect=connect_s)
        self._max_bytes = max_bytes
        self._client: httpx.AsyncClient | None = None
        self._is_local = False

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def post(self, request: Request) -> AsyncGenerator[str]:
        """The data of each event of the answer. Raises `CloudError`; closing the generator hangs up."""
        if not all(value.isascii() and value.isprintable() for value in request.headers.values()):
            # It cannot be sent, and what says so quotes it.
            raise CloudError(failure("cloud_key"))
        try:
            async with aclosing(self._data(request)) as events:
                async for data in events:
                    yield data
        except (httpx.HTTPError, httpx.InvalidURL, SSEError, OSError, ValueError) as error:
            # The cause may quote the address or a header.
            raise CloudError(_why(error)) from None

    async def _data(self, request: Request) -> AsyncGenerator[str]:
        client = await self._client_for(request.url)
        headers = {
            "Content-Type": "application/json",
            "Content-Length": str(len(request.body)),
            "Accept": "text/event-stream",
            **request.headers,
        }
        async with client.stream("POST", request.url, headers=headers, content=self._sent(request.body)) as response:
            response.stream = _Counted(response, self.traffic, self._max_bytes)
            response.encoding = "utf-8"  # whatever else they claim: HTML, 9.2.5
            if response.headers.get("content-encoding", "identity").lower() != "identity":
                # Not asked for; what is small here may be huge when unpacked.
                raise CloudError(failure("cloud_protocol"))
            if response.status_code != 200 or "text/event-stream" not in response.headers.get("content-type", ""):
                raise CloudError(await _refusal(response))
            async with aclosing(EventSource(response).aiter_sse()) as events:
                async for event in events:
                    if event.data:
                        yield event.data

    async def _sent(self, body: bytes) -> AsyncIterator[bytes]:
        """`body`, counted when it is sent: an answer may never come."""
        self.traffic.bytes_out += len(body)
        yield body

    async def _client_for(self, url: str) -> httpx.AsyncClient:
        address = httpx.URL(url)
        if not 0 < (address.port or 80) < 65_536:
            raise ValueError  # otherwise found by the operating system only, and told as anything
        is_local = is_loopback(url)
        if self._client is None or is_local != self._is_local:
            await self.close()
            self._is_local = is_local
            self._client = self._made(is_local)
        return self._client

    def _made(self, is_local: bool) -> httpx.AsyncClient:
        try:
            return httpx.AsyncClient(
                headers={"User-Agent": "agentbox", "Accept-Encoding": "identity"},
                verify=self._tls or ssl.create_default_context(),
                timeout=self._timeout,
                follow_redirects=False,
                # What is on this machine is not reached by a proxy, which would be told the key.
                trust_env=not is_local,
            )
        except (ImportError, ValueError, httpx.InvalidURL):
            # A kind of proxy that httpx has no support for, or no address.
            raise CloudError(failure("cloud_proxy")) from None


class _Counted(httpx.AsyncByteStream):
    """The body of an answer, counted and bounded."""

    def __init__(self, response: httpx.Response, traffic: Traffic, max_bytes: int) -> None:
        assert isinstance(response.stream, httpx.AsyncByteStream)
        self._stream = response.stream
        self._traffic = traffic
        self._left = max_bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._stream:
            self._traffic.bytes_in += len(chunk)
            self._left -= len(chunk)
            if self._left < 0:
                raise CloudError(failure("cloud_protocol", "too_large"))
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


async def _refusal(response: httpx.Response) -> Failure:
    """What an answer means that is no event stream."""
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > _MOST_OF_REFUSAL:
            break
    error = error_in(bytes(body))
    if 200 <= response.status_code < 300:
        # Some refuse politely.
        return failure_of(None, error) if isinstance(error, dict) and "message" in error else failure("cloud_protocol")
    return failure_of(response.status_code, error)


def _why(error: Exception) -> Failure:
    match error:
        case httpx.TimeoutException():
            return failure("cloud_timeout")
        case httpx.InvalidURL() | httpx.UnsupportedProtocol() | ValueError():
            return failure("cloud_address")
        case httpx.ConnectError():
            return unreachable(_cause(error)).failure
        case httpx.ReadError() | httpx.WriteError() | httpx.CloseError():
            return failure("cloud_closed")
        case httpx.RemoteProtocolError() if "disconnected" in str(error) or "closed" in str(error):
            # Said of a connection that ends in the middle, and of one that was kept too long.
            return failure("cloud_closed")
        case httpx.ProxyError():
            return failure("cloud_unreachable")
        case _:
            return failure("cloud_protocol")


def _cause(error: BaseException) -> Exception:
    """What a failed connection came of: the first in the chain that tells more than that it failed."""
    below: BaseException | None = error
    while below is not None:
        if isinstance(below, socket.gaierror | ssl.SSLError):
            return below
        below = below.__cause__ or below.__context__
    return OSError()
