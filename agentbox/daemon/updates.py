"""Is there a newer version? Asked only where the owner said so, and only at the address that they gave (`updates`).

The request says nothing of the box: a GET of that address, the same from everybody, once a day. The answer is the
newest version on its first line, as `1.4.0`. Each request leaves a row of `egress`, as all that leaves the box does.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable

import msgspec

from agentbox import __version__
from agentbox.daemon.core import READ_S, Core
from agentbox.errors import ControlError, StorageError
from agentbox.messages import JSON, Egress, new_id

NAMESPACE = "update_check"
_KEY = "last"

EVERY_S = 86_400.0
LOOK_S = 900.0
"""How often it is looked whether a day has passed; the machine may have slept."""

LIMIT_S = 20.0
MOST_BYTES = 1024

_VERSION = re.compile(r"v?([0-9]{1,6}(?:\.[0-9]{1,6}){0,3})\s*")


class Asked(msgspec.Struct, frozen=True):
    """What the last request came to."""

    at: float
    newest: str = ""
    """The version that the answer named; empty: none came."""
    outcome: str = "ok"
    """Or the code of what went wrong; empty: it never ended."""


class Updates:
    """`run` is its life; `clock` the wall clock."""

    def __init__(self, core: Core, clock: Callable[[], float] = time.time) -> None:
        self._core = core
        self._clock = clock

    async def run(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Ask if it is wanted, and a day has passed since the last time. Never raises for what others do."""
        wanted = self._core.config.updates
        if not (wanted.check and wanted.url):
            return
        try:
            before, now = last(self._core), self._clock()
            if before is not None and 0 <= now - before.at < EVERY_S:
                return
            # Before it is asked: one that crashes the box is not asked again and again.
            await self._keep(Asked(now, outcome=""))
            newest, outcome = await self._ask(wanted.url)
            await self._keep(Asked(now, newest, outcome))
        except StorageError:  # a box that cannot remember that it asked does not ask
            return

    async def _ask(self, url: str) -> tuple[str, str]:
        """The newest version, and how it went."""
        core, began_s = self._core, time.monotonic()
        row = Egress(id=new_id(), backend="updates", model="", reason="update")
        core.events.emit("egress", "started", message=row)
        await core.journal.settled(READ_S)
        newest, size, outcome = "", 0, "ok"
        try:
            body = await _get(url)
            size, newest = len(body), _version(body)
        except ControlError as error:
            outcome = error.code
        finally:
            took_ms = round((time.monotonic() - began_s) * 1000, 1)
            done = msgspec.structs.replace(row, bytes_in=size, duration_ms=took_ms, outcome=outcome)
            core.events.emit("egress", "ended", message=done)
        return newest, outcome

    async def _keep(self, asked: Asked) -> None:
        """Beside the event loop: the journal may be looked through just now."""
        await asyncio.to_thread(self._core.journal.store(NAMESPACE).put, _KEY, msgspec.to_builtins(asked))


def last(core: Core) -> Asked | None:
    """Raises `StorageError`."""
    kept = core.journal.store(NAMESPACE).get(_KEY)
    try:
        return None if kept is None else msgspec.convert(kept, Asked)
    except msgspec.ValidationError:
        return None


def told(core: Core) -> JSON:
    """For `system.show`: whether it asks, when it did, and what came of it. Raises `StorageError`."""
    wanted, asked = core.config.updates, last(core)
    newest = asked.newest if asked is not None else ""
    return {
        "check": wanted.check and bool(wanted.url),
        "asked_at": asked.at if asked is not None else None,
        "newest": newest,
        "newer": is_newer(newest, __version__),
    }


def is_newer(version: str, than: str) -> bool:
    """By their numbers: 1.10 is newer than 1.9.2, and 1.0 is not newer than 1.0.0."""
    numbers, others = ([int(part) for part in re.findall(r"[0-9]+", one)] + [0] * 4 for one in (version, than))
    return numbers[:4] > others[:4]


def _version(body: bytes) -> str:
    found = _VERSION.fullmatch(body.decode("ascii", "replace").split("\n")[0])
    if found is None:
        raise _failed("names no version")
    return found[1]


async def _get(url: str) -> bytes:
    """The beginning of an answer. Raises `ControlError` `update_check_failed` for every way in which none came."""
    import httpx  # 8 MB, and only for who wants it

    headers = {"User-Agent": "agentbox", "Accept": "text/plain", "Accept-Encoding": "identity"}
    body = b""
    try:
        async with (
            asyncio.timeout(LIMIT_S),
            httpx.AsyncClient(follow_redirects=False, timeout=LIMIT_S, headers=headers) as client,
            client.stream("GET", url) as answer,
        ):
            if answer.status_code != 200:
                raise _failed("gives no answer")
            async for piece in answer.aiter_raw():
                body += piece
                if len(body) > MOST_BYTES:
                    raise _failed("gives too long an answer")
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:  # `TimeoutError` is one
        raise _failed("gives no answer") from error
    return body


def _failed(why: str) -> ControlError:
    return ControlError("update_check_failed", f"The address of updates.url {why}.", "Does it answer with a version?")
