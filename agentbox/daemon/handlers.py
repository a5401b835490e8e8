"""What commands and pages can ask of the box: one table of methods, the same with a daemon and without.

With a daemon the control server calls them; without one `LocalBox` does, on the files themselves.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime
from typing import Any, Protocol, TypeVar, get_args

import msgspec
from sqlite_utils import Database

from agentbox import __version__, paths
from agentbox.control.server import Handler
from agentbox.daemon.core import Core
from agentbox.daemon.mind import Mind
from agentbox.daemon.params import Params, maybe, want
from agentbox.errors import ControlError
from agentbox.messages import JSON, Caller, Reply, StageEvent, public_json, to_json
from agentbox.storage import listing

T = TypeVar("T")

STREAM_LENGTH = 1000
"""Events kept for a listener that is slow; older ones are left out, and it is told how many."""

LISTEN_S = 30.0
"""The longest that `listen` waits for a turn to end."""


class Daemon(Protocol):
    """What only a running daemon can do."""

    def press(self) -> None:
        """Listen to the next utterance without a wake phrase. Raises `ControlError` `muted`."""

    def status(self) -> dict[str, JSON]:
        """How the ears are."""

    async def reload(self, *, model_anew: bool = False) -> None:
        """Read the configuration anew; `model_anew`: load the speech model also where its name stays. Raises
        `ConfigError`, `ModelError`."""

    def restart(self) -> None:
        """End, a moment from now, and begin anew."""

    def last_log(self, limit: int) -> JSON:
        """The newest records of the log."""


class Handlers:
    """`table()` is the methods by name. `daemon` is null where none runs: what needs one says so. `caller`: as whom
    tools are called."""

    def __init__(self, core: Core, daemon: Daemon | None = None, caller: Caller = "cli") -> None:
        self._core = core
        self._daemon = daemon
        self._caller = caller

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
            "egress.budget": self.egress_budget,
            "transcripts.list": self.transcripts_list,
            "transcripts.kept": self.transcripts_kept,
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
            "other_languages": list(core.config.languages[1:]),
            "activation": core.activation.mode,
            "config": str(core.loaded.file) if core.loaded.file else None,
            "cloud": core.config.cloud.policy,
            "backends": {one["name"]: one["state"] for one in self._backends()},
            "set_up": paths.set_up_file().exists(),
            "notices": [msgspec.to_builtins(notice) for notice in core.notices.values()],
            **(self._daemon.status() if self._daemon is not None else {"sound": "no daemon runs"}),
        }

    async def ask(self, params: Params) -> JSON:
        """`{"text"}` -> the turn: what was understood, done and answered. Of a paired device that is no owner's,
        access.py adds `guest`."""
        text, guest = want(params, "text", str), str(params.get("guest", ""))
        seen: list[StageEvent] = []
        forget = self._core.events.subscribe(seen.append)
        try:
            reply = await self._core.ask(text, self._caller, guest)
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

    async def tools_list(self, params: Params) -> JSON:
        """`{"examples": true}` -> all tools; false: without them, which take a while at first."""
        mind = self._core.attention.talk.mind
        examples = want(params, "examples", bool) if "examples" in params else True
        return await asyncio.to_thread(_tools, mind, examples)  # examples are read as sentences: not in the loop

    async def tools_call(self, params: Params) -> JSON:
        """`{"tool", "arguments"}` -> ToolResult."""
        arguments = want(params, "arguments", dict)
        result = await self._core.call(want(params, "tool", str), arguments, self._caller)
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
        took_s = await test_backend(want(params, "name", str), core.config, core.events, core.attention.talk.mind)
        return {"acknowledged_s": round(took_s, 3)}

    async def egress_list(self, params: Params) -> JSON:
        """`{"limit"}`, `{"before", "before_id"}` -> what left the box, newest first."""
        limit, before = want(params, "limit", int), maybe(params, "before", float)
        before_id = maybe(params, "before_id", str)
        return await self._read(lambda database: listing.egress(database, limit, before=before, before_id=before_id))

    async def egress_days(self, params: Params) -> JSON:
        """`{"limit"}`, `{"since"}` -> the same, summed up for each day and backend."""
        limit, since = want(params, "limit", int), maybe(params, "since", float) or 0.0
        return await self._read(lambda database: listing.egress_days(database, limit, since))

    async def egress_budget(self, _: Params) -> JSON:
        """What the day may cost and has cost, by the journal; null: as much as it takes."""
        cloud, today = self._core.config.cloud, datetime.now().astimezone().date()
        since = datetime.combine(today, datetime.min.time()).timestamp()
        minutes, money = await self._read(lambda database: listing.spent(database, since))
        return {
            "day": today.isoformat(),
            "policy": cloud.policy,
            "backends": [backend.name for backend in cloud.backends],
            "text_model": self._core.config.brain.kind,
            "quiet_hours": cloud.quiet_hours,
            "minutes_per_day": cloud.minutes_per_day,
            "money_per_day": cloud.money_per_day,
            "spent_minutes": minutes,
            "spent_money": money,
            "left_minutes": None if (most := cloud.minutes_per_day) is None else max(0.0, most - minutes),
            "left_money": None if (most := cloud.money_per_day) is None else max(0.0, most - money),
        }

    async def transcripts_list(self, params: Params) -> JSON:
        limit = want(params, "limit", int)
        which = listing.Which(
            text=maybe(params, "text", str),
            before=maybe(params, "before", float),
            before_id=maybe(params, "before_id", str),
            since=maybe(params, "since", float),
            until=maybe(params, "until", float),
            activated_by=maybe(params, "activated_by", str),
            outcome=maybe(params, "outcome", str),
            tool=maybe(params, "tool", str),
        )
        return await self._read(lambda database: listing.turns(database, limit, which))

    async def transcripts_kept(self, params: Params) -> JSON:
        """`{"since", "until"}` -> how many turns there are (then), and what is kept for how long."""
        since, until = maybe(params, "since", float), maybe(params, "until", float)
        storage = self._core.config.storage
        return {
            **await self._read(lambda database: listing.kept(database, since, until)),
            "transcripts": storage.transcripts,
            "audio": storage.audio,
            "retention_days": storage.retention_days,
        }

    async def transcripts_search(self, params: Params) -> JSON:
        return await self._core.read_journal(
            lambda: self._core.journal.search(want(params, "text", str), want(params, "limit", int))
        )

    async def transcripts_show(self, params: Params) -> JSON:
        return await self._core.read_journal(lambda: self._core.journal.get(want(params, "id", str)))

    async def transcripts_delete(self, params: Params) -> JSON:
        """`{"ids"}`, `{"since", "until"}` (seconds since 1970) or `{"all": true}` -> how many turns are gone."""
        journal = self._core.journal
        if params.get("all") is True:
            return {"deleted": await self._core.read_journal(journal.delete_all)}
        if "ids" in params:
            return {"deleted": await self._core.read_journal(lambda: journal.delete(want(params, "ids", list)))}
        since, until = want(params, "since", float), want(params, "until", float)
        return {"deleted": await self._core.read_journal(lambda: journal.delete_between(since, until))}

    async def transcripts_export(self, _: Params) -> AsyncIterator[JSON]:
        rows: Iterator[JSON] = await self._core.read_journal(self._core.journal.export)
        done = object()
        while (row := await asyncio.to_thread(next, rows, done)) is not done:
            yield row

    async def transcripts_upkeep(self, _: Params) -> JSON:
        """See to the journal's file -> its size in bytes."""
        return {"size_bytes": await self._core.read_journal(self._core.journal.tend)}

    async def _read(self, work: Callable[[Database], T]) -> T:
        return await self._core.read_journal(lambda: self._core.journal.read(work))

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


