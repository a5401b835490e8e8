"""What pages can ask about secrets: which there are, never what they are; and to set and delete them."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable

import msgspec

from agentbox.config import Config
from agentbox.control.server import Handler
from agentbox.credentials import Credentials, masked
from agentbox.daemon.core import Core
from agentbox.daemon.keys import credentials_of
from agentbox.daemon.params import Params, want
from agentbox.errors import ConfigError
from agentbox.messages import JSON
from agentbox.tools.template import secrets


class SecretsHandlers:
    """`table()` is the methods by name. `reload` makes a running box use a new secret: a backend that refused the old
    one is tried again. Null where none runs."""

    def __init__(self, core: Core, reload: Callable[[], Awaitable[None]] | None = None) -> None:
        self._core = core
        self._reload = reload

    def table(self) -> dict[str, Handler]:
        return {
            "secrets.list": self.secrets_list,
            "secrets.set": self.secrets_set,
            "secrets.delete": self.secrets_delete,
        }

    async def secrets_list(self, _: Params) -> JSON:
        """What the configuration refers to, and what the page's folder holds beside it."""
        credentials = credentials_of(self._core.config)
        wanted = referred(self._core.config)
        names = sorted(set(wanted) | set(credentials.kept()))
        return [await asyncio.to_thread(_shown, credentials, name, wanted.get(name, [])) for name in names]

    async def secrets_set(self, params: Params) -> JSON:
        """`{"name", "value"}` -> how it is now; not the value."""
        name, value = want(params, "name", str), want(params, "value", str)
        credentials = credentials_of(self._core.config)
        await asyncio.to_thread(credentials.keep, name, value)
        return await self._changed(credentials, name)

    async def secrets_delete(self, params: Params) -> JSON:
        """`{"name"}` -> how it is now: it may still be set elsewhere."""
        name = want(params, "name", str)
        credentials = credentials_of(self._core.config)
        await asyncio.to_thread(credentials.forget, name)
        return await self._changed(credentials, name)

    async def _changed(self, credentials: Credentials, name: str) -> JSON:
        wanted = referred(self._core.config).get(name, [])
        if wanted and self._reload is not None:
            await self._reload()
        return await asyncio.to_thread(_shown, credentials, name, wanted)


def referred(config: Config) -> dict[str, list[str]]:
    """The names of the secrets that a configuration means, and what for."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for backend in config.cloud.backends:
        found[backend.key or backend.name].append(f"cloud.backends: {backend.name}")
    if config.brain.kind != "none":
        from agentbox.daemon.brain import NAME  # what speaks with clouds is there where it is used

        found[config.brain.key or NAME].append("brain")
    for request in config.tools.web:
        for name in secrets(msgspec.to_builtins(request)):
            found[name].append(f"tools.web: {request.name}")
    return dict(found)


def _shown(credentials: Credentials, name: str, wanted: list[str]) -> JSON:
    problem = None
    try:
        found = credentials.locate(name)
    except ConfigError as error:
        found, problem = None, error.code
    return {
        "name": name,
        "set": found is not None,
        "source": None if found is None else found.source,
        "shown": "" if found is None else masked(found.value),
        "used_by": wanted,
        "problem": problem,
    }
