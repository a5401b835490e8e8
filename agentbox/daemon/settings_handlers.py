"""What commands and pages can ask about settings: what they are, and new values for those that a page may change."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from agentbox import choices, paths, settings
from agentbox.config import Config
from agentbox.control.server import Handler
from agentbox.daemon.changeable import CHANGEABLE, check, flat, merged, source_of
from agentbox.daemon.core import Core
from agentbox.daemon.params import Params, want
from agentbox.errors import AgentboxError, ConfigError
from agentbox.messages import JSON
from agentbox.settings import Loaded, masked


class SettingsHandlers:
    """`table()` is the methods by name. `reload` makes a running box take over what was changed; null where none
    runs."""

    def __init__(self, core: Core, reload: Callable[[], Awaitable[None]] | None = None) -> None:
        self._core = core
        self._reload = reload
        self._changing = asyncio.Lock()

    def table(self) -> dict[str, Handler]:
        return {"config.get": self.config_get, "config.set": self.config_set}

    async def config_get(self, _: Params) -> JSON:
        """Every value, as the files have it."""
        loaded = await asyncio.to_thread(settings.load, self._core.loaded.file)
        now = dict(flat(masked(self._core.config)))
        return [
            {
                "key": key,
                "value": value,
                "source": _source(key, loaded),
                "changeable": key in CHANGEABLE,
                "restart_needed": now.get(key) != value,
            }
            for key, value in (*flat(masked(loaded.config)), *_mappings(loaded))
        ]

    async def config_set(self, params: Params) -> JSON:
        """`{"key", "value"}`, or `{"values"}`, an object of several that count together or not at all."""
        if "values" in params:
            changes = want(params, "values", dict)
        else:
            changes = {want(params, "key", str): params.get("value")}
        await self.change(changes)
        now = dict(flat(masked(self._core.config)))
        needs = [key for key, value in changes.items() if CHANGEABLE[key].restart and now.get(key) != value]
        return {"changed": sorted(changes), "restart_needed": bool(needs) and self._reload is not None}

    async def change(
        self,
        changes: dict[str, Any],
        written: Callable[[str, JSON, Config], JSON] = merged,
        checked: Callable[[Config, Config], None] = check,
    ) -> None:
        """Values by their dotted keys, written down and taken over together or not at all. `written`: what is written
        down of a value, by its key and the configuration as it was; it raises for a key that may not be set.
        `checked`: raises for a new configuration, and the one before, that the box could not live by."""
        async with self._changing:
            await self._change(changes, written, checked)

    async def _change(
        self,
        changes: dict[str, Any],
        written: Callable[[str, JSON, Config], JSON],
        checked: Callable[[Config, Config], None],
    ) -> None:
        file = self._core.loaded.file
        before = (await asyncio.to_thread(settings.load, file)).config
        values = {key: written(key, value, before) for key, value in changes.items()}

        def holds(settings_file: Path) -> None:
            checked(settings.load(file, settings_file).config, before)

        try:
            undo = await asyncio.to_thread(choices.remember_all, values, paths.settings_file(), check=holds)
        except ConfigError as error:
            raise _plain(error) from None
        if self._reload is None:
            return
        try:
            await self._reload()
        except AgentboxError:
            # It is well-formed, and the box cannot live by it.
            await asyncio.to_thread(undo)
            await self._reload()
            raise
        except BaseException:
            # The box ends amidst it: nobody knows whether the next start could live by it.
            undo()
            raise


def _mappings(loaded: Loaded) -> list[tuple[str, Any]]:
    """Mappings that are set as a whole, and that `flat` takes apart."""
    policy = loaded.config.tools.policy
    return [("tools.policy", dict(policy))] if policy else []


def _source(key: str, loaded: Loaded) -> str:
    """Where a value is from, without telling a path to whoever asks."""
    file = source_of(key, loaded.sources)
    if file is None:
        return "default"
    return "settings" if loaded.settings_file is not None and file == str(loaded.settings_file) else "file"


def _plain(error: ConfigError) -> AgentboxError:
    """The mistake without the place in a file that whoever made it never saw."""
    if error.code not in ("config_invalid", "config_syntax"):
        return error
    what = re.sub(r"^.*?:\d+: ", "", error.what)
    return ConfigError("config_invalid", what[:1].upper() + what[1:], "Nothing was changed.")
