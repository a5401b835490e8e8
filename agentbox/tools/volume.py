"""Volume and mute of the machine's output.

Options (`tools.options.volume`): `step` percent of "louder" (default 10); for ALSA alone, `control` and `card`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from agentbox.messages import Undo
from agentbox.tools.context import Outcome, ToolContext
from agentbox.tools.declaration import tool
from agentbox.tools.mixer import Mixer, find_mixer

DEFAULT_STEP_PERCENT = 10

Percent = Annotated[int, Meta(ge=0, le=100)]
Step = Annotated[int, Meta(ge=-100, le=100)]


@tool(intents=["HassSetVolume"], idempotent=True)
async def set_volume(context: ToolContext, volume_level: Percent) -> Outcome:
    """Set the volume, in percent. Sound that was off comes on."""
    mixer = await _mixer(context)
    before = await mixer.read()
    await mixer.set_percent(volume_level)
    if before.muted and volume_level:
        await mixer.set_muted(False)
    return _outcome(context, volume_level, before.percent)


@tool(intents=["HassSetVolumeRelative"])
async def change_volume(context: ToolContext, volume_step: Literal["up", "down"] | Step) -> Outcome:
    """Turn the volume up or down a little, or by so many percent (below 0: down)."""
    if isinstance(volume_step, str):
        configured = context.options.get("step", DEFAULT_STEP_PERCENT)
        step = abs(configured) if isinstance(configured, int) else DEFAULT_STEP_PERCENT
        change = step if volume_step == "up" else -step
    else:
        change = volume_step
    mixer = await _mixer(context)
    before = await mixer.read()
    percent = max(0, min(100, before.percent + change))
    await mixer.set_percent(percent)
    if before.muted and change > 0:
        await mixer.set_muted(False)
    return _outcome(context, percent, before.percent)


@tool(intents=["AgentboxGetVolume"], effects=False, idempotent=True)
async def get_volume(context: ToolContext) -> Outcome:
    """Tell how loud the sound is set."""
    level = await (await _mixer(context)).read()
    text = context.say("volume_is_muted" if level.muted else "volume_is", percent=level.percent)
    return Outcome(text, data={"percent": level.percent, "muted": level.muted})


@tool(intents=["HassMediaPlayerMute"], idempotent=True)
async def mute(context: ToolContext) -> Outcome:
    """Turn the sound off."""
    mixer = await _mixer(context)
    await mixer.set_muted(True)
    return Outcome(context.say("volume_muted"), undo=Undo(tool="unmute", arguments={}))


@tool(intents=["HassMediaPlayerUnmute"], idempotent=True)
async def unmute(context: ToolContext) -> Outcome:
    """Turn the sound on again."""
    mixer = await _mixer(context)
    await mixer.set_muted(False)
    level = await mixer.read()
    text = context.say("volume_unmuted", percent=level.percent)
    return Outcome(text, undo=Undo(tool="mute", arguments={}))


async def _mixer(context: ToolContext) -> Mixer:
    control, card = context.options.get("control"), context.options.get("card")
    return await find_mixer(None if control is None else str(control), None if card is None else str(card))


def _outcome(context: ToolContext, percent: int, before: int) -> Outcome:
    undo = Undo(tool="set_volume", arguments={"volume_level": min(100, before)})
    return Outcome(context.say("volume_set", percent=percent), data={"percent": percent}, undo=undo)
