"""What is said about the talk itself: stop, never mind, say that again, what can you do, cancel that."""

from __future__ import annotations

from agentbox.tools.context import Outcome, ToolContext
from agentbox.tools.declaration import tool

_OWN_MODULES = ("clock", "timers", "lists", "volume", "pairing")
_MORE = 6
"""More tools of the owner than this are not read out."""


@tool(intents=["AgentboxStop"], idempotent=True)
async def stop(context: ToolContext) -> Outcome:
    """Be quiet: stop speech, sounds, and whatever rings."""
    return Outcome(context.say("stopped" if context.silence() else "nothing_to_stop"))


@tool(intents=["HassNevermind"], idempotent=True)
async def nevermind(context: ToolContext) -> Outcome:
    """The owner wants nothing after all."""
    context.silence()
    return Outcome(context.say("nevermind"))


@tool(intents=["AgentboxRepeat"], effects=False, idempotent=True)
async def repeat(context: ToolContext) -> Outcome:
    """Say the last answer again."""
    return Outcome(context.conversation.last_reply or context.say("nothing_to_repeat"))


@tool(intents=["AgentboxHelp"], effects=False, idempotent=True)
async def help(context: ToolContext) -> Outcome:
    """Tell what the box can do."""
    abilities = [context.phrases.part(f"help_{module}") for module in _OWN_MODULES]
    others = [tool.name.replace("_", " ") for tool in context.tools if tool.module not in (*_OWN_MODULES, "talk")]
    if others:
        names = context.phrases.grammar.join(others[:_MORE])
        abilities.append(context.phrases.part("help_more", names=names))
    data = [{"name": tool.name, "description": tool.description} for tool in context.tools]
    return Outcome(context.say("help", abilities=context.phrases.grammar.join(abilities)), data=data)


@tool(intents=["AgentboxUndo"])
async def undo(context: ToolContext) -> Outcome:
    """Take back the last thing that was done."""
    last = context.conversation.last_undo
    if last is None:
        return Outcome(context.say("nothing_to_undo"), warns=True)
    return Outcome("", instead=last)


@tool(intents=["AgentboxName"], effects=False, idempotent=True)
async def name(context: ToolContext) -> Outcome:
    """Tell who the box is."""
    return Outcome(context.say("my_name", name=context.persona.name), data={"name": context.persona.name})
