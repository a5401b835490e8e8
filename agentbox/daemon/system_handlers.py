"""What the box is and has, whether all is well with it, and how it begins anew."""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import time
from collections.abc import Iterator
from datetime import datetime
from importlib import metadata
from pathlib import Path

import msgspec

from agentbox import __version__, paths
from agentbox.control.server import Handler
from agentbox.daemon import updates
from agentbox.daemon.core import Core
from agentbox.daemon.handlers import Daemon, Handlers
from agentbox.daemon.mind import load_phrases, problems_of
from agentbox.daemon.params import Params, want
from agentbox.errors import ControlError
from agentbox.messages import JSON, Notice
from agentbox.pairing.addresses import host_name

ZONEINFO = "zoneinfo/"

FIRST_YEAR = 2026
"""A clock before this was never set: the box has no battery for it, and the network has not told it the time yet."""


class SystemHandlers:
    """`table()` is the methods by name. `daemon` is null where none runs."""

    def __init__(self, core: Core, daemon: Daemon | None = None) -> None:
        self._core = core
        self._daemon = daemon

    def table(self) -> dict[str, Handler]:
        return {
            "system.show": self.system_show,
            "doctor": self.doctor,
            "log.list": self.log_list,
            "restart": self.restart,
        }

    async def system_show(self, _: Params) -> JSON:
        core = self._core
        status = self._daemon.status() if self._daemon is not None else {}
        folder = paths.state_dir()
        return {
            "agentbox": __version__,
            "python": platform.python_version(),
            "onnxruntime": metadata.version("onnxruntime"),
            "model": core.config.asr.model,
            "name": host_name(core.config.page.name),
            **{name: status.get(name) for name in ("up_s", "memory_mb", "sound", "microphone")},
            "speaker": str(core.config.audio.output_device),
            "notices": [msgspec.to_builtins(notice) for notice in core.notices.values()],
            "updates": updates.told(core),
            **_machine_memory(),
            **await asyncio.to_thread(_disk, folder),
            **_clock(time.time()),
        }

    async def doctor(self, _: Params) -> JSON:
        """Every check of `agentbox doctor`, with what the running box knows of itself."""
        # Here and not at the top: nobody asks for it but a person who wonders, and it loads the voices.
        from agentbox.daemon import checks

        core = self._core
        if self._daemon is None:
            found = checks.look(core.config, None, lambda: checks.problems(core.config))
        else:
            status: JSON = await Handlers(core, self._daemon).status({})
            found = checks.look(core.config, status, self._problems)
        return [finding._asdict() for finding in await asyncio.to_thread(list, found)]

    async def log_list(self, params: Params) -> JSON:
        """`{"limit"}` -> the newest records of the log."""
        return self._needs_daemon().last_log(want(params, "limit", int))

    async def restart(self, _: Params) -> JSON:
        self._needs_daemon().restart()
        return {"restarting": True}

    def _problems(self) -> Iterator[Notice]:
        """Of the tools that run: a second set is not loaded only to be looked at."""
        core, mind = self._core, self._core.attention.talk.mind
        understanders = [tongue.understander for tongue in mind.tongues]
        yield from problems_of(core.config, mind.runner.registry, understanders, load_phrases(core.config)[1])

    def _needs_daemon(self) -> Daemon:
        if self._daemon is None:
            raise ControlError("not_running", "No agentbox daemon is running.", "Start one: agentbox run")
        return self._daemon


def _machine_memory() -> dict[str, JSON]:
    """Of the machine, as proc(5) tells."""
    found: dict[str, float] = {}
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            name, _, rest = line.partition(":")
            found[name] = round(int(rest.split()[0]) * 1024 / 1e6, 1)
    except (OSError, ValueError):
        return {"machine_memory_mb": None, "machine_free_mb": None}
    return {"machine_memory_mb": found.get("MemTotal"), "machine_free_mb": found.get("MemAvailable")}


def _disk(folder: Path) -> dict[str, JSON]:
    size = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                size += os.lstat(os.path.join(place, name)).st_size
            except OSError:  # gone meanwhile
                continue
    free = shutil.disk_usage(folder).free if folder.exists() else None
    return {"folder": str(folder), "folder_bytes": size, "free_bytes": free}


def _clock(now: float) -> dict[str, JSON]:
    local = datetime.fromtimestamp(now).astimezone()
    offset = local.utcoffset()
    return {
        "at": now,
        "zone": _zone() or local.tzname() or "UTC",
        "offset_s": offset.total_seconds() if offset is not None else 0.0,
        "clock_is_set": local.year >= FIRST_YEAR,
    }


def _zone() -> str:
    """The zone's name, as `Europe/Berlin`: `$TZ`, else where /etc/localtime leads; empty where neither tells."""
    if given := os.environ.get("TZ", "").lstrip(":"):
        return given
    try:
        _, found, name = os.readlink("/etc/localtime").partition(ZONEINFO)
    except OSError:
        return ""
    return name if found else ""
