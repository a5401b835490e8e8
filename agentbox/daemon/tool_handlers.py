"""What can be asked about tools beside calling them: who may use one, and how its last call went."""

from __future__ import annotations

from typing import cast, get_args

from agentbox.config import Policy
from agentbox.control.server import Handler
from agentbox.daemon.core import Core
from agentbox.daemon.params import Params, want
from agentbox.daemon.settings_handlers import SettingsHandlers
from agentbox.errors import InputError
from agentbox.messages import JSON, Caller
from agentbox.storage import listing


class ToolHandlers:
    """`table()` is the methods by name."""

    def __init__(self, core: Core, settings: SettingsHandlers) -> None:
        self._core = core
        self._settings = settings

    def table(self) -> dict[str, Handler]:
        return {"tools.policy": self.policy, "tools.last": self.last}

    async def policy(self, params: Params) -> JSON:
        """`{"tool", "caller", "policy"}`, or `{"tool", "policies"}`, an object of several callers that count together
        or not at all -> what they may do with the tool from now on; kept over restarts."""
        name = want(params, "tool", str)
        if "policies" in params:
            policies = want(params, "policies", dict)
        else:
            policies = {want(params, "caller", str): want(params, "policy", str)}
        runner = self._core.attention.talk.mind.runner
        tool = runner.registry.tools.get(name)
        if tool is None:
            raise InputError("policy_invalid", "There is no such tool.", "tools.list names the tools.")
        if not set(policies) <= set(get_args(Caller)) or not all(one in get_args(Policy) for one in policies.values()):
            raise InputError(
                "policy_invalid",
                "That is no policy.",
                f"caller is one of {', '.join(get_args(Caller))}; policy one of {', '.join(get_args(Policy))}.",
            )
        for caller, policy in policies.items():
            if not runner.policies.is_free(tool, cast(Caller, caller)) and policy != "deny":
                raise InputError("policy_fixed", f"{caller} may never call {name}.", "Nothing can change that.")
        changes = {f"tools.policy.{name}.{caller}": policy for caller, policy in policies.items()}
        if changes:
            await self._settings.change(changes, lambda _key, policy, _before: policy)
        if "policies" in params:
            return {"tool": name, "policies": policies}
        return {"tool": name, "caller": params["caller"], "policy": params["policy"]}

    async def last(self, _: Params) -> JSON:
        """The last call of each tool that was called."""
        return await self._core.read_journal(lambda: self._core.journal.read(listing.last_calls))
