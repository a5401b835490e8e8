"""The daemon's end of the control socket."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import grp
import inspect
import logging
import os
import pwd
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from agentbox.control.protocol import Answer, Fault, LineBuffer, Request, decode_request, encode
from agentbox.errors import AgentboxError, ControlError
from agentbox.messages import JSON
from agentbox.paths import prepare

Handler: TypeAlias = Callable[[dict[str, JSON]], Awaitable[JSON]] | Callable[[dict[str, JSON]], AsyncIterator[JSON]]

_log = logging.getLogger(__name__)

MAX_CLIENTS = 32
SEND_LIMIT_S = 10.0
"""A client that does not read what it asked for is let go after this long."""

CLOSE_LIMIT_S = 1.0


class ControlServer:
    """Use as `async with ControlServer(path, handlers)`.

    A handler takes the parameters and is awaited for its result, or is an async generator of a stream's items. The
    socket is for root, the daemon's own user, and members of the group that owns it; everyone else is refused by the
    kernel's word on who they are (SO_PEERCRED, unix(7)), not by their own.

    Entering raises `ControlError` `already_running`, `socket_failed`.
    """

    def __init__(self, path: Path, handlers: Mapping[str, Handler]) -> None:
        self._path = path
        self._handlers = handlers
        self._clients: set[asyncio.Task[None]] = set()
        self._lock: Any = None
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> ControlServer:
        prepare(self._path.parent)
        try:
            self._lock = Path(f"{self._path}.lock").open("w")  # noqa: SIM115, ASYNC230 - at start; held until the end
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._lock.close()
            raise ControlError(
                "already_running", "An agentbox daemon already runs with this state.", "agentbox status shows it."
            ) from error
        except OSError as error:
            raise _socket_failed(self._path, error) from error
        try:
            # Whoever held the lock is dead, so its socket is nobody's.
            self._path.unlink(missing_ok=True)
            before = os.umask(0o117)
            try:
                self._server = await asyncio.start_unix_server(self._accept, str(self._path))
            finally:
                os.umask(before)
        except OSError as error:
            self._lock.close()
            raise _socket_failed(self._path, error) from error
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for client in list(self._clients):
            client.cancel()
        if self._clients:
            await asyncio.wait(self._clients, timeout=CLOSE_LIMIT_S)
        self._path.unlink(missing_ok=True)
        self._lock.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        try:
            if not _is_allowed(writer.get_extra_info("socket"), self._path):
                refused = ControlError(
                    "not_allowed", "This user may not speak to the daemon.", "Use sudo, or join its group."
                )
                await _send(writer, Answer(id=0, error=Fault.of(refused)))
            elif len(self._clients) > MAX_CLIENTS:
                await _send(writer, Answer(id=0, error=Fault.of(ControlError("too_busy", "Too many clients at once."))))
            else:
                await self._serve(reader, writer)
        except (ConnectionError, TimeoutError):
            _log.debug("a control client went away")
        except asyncio.CancelledError:
            # The server closes; nobody waits for this task's end but `__aexit__`.
            _log.debug("a control client was let go")
        finally:
            self._clients.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request after the other. A client that closes its end is gone: what it asked for is stopped."""
        buffer = LineBuffer()
        waiting: asyncio.Queue[bytes] = asyncio.Queue(8)

        async def read() -> None:
            while data := await reader.read(65536):
                for line in buffer.feed(data):
                    await waiting.put(line)

        async def work() -> None:
            while True:
                await self._answer(await waiting.get(), writer)

        reading, working = asyncio.create_task(read()), asyncio.create_task(work())
        try:
            await asyncio.wait({reading, working}, return_when=asyncio.FIRST_COMPLETED)
            for task in (reading, working):
                if task.done() and (error := task.exception()) is not None:
                    if isinstance(error, AgentboxError):
                        await _send(writer, Answer(id=0, error=Fault.of(error)))
                    else:
                        raise error
        finally:
            for task in (reading, working):
                task.cancel()
            await asyncio.gather(reading, working, return_exceptions=True)

    async def _answer(self, line: bytes, writer: asyncio.StreamWriter) -> None:
        request = Request(id=0, method="")
        try:
            request = decode_request(line)
            handler = self._handlers.get(request.method)
            if handler is None:
                raise ControlError("unknown_method", f"The daemon has no method {request.method!r}.", "Is it older?")
            answer = handler(request.params)
            if inspect.isawaitable(answer):
                await _send(writer, Answer(id=request.id, result=await answer))
                return
            assert isinstance(answer, AsyncIterator)
            async with contextlib.aclosing(answer) as items:  # type: ignore[type-var]
                async for item in items:
                    await _send(writer, Answer(id=request.id, item=item))
            await _send(writer, Answer(id=request.id, result=None))
        except AgentboxError as error:
            await _send(writer, Answer(id=request.id, error=Fault.of(error)))


async def _send(writer: asyncio.StreamWriter, answer: Answer) -> None:
    writer.write(encode(answer))
    async with asyncio.timeout(SEND_LIMIT_S):
        await writer.drain()


def _is_allowed(connection: Any, path: Path) -> bool:
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, gid = struct.unpack("3i", credentials)
    if uid in (0, os.geteuid()):
        return True
    with contextlib.suppress(OSError, KeyError):
        group = path.stat().st_gid
        members = grp.getgrgid(group).gr_mem
        return group != 0 and (gid == group or pwd.getpwuid(uid).pw_name in members)
    return False


def _socket_failed(path: Path, error: OSError) -> ControlError:
    return ControlError(
        "socket_failed",
        f"The control socket {path} cannot be made: {error.strerror}.",
        "Set control.socket to another path.",
    )
