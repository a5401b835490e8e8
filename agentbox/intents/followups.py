"""What the last turn left open, for a while ("and for ten minutes?", "cancel that"). Pure; time is given."""

from __future__ import annotations

from agentbox.messages import JSON, Intent


class FollowUps:
    """Holds the last intent as hassil's intent context for `seconds`."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._last: str | None = None
        self._until = float("-inf")

    def note(self, intent: Intent, now: float) -> None:
        """An intent was understood at `now`."""
        self._last, self._until = intent.name, now + self._seconds

    def context(self, now: float) -> dict[str, JSON]:
        """What sentences with `requires_context` may ask for at `now`."""
        return {"last_intent": self._last} if self._last is not None and now < self._until else {}
