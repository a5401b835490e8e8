"""Time and date."""

from __future__ import annotations

from agentbox.tools.context import Outcome, ToolContext
from agentbox.tools.declaration import tool


@tool(intents=["HassGetCurrentTime"], effects=False, idempotent=True)
async def get_time(context: ToolContext) -> Outcome:
    """Tell what time it is."""
    now = context.now()
    time = context.phrases.grammar.time(now)
    return Outcome(context.say("time", time=time), data={"now": now.isoformat(timespec="seconds")})


@tool(intents=["HassGetCurrentDate"], effects=False, idempotent=True)
async def get_date(context: ToolContext) -> Outcome:
    """Tell which day it is."""
    today = context.now().date()
    return Outcome(
        context.say("date", date=context.phrases.grammar.calendar_day(today)), data={"today": today.isoformat()}
    )
