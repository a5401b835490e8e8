"""Letting a phone in by voice: the box says where its page is, and a code that works once."""

from __future__ import annotations

from agentbox.messages import Caller, Role
from agentbox.tools.context import Outcome, ToolContext
from agentbox.tools.declaration import tool
from agentbox.tools.phrases import Phrases

HERE: tuple[Caller, ...] = ("speech", "cli")
"""Whoever stands before the box, or has a shell on it. No model, page or plugin lets anybody in."""


@tool(intents=["AgentboxPairPhone"], risk="risky", callers=HERE)
async def pair_phone(context: ToolContext) -> Outcome:
    """Let one more phone of the owner's in: a code is told that works once."""
    return await _invite(context, "owner")


@tool(intents=["AgentboxPairGuestPhone"], risk="risky", callers=HERE)
async def pair_guest_phone(context: ToolContext) -> Outcome:
    """Let a guest's phone in, which may talk to the box and change nothing: a code is told that works once."""
    return await _invite(context, "guest")


async def _invite(context: ToolContext, role: Role) -> Outcome:
    invitation = await context.conversation.invite(role)
    minutes = round(invitation.seconds / 60)
    if context.caller == "speech":
        place, code = spelled_place(invitation.place, context.phrases), spelled(invitation.code)
        aloud = context.say("pairing_aloud", place=place, code=code, minutes=minutes)
    else:
        aloud = context.say("pairing_written", place=invitation.place, code=invitation.code, minutes=minutes)
    return Outcome(context.say("pairing_told"), aloud=aloud)


def spelled(code: str) -> str:
    """`K7PQ-2M4X` -> "K, 7, P, Q. 2, M, 4, X.": every letter by itself, with a rest between the halves."""
    return " ".join(f"{', '.join(half)}." for half in code.split("-"))


def spelled_place(place: str, phrases: Phrases) -> str:
    """`https://kitchen.local:8443` -> "kitchen dot local, colon, 8 4 4 3": what is typed, digit by digit."""
    host, _, port = place.removeprefix("https://").partition(":")
    dot, colon = phrases.part("pairing_dot"), phrases.part("pairing_colon")
    parts = [" ".join(part) if part.isdecimal() else part for part in host.split(".")]
    return dot.join(parts) + (colon + " ".join(port) if port else "")
