"""The daemon's end of the control socket."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import pwd
import socket
import struct
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias, cast

from agentbox.control.protocol import Answer, Fault, LineBuffer, Request, decode_request, encode
from agentbox.errors import AgentboxError, ControlError
from agentbox.messages import JSON
from agentbox.paths import prepare

Handler: TypeAlias = Callable[[dict[str, JSON]], Awaitable[JSON]] | Callable[[dict[str, JSON]], AsyncIterator[JSON]]

_log = logging.getLogger(__name__)

MAX_CLIENTS = 32

MAX_WAITING = 8
"""Requests that may wait on one connection while an earlier one is answered."""

SEND_LIMIT_S = 10.0
"""A client that does not read what it asked for is let go after this long."""

CLOSE_LIMIT_S = 0.5
"""How long a request may take to end when the daemon ends."""


class ControlServer:
    """Use as `async with ControlServer(path, handlers)`.

    A handler takes the parameters and is awaited for its result, or is an async generator of a stream's items. When
    the client goes away its stream is closed, but a call runs to its end: half a deed is worse than an answer that
    nobody reads. When the server closes both are cancelled.

    The socket is for root, the daemon's own user, and members of the group that owns it; everyone else is refused by
    the kernel's word on who they are (SO_PEERCRED, unix(7)), not by their own.

    Entering raises `ControlError` `already_running`, `socket_failed`; `StorageError` `state_not_writable`.
    """

    def __init__(self, path: Path, handlers: Mapping[str, Handler]) -> None:
        self._path = path
        self._handlers = handlers
        self._clients: set[asyncio.Task[None]] = set()
        self._held = contextlib.ExitStack()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> ControlServer:
        prepare(self._path.parent)
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(_locked(Path(f"{self._path}.lock")))
                listener = held.enter_context(bound(self._path))
                self._server = await asyncio.start_unix_server(self._accept, sock=listener)
            except OSError as error:
                raise ControlError(
                    "socket_failed",
                    f"The control socket {self._path} cannot be made: {error.strerror or error}.",
                    "Set control.socket to another path.",
                ) from error
            self._held = held.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        # Not `wait_closed`: since Python 3.12 it waits for the clients, and a client may stay for ever.
        self._server.close()
        for client in self._clients:
            client.cancel()
        if self._clients:
            await asyncio.wait(self._clients, timeout=CLOSE_LIMIT_S)
        self._held.close()

    @property
    def is_asking(self) -> bool:
        """Whether who runs now answers one of its clients, and would be cancelled were it closed."""
        return asyncio.current_task() in self._clients

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer), name="control client")
        self._clients.add(task)
        task.add_done_callback(self._served)

    def _served(self, task: asyncio.Task[None]) -> None:
        self._clients.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # Without the error's own text: it may quote what was asked for.
            trace = "".join(traceback.format_tb(error.__traceback__))
            _log.error("a control request failed: %s\n%s", type(error).__name__, trace)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if not _is_allowed(writer.get_extra_info("socket"), self._path):
                raise ControlError(
                    "not_allowed", "This user may not speak to the daemon.", "Use sudo, or join its group."
                )
            if len(self._clients) > MAX_CLIENTS:
                raise ControlError("too_busy", "Too many clients at once.", "Try again later.")
            await self._answer_all(reader, writer)
        except ControlError as error:
            with contextlib.suppress(_ClientGoneError):
                await _send(writer, Answer(id=0, error=Fault.of(error)))
        except _ClientGoneError:
            _log.debug("a control client went away")
        except asyncio.CancelledError:
            writer.transport.abort()
            raise
        finally:
            await _hang_up(writer)

    async def _answer_all(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request after the other. Raises `ControlError` for bytes that are not of the protocol."""
        waiting: asyncio.Queue[bytes | None] = asyncio.Queue()
        reading = asyncio.create_task(_read(reader, waiting), name="control reader")
        try:
            while (line := await waiting.get()) is not None:
                await self._answer(line, writer, reading)
            await reading
        finally:
            reading.cancel()
            await asyncio.wait({reading})

    async def _answer(self, line: bytes, writer: asyncio.StreamWriter, reading: asyncio.Task[None]) -> None:
        request = Request(id=0, method="")
        try:
            request = decode_request(line)
            if request.method not in self._handlers:
                raise ControlError(
                    "unknown_method", f"The daemon has no method {request.method!r}.", "Is it older than the command?"
                )
            answer = self._handlers[request.method](request.params)
            if isinstance(answer, AsyncIterator):
                if not reading.done():  # a stream that waited for its turn may find nobody there
                    await _while_connected(_send_items(writer, request.id, answer), reading)
            else:
                await _send(writer, Answer(id=request.id, result=await answer))
        except AgentboxError as error:
            await _send(writer, Answer(id=request.id, error=Fault.of(error)))


