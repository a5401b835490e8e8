"""Remembers for a short while what was meant last, so that "and for ten minutes?" means something. Pure; time is given.

What is remembered is offered to sentences as hassil's context: `requires_context: {last_intent: HassStartTimer}` holds
for a while after a timer was started, and `requires_context: {last_name: {slot: name}}` copies its name into a slot.
"""

from __future__ import annotations

from agentbox.messages import JSON, Intent

ABOUT_THE_TALK = frozenset(
    ("HassNevermind", "AgentboxHelp", "AgentboxNo", "AgentboxRepeat", "AgentboxStop", "AgentboxUndo", "AgentboxYes")
)
"""Intents about the conversation itself; what was meant before them stays what was meant last."""


class FollowUps:
    """The context of a conversation. `seconds`: how long an intent may be followed up (config: intents.follow_up_s)."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._last: Intent | None = None
        self._until = float("-inf")

    def note(self, intent: Intent, now: float) -> None:
        """`intent` was understood at `now` (seconds of a monotonic clock)."""
        if intent.name not in ABOUT_THE_TALK:
            self._last = intent
            self._until = now + self.seconds

    def forget(self) -> None:
        """Nothing was meant last (it was taken back, or the conversation is over)."""
        self._last = None

    def context(self, now: float) -> dict[str, JSON]:
        """`last_intent` and, for each slot that it had, `last_<slot>`; empty when nothing can be followed up."""
        if self._last is None or now >= self._until:
            return {}
        slots = {f"last_{name}": value for name, value in self._last.slots.items()}
        return {**slots, "last_intent": self._last.name}