def _tools(mind: Mind, examples: bool) -> list[dict[str, JSON]]:
    runner = mind.runner
    return [
        {
            "name": tool.name,
            "description": tool.description,
            "module": runner.registry.module_of(tool.name).name,
            "intents": list(tool.intents),
            "parameters": tool.schema,
            "effects": tool.effects,
            "risk": tool.risk,
            "speech": runner.policies.decide(tool, "speech"),
            "policy": {caller: runner.policies.decide(tool, caller) for caller in get_args(Caller)},
            "fixed": [caller for caller in get_args(Caller) if not runner.policies.is_free(tool, caller)],
            "example": mind.understander.example(tool.intents) if examples else None,
        }
        for tool in runner.registry.tools.values()
    ]


def _turn(text: str, reply: Reply | None, seen: list[StageEvent]) -> dict[str, Any]:
    # Others' turns go on until this one's time comes.
    own = [event for event in seen if reply is not None and event.utterance_id == reply.utterance_id]
    intent = next((event.message for event in own if event.stage == "intent"), None)
    result = next((event.message for event in own if event.stage == "tool_result"), None)
    return {
        "text": text,
        "intent": getattr(intent, "name", None),
        "slots": getattr(intent, "slots", {}),
        "tool": getattr(result, "tool", None),
        "ok": getattr(result, "ok", False),
        "reply": reply.text if reply is not None else "",
        "outcome": reply.outcome if reply is not None else "not_understood",
        "language": reply.language if reply is not None else "",
    }
