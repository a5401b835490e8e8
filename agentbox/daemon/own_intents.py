"""Intents that concern the box itself."""

from __future__ import annotations

from agentbox.daemon.attention import STOP
from agentbox.daemon.mind import ANSWERS
from agentbox.messages import Intent

WORDLESS = frozenset({STOP, "HassNevermind"})
"""Intents after which the box must not begin to talk."""

SWITCH = "AgentboxUse_"
"""Intents by which the owner chooses who is asked."""

PAIRING = "AgentboxPair"
"""Intents by which the owner lets somebody in."""


def is_own(meant: Intent) -> bool:
    """What concerns the box itself is not asked of others."""
    return meant.name in WORDLESS | ANSWERS or meant.name.startswith((SWITCH, PAIRING))