class _ClientGoneError(Exception):
    """The client closed the connection, or does not read."""


def already_running() -> ControlError:
    """Another daemon has this socket."""
    return ControlError("already_running", "An agentbox daemon already runs here.", "agentbox status shows it.")


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock that says a daemon lives here; it ends with the process, however that ends.

    The file stays: were it deleted, two daemons could each lock a file of that name. Only the owner may open it,
    since whoever can open a file can lock it. Raises `OSError`; `ControlError` `already_running`.
    """
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise already_running() from error
        yield
    finally:
        os.close(lock)


@contextlib.contextmanager
def bound(path: Path) -> Iterator[socket.socket]:
    """A socket at `path` for its owner and group, in place of a dead daemon's; deleted at the end. Raises `OSError`.

    Only for who knows that no other daemon has it: by the lock of the control socket.
    """
    if path.is_socket():
        path.unlink()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        try:
            # Before it listens nobody can connect, so there is no moment at which it is open to others.
            path.chmod(0o660)
            yield listener
        finally:
            path.unlink(missing_ok=True)


async def _read(reader: asyncio.StreamReader, waiting: asyncio.Queue[bytes | None]) -> None:
    """Put the client's lines into `waiting`, then null. Never stops reading, so that a client's end is always seen.

    Raises `ControlError` `line_too_long`, `too_busy`.
    """
    buffer = LineBuffer()
    try:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                for line in buffer.feed(data):
                    if waiting.qsize() >= MAX_WAITING:
                        raise ControlError("too_busy", "Too many requests at once.", "Wait for the answers.")
                    waiting.put_nowait(line)
    finally:
        waiting.put_nowait(None)


async def _send_items(writer: asyncio.StreamWriter, request_id: int, items: AsyncIterator[JSON]) -> None:
    async with contextlib.aclosing(cast(Any, items)):
        async for item in items:
            await _send(writer, Answer(id=request_id, item=item))
    await _send(writer, Answer(id=request_id, result=None))


async def _while_connected(work: Any, reading: asyncio.Task[None]) -> None:
    """Run the coroutine `work` until it ends or the client does."""
    working = asyncio.create_task(work, name="control stream")
    try:
        await asyncio.wait({working, reading}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        working.cancel()
        await asyncio.wait({working})
    if not working.cancelled():
        working.result()


async def _send(writer: asyncio.StreamWriter, answer: Answer) -> None:
    """Raises `_ClientGoneError`."""
    line = encode(answer)
    try:
        async with asyncio.timeout(SEND_LIMIT_S):
            writer.write(line)
            await writer.drain()
    except (ConnectionError, TimeoutError) as error:
        raise _ClientGoneError from error


async def _hang_up(writer: asyncio.StreamWriter) -> None:
    """Let the last answer out, and let a client go that does not take it."""
    writer.close()
    try:
        with contextlib.suppress(OSError):
            async with asyncio.timeout(SEND_LIMIT_S):
                await writer.wait_closed()
    finally:
        writer.transport.abort()


def _is_allowed(connection: Any, path: Path) -> bool:
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("iII"))
    _, uid, gid = struct.unpack("iII", credentials)
    if uid in (0, os.geteuid()):
        return True
    with contextlib.suppress(OSError, KeyError):
        group = path.stat().st_gid
        if group == 0:
            return False
        if gid == group:
            return True
        user = pwd.getpwuid(uid)
        return group in os.getgrouplist(user.pw_name, user.pw_gid)
    return False
