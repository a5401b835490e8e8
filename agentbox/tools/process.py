"""Runs a program: fixed arguments, never a shell, a time-out for it and its children, and a limit to its output."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

_READ_BYTES = 65536
_LINGER_S = 0.5
"""How long to wait for the rest of the output when the program is gone but a child of it holds the pipe open."""


class Ended(NamedTuple):
    exit_code: int
    """Negative: the signal that ended it."""
    output: bytes
    """The first `max_bytes` of its standard output."""
    truncated: bool


async def run_program(argv: Sequence[str], *, environ: Mapping[str, str], timeout_s: float, max_bytes: int) -> Ended:
    """Run `argv` with an empty standard input. Its standard error is dropped.

    It has a session of its own, so that a time-out or cancelling ends its children too.
    Raises `TimeoutError`, and `OSError` when it cannot be started.
    """
    # A pipe of our own: asyncio's would keep `wait` from returning while a child of the program holds it open.
    read_end, write_end = os.pipe()
    stream = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(read_end, "rb", buffering=0)
    )
    output = bytearray()
    try:
        try:
            process = await asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=write_end,
                stderr=asyncio.subprocess.DEVNULL,
                env=dict(environ),
                cwd="/",
                start_new_session=True,
            )
        finally:
            os.close(write_end)
        reading = asyncio.create_task(_read(stream, output, max_bytes + 1))
        exit_code = await _ended(process, timeout_s)
        await asyncio.wait([reading], timeout=_LINGER_S)
        reading.cancel()
    finally:
        transport.close()
    return Ended(exit_code, bytes(output[:max_bytes]), len(output) > max_bytes)


async def _ended(process: asyncio.subprocess.Process, timeout_s: float) -> int:
    """The exit code. Raises `TimeoutError`; whatever happens, the program has ended when this has."""
    try:
        async with asyncio.timeout(timeout_s):
            return await process.wait()
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):  # it may end in this very moment
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


async def _read(stream: asyncio.StreamReader, output: bytearray, max_bytes: int) -> None:
    """Keep the first `max_bytes`, and read on, so that the program does not wait for us."""
    while chunk := await stream.read(_READ_BYTES):
        output += chunk[: max_bytes - len(output)]
