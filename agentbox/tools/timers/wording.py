"""How timers, alarms and reminders are called when the box speaks of them. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from agentbox.tools.phrases import Phrases
from agentbox.tools.time_source import Now
from agentbox.tools.timers.book import LATE_S, Alert, Entry


def called(entry: Entry, phrases: Phrases, now: Now) -> str:
    """ "pizza timer", "alarm for tomorrow at 7 AM", "call mum, today at 8 PM"."""
    if entry.kind == "timer":
        if entry.name:
            return phrases.part("timer_named", name=entry.name)
        return phrases.part("timer_plain", duration=phrases.grammar.duration(entry.duration_s))
    if entry.kind == "reminder":
        return phrases.part("reminder_item", message=_message(entry, phrases), when=when(entry, phrases, now))
    key = "alarm_named" if entry.name else "alarm_plain"
    return phrases.part(key, name=entry.name, when=when(entry, phrases, now))


def all_called(entries: Iterable[Entry], phrases: Phrases, now: Now) -> str:
    return phrases.grammar.join([called(entry, phrases, now) for entry in entries])


def when(entry: Entry, phrases: Phrases, now: Now) -> str:
    """ "tomorrow at 7 AM": when it rings."""
    return phrases.grammar.when(_to_the_minute(entry, now), now.wall)


def alert_text(alert: Alert, phrases: Phrases, now: Now) -> str:
    """What is said when something rings, rings late, or was missed."""
    entry = alert.entry
    state = "missed" if alert.kind == "missed" else "rings_late" if alert.late_s > LATE_S else "rings"
    named = "_named" if (entry.kind, state) == ("alarm", "rings") and entry.name else ""
    at = _to_the_minute(entry, now)
    return phrases.say(
        f"{entry.kind}_{state}{named}",
        timer=called(entry, phrases, now) if entry.kind == "timer" else "",
        name=entry.name,
        message=_message(entry, phrases),
        time=phrases.grammar.time(at),
        when=phrases.grammar.when(at, now.wall),
        late=phrases.grammar.duration(alert.late_s if alert.late_s < 60 else alert.late_s // 60 * 60),
    )


def left(entry: Entry, phrases: Phrases, now: Now) -> str:
    """How long a timer still has; seconds only where they matter."""
    seconds = max(0.0, entry.remaining_s(now))
    return phrases.grammar.duration(seconds if seconds < 3600 else round(seconds / 60) * 60)


def _message(entry: Entry, phrases: Phrases) -> str:
    return entry.message or phrases.part("reminder_plain")


def _to_the_minute(entry: Entry, now: Now) -> datetime:
    return datetime.fromtimestamp(round(entry.rings_at(now).timestamp() / 60) * 60, now.wall.tzinfo)
