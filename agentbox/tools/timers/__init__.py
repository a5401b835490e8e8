"""Timers, alarms and reminders: `book` (pure) knows what is due, `ringer` keeps it and rings; the rest are tools."""

from agentbox.tools.timers.alarms import (
    cancel_alarm,
    cancel_all_alarms,
    cancel_all_reminders,
    cancel_reminder,
    change_alarm,
    change_reminder,
    list_alarms,
    list_reminders,
    set_alarm,
    set_reminder,
)
from agentbox.tools.timers.countdowns import (
    all_told,
    cancel_all_timers,
    cancel_timer,
    change_timer,
    decrease_timer,
    increase_timer,
    pause_timer,
    restore_timers,
    resume_timer,
    start_timer,
    timer_status,
)
from agentbox.tools.timers.ringer import Ringer

__all__ = [
    "Ringer",
    "all_told",
    "cancel_alarm",
    "cancel_all_alarms",
    "cancel_all_reminders",
    "cancel_all_timers",
    "cancel_reminder",
    "cancel_timer",
    "change_alarm",
    "change_reminder",
    "change_timer",
    "decrease_timer",
    "increase_timer",
    "list_alarms",
    "list_reminders",
    "pause_timer",
    "restore_timers",
    "resume_timer",
    "set_alarm",
    "set_reminder",
    "start_timer",
    "timer_status",
]
