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
    AgentboxChangeTimer AgentboxChangeAlarm AgentboxChangeReminder AgentboxCancelAllAlarms AgentboxCancelAllReminders
    AgentboxReadList AgentboxClearList AgentboxGetVolume AgentboxStop AgentboxRepeat AgentboxHelp AgentboxUndo
    AgentboxYes AgentboxNo AgentboxName AgentboxAnswer AgentboxPairPhone AgentboxPairGuestPhone
    """.split()  # noqa: SIM905 - a list of strings would be a screenful
)

_TIMER = {"name", "start_hours", "start_minutes", "start_seconds"}
_LENGTH = {"hours", "minutes", "seconds"}
_MOMENT = {"hour", "minute", "period", "day"}
_IN = {"in_hours", "in_minutes"}
SLOTS: dict[str, set[str]] = {
    "HassStartTimer": {*_LENGTH, "name"},
    "AgentboxChangeTimer": {*_LENGTH, "amount"},
    "AgentboxAnswer": {*_TIMER, *_LENGTH, *_MOMENT, *_IN, "item"},
    "HassCancelTimer": _TIMER,
    "HassPauseTimer": _TIMER,
    "HassUnpauseTimer": _TIMER,
    "HassTimerStatus": _TIMER,
    "HassIncreaseTimer": {*_TIMER, *_LENGTH},
    "HassDecreaseTimer": {*_TIMER, *_LENGTH},
    "HassShoppingListAddItem": {"item"},
    "HassShoppingListCompleteItem": {"item"},
    "HassListAddItem": {"item", "name"},
    "HassListCompleteItem": {"item", "name"},
    "HassListRemoveItem": {"item", "name"},
    "AgentboxReadList": {"name"},
    "AgentboxClearList": {"name"},
    "HassSetVolume": {"volume_level"},
    "HassSetVolumeRelative": {"volume_step"},
    "AgentboxSetAlarm": {*_MOMENT, *_IN, "name"},
    "AgentboxChangeAlarm": {*_MOMENT, *_IN},
    "AgentboxCancelAlarm": {*_MOMENT, "name"},
    "AgentboxSetReminder": {*_MOMENT, *_IN, "in_seconds", "message"},
    "AgentboxChangeReminder": {*_MOMENT, *_IN, "in_seconds"},
    "AgentboxCancelReminder": {"message"},
}
"""The slots that the box's own tools take; intents that are not here take none."""


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
