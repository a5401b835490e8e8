"""Chinese as it is said at home means what it should: numbers, times, English words amidst it, any punctuation."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentbox.intents.understand import Understander
from agentbox.messages import Intent
from tests.intents.conftest import INTENTS

HERE = Path(__file__).parent
TALK: dict[str, list[list[Any]]] = yaml.safe_load((HERE / "talk-at-home-zh-CN.yaml").read_text(encoding="utf-8"))
ROWS = [(row[0], row[1], row[2], row[3] if len(row) > 3 else {}) for rows in TALK.values() for row in rows]


@pytest.fixture(scope="module")
def home() -> Understander:
    lights = {"LightOn", "LightOff", "LightLevel"}
    return Understander("zh-CN", intents={*INTENTS, *lights}, owner_files=[HERE / "home-zh-CN.yaml"])


@pytest.mark.parametrize(("text", "intent", "slots", "context"), ROWS, ids=lambda value: str(value)[:40])
def test_said_at_home(
    home: Understander, text: str, intent: str | None, slots: dict[str, Any], context: dict[str, Any]
) -> None:
    found = home.read(text, context)
    assert (found and found.name) == intent
    assert found is None or found.slots == slots


def test_there_are_enough_of_them_and_no_two_alike(home: Understander) -> None:
    assert home.problems == []
    assert len(ROWS) >= 200
    assert len({text for text, *_ in ROWS}) == len(ROWS)
    assert {type(home.read(text, context)) for text, _, _, context in ROWS[:9]} == {Intent}


@pytest.mark.parametrize("room", ["客厅", "living room"])
@pytest.mark.parametrize("device", ["灯", "TV"])
@pytest.mark.parametrize("order", ["打开 {room} {device}", "turn on {room} {device}", "{room} {device} 打开"])
@pytest.mark.parametrize("spaced", [True, False])
def test_spaces_between_lists_are_not_heard_beside_a_chinese_character(
    tmp_path: Path, room: str, device: str, order: str, spaced: bool
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        """
language: zh
lists: {room: {values: [客厅, living room]}, device: {values: [灯, TV]}}
expansion_rules: {order: "(打开|turn on)"}
intents: {LightOn: {data: [{sentences: ["<order> {room} {device}", "{room} {device} <order>"]}]}}
""",
        encoding="utf-8",
    )
    mine = Understander("zh-CN", builtin=False, ours=False, intents={"LightOn"}, owner_files=[file])
    text = order.format(room=room, device=device)
    found = mine.read(text if spaced else re.sub(r"(?<=[\u4e00-\u9fff]) | (?=[\u4e00-\u9fff])", "", text))
    assert found is not None
    assert found.slots == {"room": room, "device": device}
