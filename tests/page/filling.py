"""A journal that has something in it before its box starts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from agentbox.messages import Egress, StageEvent
from agentbox.storage.journal import Journal
from tests.storage.talk import read_again, whole_turn


def fill(
    state: Path,
    texts: Sequence[tuple[float, str]],
    uses: Sequence[tuple[float, Egress]] = (),
    *,
    emotion: str | None = None,
    sound_event: str | None = None,
    read_as: str = "",
) -> list[str]:
    """Turns with these words, begun then and said so (`read_as` by a second model), and what left the box. The turns'
    ids."""
    journal = Journal.open(state / "agentbox.db")
    ids = []
    for at, text in texts:
        turn, events = whole_turn(text, at=at, emotion=emotion, sound_event=sound_event)
        ids.append(turn)
        for event in (*events, *([read_again(turn, "taken", read_as, at=at)] if read_as else ())):
            journal.record(event)
    for at, use in uses:
        begun = msgspec.structs.replace(use, outcome="")
        for stage, message in (("started", begun), ("ended", use)):
            journal.record(StageEvent(stage="egress", state=stage, at=at, monotonic_s=0.0, message=message))
    assert journal.settle(60)
    journal.close()
    return ids
