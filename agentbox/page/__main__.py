"""The page's process: `python -m agentbox.page --sockets=5,6 --control=PATH ...`, started by the daemon's door.

It ends when nobody has looked for a while, or when its standard input does.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import traceback
from pathlib import Path

from agentbox.control.asking import AsyncClient
from agentbox.page.app import make
from agentbox.page.listen import Listener, secure
from agentbox.page.render import Pages

IDLE_S = 120.0
LOOK_S = 5.0


def plain(record: logging.LogRecord) -> bool:
    """For a log that holds nothing of what a browser sent: an error's kind and place, without its text, which may quote
    it. What is no UTF-8 is a client's mistake and none of the page."""
    kind, _, trace = record.exc_info or (None, None, None)
    if kind is not None:
        record.msg = f"{record.getMessage().strip()}: {kind.__name__}\n{''.join(traceback.format_tb(trace))}"
        record.args, record.exc_info = (), None
    return not record.getMessage().startswith("Invalid UTF-8")


async def serve(options: argparse.Namespace) -> None:
    """Until the daemon hangs up or nobody looks any more."""
    loop = asyncio.get_running_loop()
    sockets = [socket.socket(fileno=int(number)) for number in options.sockets.split(",")]
    names = frozenset(options.names.lower().split(","))
    pages = Pages(options.language, options.fingerprint)
    app = make(AsyncClient(options.control), pages, names, options.lasting_name)
    listener = Listener(sockets, secure(options.certificate), app, names)
    over = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), over.set)
    loop.add_signal_handler(signal.SIGTERM, over.set)
    listener.start()
    idle_s = 0.0
    while not over.is_set() and idle_s < options.idle:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(over.wait(), LOOK_S)
        idle_s = 0.0 if listener.count else idle_s + LOOK_S
    await listener.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="agentbox.page")
    for name in ("sockets", "certificate", "fingerprint", "names", "language"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--control", type=Path, required=True)
    parser.add_argument("--lasting-name", default="")
    parser.add_argument("--idle", type=float, default=IDLE_S)
    # The ear comes first. (A service's sandbox may forbid it; then it is as important as the rest.)
    with contextlib.suppress(OSError):
        os.nice(5)
    log = logging.getLogger("uvicorn.error")
    log.addFilter(plain)
    log.setLevel(logging.ERROR)  # its warnings are what strangers do, as often as they like
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
