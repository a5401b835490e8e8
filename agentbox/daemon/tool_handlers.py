"""What can be asked about tools beside calling them: who may use one, and how its last call went."""

from __future__ import annotations

import asyncio
from typing import cast, get_args

from agentbox import choices
from agentbox.config import Policy
from agentbox.control.server import Handler
from agentbox.daemon.core import Core
from agentbox.daemon.handlers import Daemon
from agentbox.daemon.params import Params, want
from agentbox.errors import InputError
from agentbox.messages import JSON, Caller
from agentbox.storage import listing


class ToolHandlers:
    """`table()` is the methods by name. `daemon` is null where none runs."""

    def __init__(self, core: Core, daemon: Daemon | None = None) -> None:
        self._core = core
        self._daemon = daemon

    def table(self) -> dict[str, Handler]:
        return {"tools.policy": self.policy, "tools.last": self.last}

    async def policy(self, params: Params) -> JSON:
        """`{"tool", "caller", "policy"}` -> what that caller may do with the tool from now on; kept over restarts."""
        name, caller, policy = (want(params, key, str) for key in ("tool", "caller", "policy"))
        runner = self._core.attention.talk.mind.runner
        tool = runner.registry.tools.get(name)
        if tool is None:
            raise InputError("policy_invalid", "There is no such tool.", "tools.list names the tools.")
        if caller not in get_args(Caller) or policy not in get_args(Policy):
            raise InputError(
                "policy_invalid",
                "That is no policy.",
                f"caller is one of {', '.join(get_args(Caller))}; policy one of {', '.join(get_args(Policy))}.",
            )
        if not runner.policies.is_free(tool, cast(Caller, caller)) and policy != "deny":
            raise InputError("policy_fixed", f"{caller} may never call {name}.", "Nothing can change that.")
        await asyncio.to_thread(choices.remember, f"tools.policy.{name}.{caller}", policy)
        if self._daemon is not None:
            await self._daemon.reload()
        return {"tool": name, "caller": caller, "policy": policy}

    async def last(self, _: Params) -> JSON:
        """The last call of each tool that was called."""
        return await self._core.read_journal(lambda: self._core.journal.read(listing.last_calls))
