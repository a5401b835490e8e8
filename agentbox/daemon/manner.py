"""What of a reply is said, and what a sound says: the owner's liking and the time of day. Pure; time is given."""

from __future__ import annotations

from datetime import time
from typing import NamedTuple

from agentbox.config import Speech
from agentbox.messages import Reply, SoundName, Speak

QUIET_VOLUME = 0.25
"""Amplitude in quiet hours (-12 dB): heard beside the box, and not through the wall."""


_SPOKEN: dict[str, tuple[Speak, ...]] = {"full": ("always", "in_full"), "short": ("always",), "sounds": ()}


class Manner(NamedTuple):
    """How a reply is given."""

    text: str
    """What is said; empty: nothing."""
    sound: SoundName | None
    volume: float


def manner(reply: Reply, speech: Speech, now: time, *, sounds: bool) -> Manner:
    """How `reply` is given at the local time `now`; `sounds`: whether the owner wants short sounds at all.

    In quiet hours the box says what is news, quietly, and lets a sound say the rest. What the owner asked to be called
    by (an alarm, a timer) is as loud as ever.
    """
    quiet = is_quiet(speech.quiet_hours, now)
    verbosity = "short" if quiet and speech.verbosity == "full" else speech.verbosity
    text = reply.text if reply.speak in _SPOKEN[verbosity] else ""
    alert = reply.outcome == "alert"
    # Who hears words needs no sound to tell that there is an answer; a ringing timer is heard from further away.
    sound = reply.sound if sounds and (alert or not text) else None
    return Manner(text, sound, 1.0 if alert else volume(speech, now))


def volume(speech: Speech, now: time) -> float:
    """Of all but alerts, at the local time `now`."""
    return QUIET_VOLUME if is_quiet(speech.quiet_hours, now) else 1.0


def is_quiet(hours: str, now: time) -> bool:
    """Whether `now` is within `hours` ("22:00-07:00", the end not included; empty: never)."""
    if not hours:
        return False
    begin, end = (time.fromisoformat(one) for one in hours.split("-"))
    now = now.replace(tzinfo=None)
    return begin <= now < end if begin <= end else now >= begin or now < end
