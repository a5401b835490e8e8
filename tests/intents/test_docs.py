"""The examples of docs/sentences.md do what the text says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agentbox.intents.understand import Understander
from agentbox.messages import Intent
from tests.intents.conftest import INTENTS

DOCS = Path(__file__).parents[2] / "docs" / "sentences.md"
FILES = [
    block for block in re.findall(r"```yaml\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL) if "language:" in block
]

SAID = [
    (0, "How many orders last week?", {}, "CountOrders", {"period": "last_week"}),
    (1, "Brew three large coffees for Anna", {}, "BrewCoffee", {"cups": 3, "size": "large", "guest": "Anna"}),
    (
        2,
        "Preheat the oven to 180 degrees for an hour and a half",
        {},
        "HeatOven",
        {"degrees": 180, "hours": 1, "minutes": 30},
    ),
    (3, "打开 living room 的灯", {}, "LightOn", {"room": "living_room"}),
    (3, "把 Kitchen 的灯打开。", {}, "LightOn", {"room": "kitchen"}),
    (3, "turn on 客厅的灯", {}, "LightOn", {"room": "living_room"}),
    (4, "kindly time my tea", {}, "HassStartTimer", {"minutes": 4, "name": "tea"}),
    (7, "tea time", {}, "HassStartTimer", {"minutes": 4}),
    (6, "Last week.", {"asked": "week_missing"}, "AgentboxAnswer", {"period": "last week"}),
    (5, "and yesterday", {"last_intent": "CountOrders"}, "CountOrders", {"period": "yesterday"}),
]


@pytest.mark.parametrize(("number", "text", "context", "name", "slots"), SAID)
def test_an_example(
    tmp_path: Path, number: int, text: str, context: dict[str, str], name: str, slots: dict[str, object]
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(FILES[number], encoding="utf-8")
    intents = {*INTENTS, "CountOrders", "BrewCoffee", "HeatOven", "LightOn"}
    language = "zh-CN" if "language: zh" in FILES[number] else "en"
    understander = Understander(language, intents=intents, owner_files=[file])
    assert understander.problems == []
    found = understander.understand(text, context=context)
    assert isinstance(found, Intent)
    assert (found.name, found.slots, found.source) == (name, slots, "mine.yaml")


def test_every_example_is_tried() -> None:
    assert sorted({number for number, *_ in SAID}) == list(range(len(FILES)))


def test_the_responses_of_the_example(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(FILES[7], encoding="utf-8")
    understander = Understander("en", intents=INTENTS, owner_files=[tmp_path])
    for text, sentence in (
        ("tea time", "The kettle is on."),
        ("set a pizza timer for ten minutes", "10 minutes it is for the pizza."),
        ("what is on my shopping list", "Milk. Anything else?"),
    ):
        found = understander.understand(text)
        assert isinstance(found, Intent)
        assert understander.responses.say(found, "Milk.") == sentence
