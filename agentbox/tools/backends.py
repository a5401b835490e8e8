"""Switching between cloud models by voice ("use qwen", "switch to local"): a tool for each of the owner's backends."""

from __future__ import annotations

from agentbox.config import LOCAL
from agentbox.errors import ToolError
from agentbox.tools.context import Outcome, ToolContext
from agentbox.tools.declaration import Tool, parameters_struct

_OWN = ("speech", "cli", "page")
"""A model may not choose who is asked."""


def backend_tool(name: str) -> Tool:
    """The tool that asks the backend `name` first from now on; `local`: none."""

    async def use(context: ToolContext) -> Outcome:
        if context.caller not in _OWN:
            raise ToolError("backend_owner_only", "Only the owner chooses who is asked.")
        context.conversation.use_backend(name)
        return Outcome(context.say("using_local" if name == LOCAL else "using_backend", name=_spoken(name)))

    return Tool(
        name=f"use_{name}",
        description="Answer by the box alone." if name == LOCAL else f"Ask {_spoken(name)} from now on.",
        function=use,
        parameters=parameters_struct(f"use_{name}", []),
        intents=(f"AgentboxUse_{name}",),
        sentences=_sentences(name),
        idempotent=True,
    )


def _spoken(name: str) -> str:
    return name.replace("_", " ")


def _sentences(name: str) -> dict[str, list[str]]:
    said = _spoken(name)
    if name == LOCAL:
        return {
            "en": ["(switch|change|go) [back] to (local|the box|offline) [mode]", "(use|stay) (local|offline)"],
            "zh": ["(切换到|切到|改用|使用|用)(本地|离线)[模式]"],
        }
    return {
        "en": [f"(switch|change) [back] to {said}", f"(use|ask|talk to) {said} [from now on]"],
        "zh": [f"(切换到|切到|改用|使用|用)[ ]{said}"],
    }
