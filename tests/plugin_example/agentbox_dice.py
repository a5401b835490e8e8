"""Dice for agentbox: "roll the dice", "roll three dice", "how often have you rolled the dice"."""

from __future__ import annotations

import random
from typing import Annotated

from msgspec import Meta

from agentbox.tools import Outcome, ToolContext, tool

Count = Annotated[int, Meta(ge=1, le=10)]


@tool(sentences={"en": ["roll [the|a] (die|dice)", "roll {count} dice"], "zh": ["掷骰子", "掷{count}个骰子"]})
async def roll_dice(context: ToolContext, count: Count = 1) -> Outcome:
    """Roll dice and tell what they show."""
    sides = context.options.get("sides", 6)
    shown = [random.randint(1, sides) for _ in range(count)]
    context.store.put("rolled", (context.store.get("rolled") or 0) + count)
    return Outcome(context.phrases.grammar.join([str(number) for number in shown]), data=shown)


@tool(effects=False, sentences={"en": ["how often (have|did) you roll[ed] the dice"]})
async def count_rolls(context: ToolContext) -> str:
    """Tell how many dice were rolled so far."""
    return f"{context.store.get('rolled') or 0} times."
