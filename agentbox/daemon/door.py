"""The page's listening sockets, and the process behind them, which is there only while somebody knocks.

A process of its own: what a browser sends is not parsed where the microphone is listened to, and while nobody looks at
the page it costs two sockets. The daemon waits for the first connection, hands the sockets over and waits for the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Callable, Mapping, Sequence

from agentbox.errors import ControlError

BACKLOG = 64
PAUSES_S = (1.0, 5.0, 30.0)
"""After a page that failed, and failed again."""

GOOD_S = 60.0
"""A page that lived for so long did not fail at its start."""

FAREWELL_S = 3.0

_log = logging.getLogger(__name__)


class Door:
    """`program(sockets)` is the command line of the page for these file descriptors. Its standard input is a pipe: when
    that ends, so does the page, also where the daemon was killed. `failed` is told its exit code."""

    def __init__(self, program: Callable[[Sequence[int]], Sequence[str]], failed: Callable[[int], None]) -> None:
        self._program = program
        self._failed = failed
        self._sockets: list[socket.socket] = []
        self._serving: asyncio.Task[None] | None = None
        self._process: asyncio.subprocess.Process | None = None

    @property
    def port(self) -> int:
        return int(self._sockets[0].getsockname()[1])

    @property
    def pid(self) -> int | None:
        """Of the page's process, while there is one."""
        return self._process.pid if self._process is not None else None

    def open(self, lan: bool, port: int) -> None:
        """Listen; `port` 0 takes any. Raises `ControlError` `page_port_taken`."""
        try:
            self._sockets.append(_listening(socket.AF_INET, "0.0.0.0" if lan else "127.0.0.1", port))  # noqa: S104
            with contextlib.suppress(OSError):  # a machine without IPv6
                self._sockets.append(_listening(socket.AF_INET6, "::" if lan else "::1", self.port))
        except OSError as error:
            raise ControlError(
                "page_port_taken",
                f"The page cannot be reached at port {port}: {error.strerror or error}.",
                "Set page.port to another one, and restart.",
            ) from error
        self._wait()

    async def close(self) -> None:
        """No new connections; the page ends, politely for `FAREWELL_S`."""
        self._wait_no_more()
        if self._serving is not None:
            self._serving.cancel()
            await asyncio.wait({self._serving})
        for listener in self._sockets:
            listener.close()
        self._sockets.clear()

    async def restart(self) -> None:
        """End the page, if there is one: the next who knocks finds a new one."""
        if self._serving is not None:
            self._serving.cancel()
            await asyncio.wait({self._serving})
            self._wait()

    def _wait(self) -> None:
        for listener in self._sockets:
            asyncio.get_running_loop().add_reader(listener, self._knocked)

    def _wait_no_more(self) -> None:
        for listener in self._sockets:
            asyncio.get_running_loop().remove_reader(listener)

    def _knocked(self) -> None:
        self._wait_no_more()
        self._serving = asyncio.create_task(self._serve(), name="page")

    async def _serve(self) -> None:
        """Have a page until one ends because nobody looks any more."""
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            began_s = loop.time()
            code = await self._run()
            if code == 0:
                break
            failures = 1 if loop.time() - began_s > GOOD_S else failures + 1
            self._failed(code)
            await asyncio.sleep(PAUSES_S[min(failures, len(PAUSES_S)) - 1])
        self._serving = None
        self._wait()

    async def _run(self) -> int:
        numbers = [listener.fileno() for listener in self._sockets]
        try:
            process = await asyncio.create_subprocess_exec(
                *self._program(numbers), stdin=asyncio.subprocess.PIPE, pass_fds=numbers, env=_plain(os.environ)
            )
        except OSError as error:
            _log.error("the page could not be started: %s", error.strerror)
            return -1
        self._process = process
        try:
            return await process.wait()
        finally:
            if process.returncode is None:
                await _end(process)
            self._process = None


async def _end(process: asyncio.subprocess.Process) -> None:
    assert process.stdin is not None
    process.stdin.close()
    try:
        async with asyncio.timeout(FAREWELL_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def _listening(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.setblocking(False)
        listener.bind((address, port))
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _plain(environment: Mapping[str, str]) -> dict[str, str]:
    """Without the owner's secrets, and without what would let the page speak to the service manager."""
    kept = ("PATH", "HOME", "LANG", "TZ", "PYTHONPATH", "VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE")
    return {name: environment[name] for name in kept if name in environment}
