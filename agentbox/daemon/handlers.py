"""What commands and pages can ask of the box: one table of methods, the same with a daemon and without.

With a daemon the control server calls them; without one `LocalBox` does, on the files themselves.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Protocol, TypeAlias, TypeVar

import msgspec

from agentbox import __version__
from agentbox.control.server import Handler
from agentbox.daemon.core import Core
from agentbox.errors import ControlError, InputError
from agentbox.messages import JSON, Reply, StageEvent, public_json, to_json

Params: TypeAlias = dict[str, JSON]
T = TypeVar("T")

STREAM_LENGTH = 1000
"""Events kept for a listener that is slow; older ones are left out, and it is told how many."""

LISTEN_S = 30.0
"""The longest that `listen` waits for a turn to end."""


class Daemon(Protocol):
    """What only a running daemon can do."""

    def press(self) -> None:
        """Listen to the next utterance without a wake phrase."""

    def status(self) -> dict[str, JSON]:
        """How the ears are."""

    async def reload(self) -> None:
        """Read the configuration anew. Raises `ConfigError`."""


class Handlers:
    """`table()` is the methods by name. `daemon` is null where none runs: what needs one says so."""

    def __init__(self, core: Core, daemon: Daemon | None = None) -> None:
        self._core = core
        self._daemon = daemon

    def table(self) -> dict[str, Handler]:
        return {
            "status": self.status,
            "ask": self.ask,
            "listen": self.listen,
            "events": self.events,
            "reload": self.reload,
            "tools.list": self.tools_list,
            "tools.call": self.tools_call,
            "backends.list": self.backends_list,
            "backends.test": self.backends_test,
            "egress.list": self.egress_list,
            "egress.days": self.egress_days,
            "transcripts.list": self.transcripts_list,
            "transcripts.search": self.transcripts_search,
            "transcripts.show": self.transcripts_show,
            "transcripts.delete": self.transcripts_delete,
            "transcripts.export": self.transcripts_export,
            "transcripts.upkeep": self.transcripts_upkeep,
        }

    async def status(self, _: Params) -> JSON:
        core = self._core
        return {
            "running": self._daemon is not None,
            "version": __version__,
            "pid": os.getpid() if self._daemon else None,
            "model": core.config.asr.model,
            "language": core.config.language,
            "activation": core.activation.mode,
            "config": str(core.loaded.file) if core.loaded.file else None,
            "cloud": core.config.cloud.policy,
            "backends": {one["name"]: one["state"] for one in self._backends()},
            "notices": [msgspec.to_builtins(notice) for notice in core.notices.values()],
            **(self._daemon.status() if self._daemon is not None else {"sound": "no daemon runs"}),
        }

    async def ask(self, params: Params) -> JSON:
        """`{"text"}` -> the turn: what was understood, done and answered."""
        text = _want(params, "text", str)
        seen: list[StageEvent] = []
        forget = self._core.events.subscribe(seen.append)
        try:
            reply = await self._core.ask(text)
        finally:
            forget()
        return _turn(text, reply, seen)

    async def listen(self, _: Params) -> AsyncIterator[JSON]:
        """Press the talk key; the stage events until the turn is answered."""
        self._needs_daemon().press()
        nothing = {("transcript", "not_activated"), ("transcript", "suppressed")}
        turn = ""
        async for event in self._stream(LISTEN_S):
            if not turn and (event.stage, event.state) == ("speech", "started"):
                turn = event.utterance_id
            # Other turns go on meanwhile: a timer rings, another command is typed.
            if turn and event.utterance_id == turn:
                yield public_json(event)
                if event.stage == "reply" or (event.stage, event.state) in nothing:
                    return

    async def events(self, _: Params) -> AsyncIterator[JSON]:
        """Every stage event from now on."""
        async for event in self._stream(None):
            yield public_json(event)

    async def reload(self, _: Params) -> JSON:
        await self._needs_daemon().reload()
        return {"reloaded": True}

    async def tools_list(self, _: Params) -> JSON:
        mind = self._core.attention.talk.mind
        return [
            {
                "name": tool.name,
                "description": tool.description,
                "module": mind.runner.registry.module_of(tool.name).name,
                "intents": list(tool.intents),
                "parameters": tool.schema,
                "effects": tool.effects,
                "speech": mind.runner.policies.decide(tool, "speech"),
            }
            for tool in mind.runner.registry.tools.values()
        ]

    async def tools_call(self, params: Params) -> JSON:
        """`{"tool", "arguments"}` -> ToolResult."""
        result = await self._core.call(_want(params, "tool", str), _want(params, "arguments", dict))
        return to_json(result)

    async def backends_list(self, _: Params) -> JSON:
        """The owner's cloud models, in the order in which they are asked, and how each of them is."""
        return self._backends()

    def _backends(self) -> list[dict[str, JSON]]:
        core = self._core
        if core.cloud is not None:
            return core.cloud.status()
        off = {"state": "off", "problem": None, "connected": False}
        return [{"name": one.name, "kind": one.kind, "model": one.model, **off} for one in core.config.cloud.backends]

    async def backends_test(self, params: Params) -> JSON:
        """`{"name"}` -> `{"acknowledged_s"}`: a session is set up and ended, and nothing is said."""
        from agentbox.daemon.making_cloud import test_backend  # what speaks with clouds is there where it is used

        core = self._core
        took_s = await test_backend(_want(params, "name", str), core.config, core.events, core.attention.talk.mind)
        return {"acknowledged_s": round(took_s, 3)}

    async def egress_list(self, params: Params) -> JSON:
        """`{"limit"}` -> what left the box, newest first."""
        return await self._journal(lambda: self._core.journal.egress(_want(params, "limit", int)))

    async def egress_days(self, params: Params) -> JSON:
        """`{"limit"}` -> the same, summed up for each day and backend."""
        return await self._journal(lambda: self._core.journal.egress_days(_want(params, "limit", int)))

    async def transcripts_list(self, params: Params) -> JSON:
        before = _want(params, "before", float) if "before" in params else None
        return await self._journal(lambda: self._core.journal.recent(_want(params, "limit", int), before))

    async def transcripts_search(self, params: Params) -> JSON:
        return await self._journal(
            lambda: self._core.journal.search(_want(params, "text", str), _want(params, "limit", int))
        )

    async def transcripts_show(self, params: Params) -> JSON:
        return await self._journal(lambda: self._core.journal.get(_want(params, "id", str)))

    async def transcripts_delete(self, params: Params) -> JSON:
        """`{"ids"}`, `{"since", "until"}` (seconds since 1970) or `{"all": true}` -> how many turns are gone."""
        journal = self._core.journal
        if params.get("all") is True:
            return {"deleted": await self._journal(journal.delete_all)}
        if "ids" in params:
            return {"deleted": await self._journal(lambda: journal.delete(_want(params, "ids", list)))}
        since, until = _want(params, "since", float), _want(params, "until", float)
        return {"deleted": await self._journal(lambda: journal.delete_between(since, until))}

    async def transcripts_export(self, _: Params) -> AsyncIterator[JSON]:
        rows: Iterator[JSON] = await self._journal(self._core.journal.export)
        done = object()
        while (row := await asyncio.to_thread(next, rows, done)) is not done:
            yield row

    async def transcripts_upkeep(self, _: Params) -> JSON:
        """See to the journal's file -> its size in bytes."""
        return {"size_bytes": await self._journal(self._core.journal.tend)}

    async def _journal(self, work: Callable[[], T]) -> T:
        """Ask the journal beside the loop, after everything said so far is in it."""
        await self._core.journal.settled(5.0)
        return await asyncio.to_thread(work)

    def _needs_daemon(self) -> Daemon:
        if self._daemon is None:
            raise ControlError("not_running", "No agentbox daemon is running.", "Start one: agentbox run")
        return self._daemon

    async def _stream(self, limit_s: float | None) -> AsyncIterator[StageEvent]:
        queue: asyncio.Queue[StageEvent] = asyncio.Queue(STREAM_LENGTH)

        def put(event: StageEvent) -> None:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(event)

        forget = self._core.events.subscribe(put, watches=True)
        try:
            async with asyncio.timeout(limit_s):
                while True:
                    yield await queue.get()
        except TimeoutError:
            return
        finally:
            forget()


def _want(params: Params, name: str, kind: type[T]) -> T:
    """The parameter, checked. Raises `InputError` `bad_parameter`."""
    try:
        return msgspec.convert(params.get(name), kind)
    except msgspec.ValidationError as error:
        raise InputError("bad_parameter", f"{name} must be of type {kind.__name__}.", "See docs/control.md.") from error


def _turn(text: str, reply: Reply | None, seen: list[StageEvent]) -> dict[str, Any]:
    intent = next((event.message for event in seen if event.stage == "intent"), None)
    result = next((event.message for event in seen if event.stage == "tool_result"), None)
    return {
        "text": text,
        "intent": getattr(intent, "name", None),
        "slots": getattr(intent, "slots", {}),
        "tool": getattr(result, "tool", None),
        "ok": getattr(result, "ok", False),
        "reply": reply.text if reply is not None else "",
        "outcome": reply.outcome if reply is not None else "not_understood",
    }
