"""The tools for timers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, NamedTuple

from msgspec import Meta

from agentbox.errors import ToolError
from agentbox.messages import JSON, Undo
from agentbox.tools import names
from agentbox.tools.context import Outcome, ToolContext
from agentbox.tools.declaration import tool
from agentbox.tools.timers.book import Entry, Kind
from agentbox.tools.timers.ringer import Ringer
from agentbox.tools.timers.wording import all_called, called, left

Count = Annotated[int, Meta(ge=0, le=100_000)]

MAX_ENTRIES = 100
"""Timers, alarms and reminders together."""
LONGEST_S = 31 * 86400


class Which(NamedTuple):
    """What was said about the timer that is meant; all empty: nothing."""

    name: str | None = None
    hours: int = 0
    minutes: int = 0
    seconds: int = 0
    """The time that it was started with."""
    id: int | None = None


@tool(intents=["HassStartTimer"])
async def start_timer(
    context: ToolContext, hours: Count = 0, minutes: Count = 0, seconds: Count = 0, name: str | None = None
) -> Outcome:
    """Start a timer that rings after the given time. Several can run at once."""
    ringer = context.service(Ringer)
    duration_s = checked_duration(hours * 3600 + minutes * 60 + seconds)
    check_room(ringer)
    entry = ringer.book.start(
        ringer.now(), "timer", duration_s, name=(name or "").strip(), language=ringer.other(context.language)
    )
    ringer.touched()
    undo = Undo(tool="cancel_timer", arguments={"id": entry.id})
    return Outcome(_set(context, entry), data=told(entry, ringer), undo=undo)


@tool(intents=["AgentboxChangeTimer"])
async def change_timer(
    context: ToolContext, hours: Count = 0, minutes: Count = 0, seconds: Count = 0, amount: Count = 0
) -> Outcome:
    """Let the timer that was set last run for another time, from now on. It keeps its name. `amount`: so many of what
    it was set in ("make it ten")."""
    ringer = context.service(Ringer)
    before = last_set(ringer, "timer")
    unit_s = next(unit_s for unit_s in (3600, 60, 1) if before.duration_s % unit_s == 0 or unit_s == 1)
    duration_s = checked_duration(hours * 3600 + minutes * 60 + seconds + amount * unit_s)
    entry = ringer.book.restart(before.id, duration_s, ringer.now())
    ringer.touched()
    return Outcome(_set(context, entry), data=told(entry, ringer), undo=restoring([before]))


@tool(intents=["HassCancelTimer"])
async def cancel_timer(
    context: ToolContext,
    name: str | None = None,
    start_hours: Count = 0,
    start_minutes: Count = 0,
    start_seconds: Count = 0,
    id: int | None = None,
) -> Outcome:
    """Cancel a timer, or stop one that rings. It is named, or told by the time it was started with, or the only one."""
    ringer = context.service(Ringer)
    which = Which(name, start_hours, start_minutes, start_seconds, id)
    if not any(which) and (ringing := ringer.book.stop()):
        ringer.touched()
        return Outcome(context.say("timer_stopped", timer=all_called(ringing, context.phrases, ringer.now())))
    entry = _the_one(context, ringer, which)
    ringer.book.cancel(entry.id)
    ringer.touched()
    text = context.say("timer_cancelled", timer=called(entry, context.phrases, ringer.now()))
    return Outcome(text, undo=restoring([entry]))


@tool(intents=["HassCancelAllTimers"])
async def cancel_all_timers(context: ToolContext) -> Outcome:
    """Cancel all timers. Alarms and reminders stay."""
    return all_cancelled(context, "timer")


@tool(intents=["HassPauseTimer"])
async def pause_timer(
    context: ToolContext,
    name: str | None = None,
    start_hours: Count = 0,
    start_minutes: Count = 0,
    start_seconds: Count = 0,
    id: int | None = None,
) -> Outcome:
    """Pause a running timer."""
    ringer = context.service(Ringer)
    which = Which(name, start_hours, start_minutes, start_seconds, id)
    entry = _the_one(context, ringer, which, only=_runs, none="timer_not_running")
    entry = ringer.book.pause(entry.id, ringer.now())
    ringer.touched()
    undo = Undo(tool="resume_timer", arguments={"id": entry.id})
    return Outcome(_state(context, ringer, entry, "timer_paused"), data=told(entry, ringer), undo=undo)


@tool(intents=["HassUnpauseTimer"])
async def resume_timer(
    context: ToolContext,
    name: str | None = None,
    start_hours: Count = 0,
    start_minutes: Count = 0,
    start_seconds: Count = 0,
    id: int | None = None,
) -> Outcome:
    """Let a paused timer go on."""
    ringer = context.service(Ringer)
    which = Which(name, start_hours, start_minutes, start_seconds, id)
    entry = _the_one(context, ringer, which, only=lambda entry: entry.paused, none="timer_not_paused")
    entry = ringer.book.resume(entry.id, ringer.now())
    ringer.touched()
    undo = Undo(tool="pause_timer", arguments={"id": entry.id})
    return Outcome(_state(context, ringer, entry, "timer_resumed"), data=told(entry, ringer), undo=undo)


@tool(intents=["HassIncreaseTimer"])
async def increase_timer(
    context: ToolContext,
    hours: Count = 0,
    minutes: Count = 0,
    seconds: Count = 0,
    name: str | None = None,
    start_hours: Count = 0,
    start_minutes: Count = 0,
    start_seconds: Count = 0,
    id: int | None = None,
) -> Outcome:
    """Give a timer more time. One that rings stops and runs for that time."""
    which = Which(name, start_hours, start_minutes, start_seconds, id)
    return _changed(context, hours * 3600 + minutes * 60 + seconds, which, "decrease_timer")


@tool(intents=["HassDecreaseTimer"])
async def decrease_timer(
    context: ToolContext,
    hours: Count = 0,
    minutes: Count = 0,
    seconds: Count = 0,
    name: str | None = None,
    start_hours: Count = 0,
    start_minutes: Count = 0,
    start_seconds: Count = 0,
    id: int | None = None,
) -> Outcome:
    """Take time off a timer. One that has none left rings."""
    which = Which(name, start_hours, start_minutes, start_seconds, id)
    return _changed(context, -(hours * 3600 + minutes * 60 + seconds), which, "increase_timer")


@tool(intents=["HassTimerStatus", "AgentboxListTimers"], effects=False, idempotent=True)
async def timer_status(
    context: ToolContext,
    name: str | None = None,
    start_hours: Count = 0,
    start_minutes: Count = 0,
    start_seconds: Count = 0,
) -> Outcome:
    """Tell how much time is left on a timer, or on all of them."""
    ringer = context.service(Ringer)
    found = _found(ringer, Which(name, start_hours, start_minutes, start_seconds))
    if not found:
        code = "timer_not_found" if of_kind(ringer, "timer") else "timer_none"
        raise ToolError(code, "There is no such timer.")
    texts = [
        _state(context, ringer, entry, "timer_left_paused" if entry.paused else "timer_left")
        for entry in sorted(found, key=lambda entry: entry.remaining_s(ringer.now()))
    ]
    return Outcome(" ".join(texts), data=[told(entry, ringer) for entry in found])


@tool(intents=[])
async def restore_timers(context: ToolContext, ids: list[int]) -> Outcome:
    """Take back that timers, alarms or reminders were cancelled or changed."""
    ringer = context.service(Ringer)
    restored = [entry for id in ids if (entry := ringer.book.restore(id)) is not None]
    if not restored:
        raise ToolError("timer_not_found", "It is not known any more.")
    ringer.touched()
    return Outcome(context.say("timers_restored"), data=[told(entry, ringer) for entry in restored])


def checked_duration(seconds: float) -> float:
    """Raises `ToolError`: `timer_no_duration`, `timer_too_long`."""
    if seconds <= 0:
        raise ToolError("timer_no_duration", "It needs a duration.", asks=True)
    if seconds > LONGEST_S:
        raise ToolError("timer_too_long", "At most 31 days.")
    return seconds


def check_room(ringer: Ringer) -> None:
    """Raises `ToolError` `timers_full`."""
    if len(ringer.book.entries) >= MAX_ENTRIES:
        raise ToolError("timers_full", f"There are {MAX_ENTRIES} already.")


def all_cancelled(context: ToolContext, kind: Kind) -> Outcome:
    """Cancel all of a kind. Raises `ToolError` `timer_none`, `alarm_none` or `reminder_none`."""
    ringer = context.service(Ringer)
    entries = of_kind(ringer, kind)
    if not entries:
        raise ToolError(f"{kind}_none", f"There is no {kind}.")
    for entry in entries:
        ringer.book.cancel(entry.id)
    ringer.touched()
    return Outcome(context.say(f"{kind}s_cancelled"), undo=restoring(entries))


def last_set(ringer: Ringer, kind: Kind) -> Entry:
    """The one that was set last. Raises `ToolError` as `all_cancelled` does."""
    entries = of_kind(ringer, kind)
    if not entries:
        raise ToolError(f"{kind}_none", f"There is no {kind}.")
    return max(entries, key=lambda entry: entry.id)


def of_kind(ringer: Ringer, kind: Kind) -> list[Entry]:
    return [entry for entry in ringer.book.entries.values() if entry.kind == kind]


def restoring(entries: list[Entry]) -> Undo | None:
    """To take back that these, as they were before, were cancelled or changed. One that rang does not come back."""
    ids = [entry.id for entry in entries if not entry.ringing]
    return Undo(tool="restore_timers", arguments={"ids": ids}) if ids else None


def told(entry: Entry, ringer: Ringer) -> JSON:
    """An entry for programs."""
    now = ringer.now()
    return {
        "id": entry.id,
        "kind": entry.kind,
        "name": entry.name,
        "message": entry.message,
        "left_s": round(entry.remaining_s(now), 3),
        "paused": entry.paused,
        "ringing": entry.ringing,
        "rings_at": None if entry.paused else entry.rings_at(now).isoformat(timespec="seconds"),
    }


def all_told(ringer: Ringer) -> list[JSON]:
    """Every timer, alarm and reminder for programs, what rings next first; a paused one comes last."""
    now = ringer.now()
    entries = sorted(ringer.book.entries.values(), key=lambda entry: (entry.paused, entry.remaining_s(now)))
    return [told(entry, ringer) for entry in entries]


def _set(context: ToolContext, entry: Entry) -> str:
    duration = context.phrases.grammar.duration(entry.duration_s)
    return context.say("timer_set_named" if entry.name else "timer_set", name=entry.name, duration=duration)


def _changed(context: ToolContext, seconds: int, which: Which, inverse: str) -> Outcome:
    ringer = context.service(Ringer)
    checked_duration(abs(seconds))
    entry = _the_one(context, ringer, which)
    checked_duration(max(1.0, entry.remaining_s(ringer.now()) + seconds))
    rang = entry.ringing
    entry = ringer.book.extend(entry.id, seconds, ringer.now())
    ringer.touched()
    undo = None if rang else Undo(tool=inverse, arguments={"id": entry.id, "seconds": abs(seconds)})
    return Outcome(_state(context, ringer, entry, "timer_changed"), data=told(entry, ringer), undo=undo)


def _runs(entry: Entry) -> bool:
    return not entry.paused and not entry.ringing


def _found(ringer: Ringer, which: Which) -> list[Entry]:
    """The timers that are meant; all where nothing was said about them."""
    found = of_kind(ringer, "timer")
    if which.id is not None:
        return [entry for entry in found if entry.id == which.id]
    if which.name:
        found = [found[index] for index in names.matching(which.name, [entry.name for entry in found])]
    if duration_s := which.hours * 3600 + which.minutes * 60 + which.seconds:
        found = [entry for entry in found if entry.duration_s == duration_s]
    return found


def _the_one(
    context: ToolContext,
    ringer: Ringer,
    which: Which,
    *,
    only: Callable[[Entry], bool] = lambda entry: True,
    none: str = "timer_not_found",
) -> Entry:
    """The one timer that is meant. Raises `ToolError`: `timer_none`, `timer_ambiguous`, or the code `none`."""
    if not of_kind(ringer, "timer"):
        raise ToolError("timer_none", "There is no timer.")
    found = [entry for entry in _found(ringer, which) if only(entry)]
    if not found:
        raise ToolError(none, "There is no such timer.")
    ringing = [entry for entry in found if entry.ringing]
    if len(found) > 1 and len(ringing) != 1:
        spoken = context.say("timer_ambiguous", timers=all_called(found, context.phrases, ringer.now()))
        raise ToolError(
            "timer_ambiguous", "Several timers are like that.", "Name one of them.", spoken=spoken, asks=True
        )
    return (ringing or found)[0]


def _state(context: ToolContext, ringer: Ringer, entry: Entry, key: str) -> str:
    now = ringer.now()
    return context.say(key, timer=called(entry, context.phrases, now), duration=left(entry, context.phrases, now))
