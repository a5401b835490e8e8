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
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=dict(environ),
        cwd="/",
        start_new_session=True,
    )
    assert process.stdout is not None
    output = bytearray()
    reading = asyncio.create_task(_read(process.stdout, output, max_bytes + 1))
    try:
        async with asyncio.timeout(timeout_s):
            exit_code = await process.wait()
            await asyncio.wait([reading], timeout=_LINGER_S)
    finally:
        reading.cancel()
        if process.returncode is None:
            _kill_group(process.pid)
            await process.wait()
    return Ended(exit_code, bytes(output[:max_bytes]), len(output) > max_bytes)


async def _read(stream: asyncio.StreamReader, output: bytearray, max_bytes: int) -> None:
    """Keep the first `max_bytes`, and read on, so that the program does not wait for us."""
    while chunk := await stream.read(_READ_BYTES):
        output += chunk[: max_bytes - len(output)]


def _kill_group(pid: int) -> None:
    with suppress(ProcessLookupError):  # it may end in this very moment
        os.killpg(pid, signal.SIGKILL)
