"""The tools for alarms and reminders."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from msgspec import Meta

from agentbox.errors import ToolError
from agentbox.messages import Undo
from agentbox.tools import names
from agentbox.tools.context import Outcome, ToolContext
from agentbox.tools.declaration import tool
from agentbox.tools.timers.book import Entry
from agentbox.tools.timers.countdowns import (
    Count,
    all_cancelled,
    check_room,
    checked_duration,
    last_set,
    of_kind,
    restoring,
    told,
)
from agentbox.tools.timers.moments import SMALL_HOURS, Day, Period, days_meant, hours_meant, moved, resolve
from agentbox.tools.timers.ringer import Ringer
from agentbox.tools.timers.wording import all_called, called, when

Hour = Annotated[int, Meta(ge=0, le=24)]
Minute = Annotated[int, Meta(ge=0, le=59)]

REMINDER_HOUR = 9
"""A reminder for a day without a time comes at nine in the morning."""


class Spoken(NamedTuple):
    """The parts of a time as they were said; `in_s` above 0: that many seconds from now, whatever the others are."""

    hour: int | None
    minute: int
    period: Period | None
    day: Day | None
    in_s: int


@tool(intents=["AgentboxSetAlarm"])
async def set_alarm(
    context: ToolContext,
    hour: Hour | None = None,
    minute: Minute = 0,
    period: Period | None = None,
    day: Day | None = None,
    name: str | None = None,
    in_hours: Count = 0,
    in_minutes: Count = 0,
) -> Outcome:
    """Set an alarm for a time of day (the next one, or on a named day), or for a while from now."""
    ringer = context.service(Ringer)
    check_room(ringer)
    own = (name or "").strip()
    if in_s := in_hours * 3600 + in_minutes * 60:
        entry = ringer.book.start(
            ringer.now(), "alarm", checked_duration(in_s), name=own, language=ringer.other(context.language)
        )
    elif hour is None:
        raise ToolError("time_missing", "An alarm needs a time.", asks=True)
    else:
        at = resolve(ringer.now().wall, hour, minute, period, day, by_day=False)
        entry = ringer.book.schedule("alarm", at, name=own, language=ringer.other(context.language))
    ringer.touched()
    return _alarm_set(context, ringer, entry, Undo(tool="cancel_alarm", arguments={"id": entry.id}))


@tool(intents=["AgentboxChangeAlarm"])
async def change_alarm(
    context: ToolContext,
    hour: Hour | None = None,
    minute: Minute = 0,
    period: Period | None = None,
    day: Day | None = None,
    in_hours: Count = 0,
    in_minutes: Count = 0,
) -> Outcome:
    """Move the alarm that was set last to another time or day, or to a while from now. It keeps its name."""
    ringer = context.service(Ringer)
    before = last_set(ringer, "alarm")
    spoken = Spoken(hour, minute, period, day, in_hours * 3600 + in_minutes * 60)
    return _alarm_set(context, ringer, _moved(ringer, before, spoken), restoring([before]))


@tool(intents=["AgentboxListAlarms"], effects=False, idempotent=True)
async def list_alarms(context: ToolContext) -> Outcome:
    """Tell which alarms are set."""
    return _listed(context, "alarm")


@tool(intents=["AgentboxCancelAlarm"])
async def cancel_alarm(
    context: ToolContext,
    hour: Hour | None = None,
    minute: Minute = 0,
    period: Period | None = None,
    day: Day | None = None,
    name: str | None = None,
    id: int | None = None,
) -> Outcome:
    """Cancel an alarm, told by its time, its day or its name, or the only one; or stop one that rings."""
    ringer = context.service(Ringer)
    found = _entries(ringer, "alarm")
    if id is not None:
        found = [entry for entry in found if entry.id == id]
    elif name:
        found = [found[index] for index in names.matching(name, [entry.name for entry in found])]
    if hour is not None or day is not None:
        found = [entry for entry in found if _is_at(entry, ringer, hour, minute, period, day)]
    return _cancelled(context, ringer, "alarm", found)


@tool(intents=["AgentboxCancelAllAlarms"])
async def cancel_all_alarms(context: ToolContext) -> Outcome:
    """Cancel all alarms. Timers and reminders stay."""
    return all_cancelled(context, "alarm")


@tool(intents=["AgentboxSetReminder"])
async def set_reminder(
    context: ToolContext,
    message: str | None = None,
    hour: Hour | None = None,
    minute: Minute = 0,
    period: Period | None = None,
    day: Day | None = None,
    in_hours: Count = 0,
    in_minutes: Count = 0,
    in_seconds: Count = 0,
) -> Outcome:
    """Remind the owner of something at a time of day, on a day, or after a while."""
    ringer = context.service(Ringer)
    check_room(ringer)
    own = (message or "").strip()
    if in_s := in_hours * 3600 + in_minutes * 60 + in_seconds:
        entry = ringer.book.start(
            ringer.now(), "reminder", checked_duration(in_s), message=own, language=ringer.other(context.language)
        )
    elif hour is None and day is None:
        raise ToolError("time_missing", "A reminder needs a time.", asks=True)
    else:
        if hour is None:
            hour, minute, period = REMINDER_HOUR, 0, "am"
        at = resolve(ringer.now().wall, hour, minute, period, day, by_day=True)
        entry = ringer.book.schedule("reminder", at, message=own, language=ringer.other(context.language))
    ringer.touched()
    return _reminder_set(context, ringer, entry, Undo(tool="cancel_reminder", arguments={"id": entry.id}))


@tool(intents=["AgentboxChangeReminder"])
async def change_reminder(
    context: ToolContext,
    hour: Hour | None = None,
    minute: Minute = 0,
    period: Period | None = None,
    day: Day | None = None,
    in_hours: Count = 0,
    in_minutes: Count = 0,
    in_seconds: Count = 0,
) -> Outcome:
    """Move the reminder that was set last to another time or day, or to a while from now. It keeps its message."""
    ringer = context.service(Ringer)
    before = last_set(ringer, "reminder")
    spoken = Spoken(hour, minute, period, day, in_hours * 3600 + in_minutes * 60 + in_seconds)
    return _reminder_set(context, ringer, _moved(ringer, before, spoken), restoring([before]))


@tool(intents=["AgentboxListReminders"], effects=False, idempotent=True)
async def list_reminders(context: ToolContext) -> Outcome:
    """Tell which reminders there are."""
    return _listed(context, "reminder")


@tool(intents=["AgentboxCancelReminder"])
async def cancel_reminder(context: ToolContext, message: str | None = None, id: int | None = None) -> Outcome:
    """Cancel a reminder, told by its message, or the only one."""
    ringer = context.service(Ringer)
    found = _entries(ringer, "reminder")
    if id is not None:
        found = [entry for entry in found if entry.id == id]
    elif message:
        found = [found[index] for index in names.matching(message, [entry.message for entry in found])]
    return _cancelled(context, ringer, "reminder", found)


@tool(intents=["AgentboxCancelAllReminders"])
async def cancel_all_reminders(context: ToolContext) -> Outcome:
    """Cancel all reminders. Timers and alarms stay."""
    return all_cancelled(context, "reminder")


def _moved(ringer: Ringer, before: Entry, spoken: Spoken) -> Entry:
    """Move an entry. Raises `ToolError`, and then leaves it as it is."""
    now = ringer.now()
    if spoken.in_s:
        entry = ringer.book.restart(before.id, checked_duration(spoken.in_s), now)
    else:
        by_day = before.kind == "reminder"
        at = moved(now.wall, before.rings_at(now), spoken.hour, spoken.minute, spoken.period, spoken.day, by_day=by_day)
        entry = ringer.book.move(before.id, at)
    ringer.touched()
    return entry


def _alarm_set(context: ToolContext, ringer: Ringer, entry: Entry, undo: Undo | None) -> Outcome:
    then = when(entry, context.phrases, ringer.now())
    text = context.say("alarm_set_named" if entry.name else "alarm_set", name=entry.name, when=then)
    return Outcome(text, data=told(entry, ringer), undo=undo)


def _reminder_set(context: ToolContext, ringer: Ringer, entry: Entry, undo: Undo | None) -> Outcome:
    if entry.at:
        then = when(entry, context.phrases, ringer.now())
    else:
        then = context.phrases.part("in_duration", duration=context.phrases.grammar.duration(entry.duration_s))
    text = context.say("reminder_set" if entry.message else "reminder_set_plain", message=entry.message, when=then)
    return Outcome(text, data=told(entry, ringer), undo=undo)


def _is_at(entry: Entry, ringer: Ringer, hour: int | None, minute: int, period: Period | None, day: Day | None) -> bool:
    """Whether it rings at the time and on the day that were said."""
    now = ringer.now()
    at = entry.rings_at(now)
    late = period == "night" and at.hour < SMALL_HOURS
    if day is not None and at.date() not in days_meant(now.wall.date(), day, after_midnight=late):
        return False
    return hour is None or (at.minute == minute and at.hour in hours_meant(hour, minute, period))


def _entries(ringer: Ringer, kind: Literal["alarm", "reminder"]) -> list[Entry]:
    now = ringer.now()
    return sorted(of_kind(ringer, kind), key=lambda entry: entry.remaining_s(now))


def _listed(context: ToolContext, kind: Literal["alarm", "reminder"]) -> Outcome:
    ringer = context.service(Ringer)
    entries = _entries(ringer, kind)
    if not entries:
        return Outcome(context.say(f"{kind}_none"), data=[])
    now = ringer.now()
    if kind == "reminder":
        text = context.say("reminders", reminders=all_called(entries, context.phrases, now))
    else:
        items = [
            context.phrases.part(
                "alarm_item_named" if entry.name else "alarm_item",
                name=entry.name,
                when=when(entry, context.phrases, now),
            )
            for entry in entries
        ]
        text = context.say("alarms", alarms=context.phrases.grammar.join(items))
    return Outcome(text, data=[told(entry, ringer) for entry in entries])


def _cancelled(context: ToolContext, ringer: Ringer, kind: Literal["alarm", "reminder"], found: list[Entry]) -> Outcome:
    """Cancel the one that is meant; of several, the one that rings. Raises `ToolError`."""
    if not _entries(ringer, kind):
        raise ToolError(f"{kind}_none", f"There is no {kind}.")
    if not found:
        raise ToolError(f"{kind}_not_found", f"There is no such {kind}.")
    ringing = [entry for entry in found if entry.ringing]
    if len(found) > 1 and len(ringing) != 1:
        told_all = all_called(found, context.phrases, ringer.now())
        spoken = context.say(f"{kind}_ambiguous", **{f"{kind}s": told_all})
        raise ToolError(f"{kind}_ambiguous", "Several are like that.", "Say which one.", spoken=spoken, asks=True)
    entry = ringer.book.cancel((ringing or found)[0].id)
    ringer.touched()
    text = context.say(f"{kind}_cancelled", **{f"{kind}s": called(entry, context.phrases, ringer.now())})
    return Outcome(text, undo=restoring([entry]))
