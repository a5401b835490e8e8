"""What the tests of the intents room share: the intents the box can carry out, and one understander a language."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from agentbox.intents.understand import Understander

HERE = Path(__file__).parent

INTENTS = frozenset(
    """
    HassGetCurrentTime HassGetCurrentDate HassStartTimer HassCancelTimer HassPauseTimer HassUnpauseTimer
    HassTimerStatus HassIncreaseTimer HassDecreaseTimer HassCancelAllTimers HassShoppingListAddItem
    HassShoppingListCompleteItem HassListAddItem HassListCompleteItem HassListRemoveItem HassSetVolume
    HassSetVolumeRelative HassMediaPlayerMute HassMediaPlayerUnmute HassNevermind AgentboxSetAlarm AgentboxSetReminder
    AgentboxListTimers AgentboxListAlarms AgentboxListReminders AgentboxCancelAlarm AgentboxCancelReminder
    AgentboxReadList AgentboxClearList AgentboxGetVolume AgentboxStop AgentboxRepeat AgentboxHelp AgentboxUndo
    AgentboxYes AgentboxNo
    """.split()  # noqa: SIM905 - a list of strings would be a screenful
)


def sentences(language: str) -> list[tuple[str, str, dict[str, Any], dict[str, Any]]]:
    """The test sentences of a language: intent, text, slots, context."""
    rows = yaml.safe_load((HERE / f"sentences-{language}.yaml").read_text(encoding="utf-8"))
    return [(intent, row[0], row[1], row[2] if len(row) > 2 else {}) for intent, some in rows.items() for row in some]


@pytest.fixture(scope="session")
def english() -> Understander:
    return Understander("en", intents=INTENTS)


@pytest.fixture(scope="session")
def chinese() -> Understander:
    return Understander("zh-CN", intents=INTENTS)
