"""Who may call what, and the questions that come before a risky call. Pure: time is given.

Nothing that a model, a page or a tool says can change a policy: it is made of the tool's declared risk and the
owner's configuration, and of nothing else.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Collection, Mapping
from typing import NamedTuple

import msgspec

from agentbox.config import Policy
from agentbox.messages import Caller, Confirmation, Notice, ToolCall, new_id
from agentbox.tools.declaration import Risk, Tool

DEFAULTS: dict[Risk, dict[Caller, Policy]] = {
    "normal": {
        "speech": "allow",
        "cli": "allow",
        "page": "allow",
        "cloud": "allow",
        "brain": "allow",
        "plugin": "allow",
    },
    "risky": {
        "speech": "confirm",
        "cli": "allow",  # whoever types a command has said exactly what they mean
        "page": "confirm",
        "cloud": "confirm",
        "brain": "confirm",
        "plugin": "deny",
    },
}

OWNERS: frozenset[Caller] = frozenset({"speech", "cli", "page"})
"""Callers that are the owner; only they can answer a question."""


class Policies:
    """`tools.policy` over the defaults: the tool's own entry, then the entry `"*"`, then the default for its risk. Whom
    a tool is not for at all (`Tool.callers`) it is denied in any case."""

    def __init__(self, configured: Mapping[str, Mapping[Caller, Policy]]) -> None:
        self._configured = configured

    def decide(self, tool: Tool, caller: Caller) -> Policy:
        if not self.is_free(tool, caller):
            return "deny"
        for name in (tool.name, "*"):
            if decision := self._configured.get(name, {}).get(caller):
                return decision
        return DEFAULTS[tool.risk][caller]

    def is_free(self, tool: Tool, caller: Caller) -> bool:
        """Whether it is the owner's to say what this caller may do with the tool."""
        return tool.callers is None or caller in tool.callers

    def problems(self, names: Collection[str]) -> list[Notice]:
        """A notice for each policy about a tool that does not exist: most likely a slip of the pen."""
        return [
            Notice(
                code="policy_unknown_tool",
                what=f"tools.policy names {name}, and there is no such tool.",
                todo="`agentbox tools list` names the tools.",
            )
            for name in self._configured
            if name != "*" and name not in names
        ]


class _Open(NamedTuple):
    call: ToolCall
    confirmation: Confirmation
    until: float


class Confirmations:
    """The question that is open, if any: bound to one call's tool, arguments and caller; good for one answer;
    gone after `valid_s` or when another is asked. `now` is on a clock that never jumps."""

    def __init__(self, valid_s: float) -> None:
        self.valid_s = valid_s
        self._open: _Open | None = None

    def ask(self, call: ToolCall, question: str, now: float) -> Confirmation:
        """Open a question about `call`; an older one is dropped, so that "yes" can mean only one thing."""
        confirmation = Confirmation(
            id=new_id(),
            utterance_id=call.utterance_id,
            tool=call.tool,
            arguments=call.arguments,
            caller=call.caller,
            question=question,
            expires_at=time.time() + self.valid_s,  # to be shown; `now` decides
        )
        # A copy: nobody who still holds the arguments can change what will be agreed to.
        bound = msgspec.structs.replace(call, arguments=copy.deepcopy(call.arguments))
        self._open = _Open(bound, confirmation, now + self.valid_s)
        return confirmation

    def pending(self, now: float) -> Confirmation | None:
        """The open question."""
        if self._open is not None and now >= self._open.until:
            self._open = None
        return self._open.confirmation if self._open else None

    def answer(self, yes: bool, now: float, *, by: Caller = "speech", id: str | None = None) -> ToolCall | None:
        """Close the open question. The call, exactly as it was asked about, if it may run now; else null.

        An answer by anyone but the owner, or to another question than the open one (`id`), changes nothing.
        """
        pending = self.pending(now)
        if self._open is None or pending is None or by not in OWNERS or id not in (None, pending.id):
            return None
        call, self._open = self._open.call, None
        return call if yes else None
