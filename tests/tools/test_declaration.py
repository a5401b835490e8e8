"""`@tool`: what a declaration becomes, and what is refused."""

from __future__ import annotations

from contextlib import suppress
from enum import Enum
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from agentbox.errors import ToolError
from agentbox.tools import Outcome, ToolContext, tool


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Place(msgspec.Struct):
    room: str
    shelf: int = 0


@tool(intents=["OrderTea"], slots={"sort": "kind"}, effects=False, idempotent=True, timeout_s=2)
async def order_tea(
    context: ToolContext,
    cups: Annotated[int, Meta(ge=1, le=9, description="how many")],
    kind: Literal["green", "black"] | None = None,
    sugar: bool = False,
) -> str:
    """Order tea
    from the kitchen.

    This is for the reader of the code.
    """
    return f"{cups} {kind} {sugar}"


def test_a_declaration_says_it_all() -> None:
    assert (order_tea.name, order_tea.description) == ("order_tea", "Order tea from the kitchen.")
    assert (order_tea.intents, order_tea.risk, order_tea.timeout_s) == (("OrderTea",), "normal", 2)
    assert (order_tea.effects, order_tea.idempotent) == (False, True)
    assert order_tea.schema == {
        "type": "object",
        "properties": {
            "cups": {"type": "integer", "minimum": 1, "maximum": 9, "description": "how many"},
            "kind": {"anyOf": [{"enum": ["black", "green"]}, {"type": "null"}], "default": None},
            "sugar": {"type": "boolean", "default": False},
        },
        "required": ["cups"],
        "additionalProperties": False,
    }


def test_a_tool_answers_to_its_own_name_where_no_intent_is_named() -> None:
    @tool()
    async def water_plants(context: ToolContext) -> Outcome:
        """Water the plants."""
        return Outcome("Done.")

    assert water_plants.intents == ("water_plants",)
    assert water_plants.schema["properties"] == {}


def test_types_of_its_own_are_told_in_the_schema() -> None:
    @tool()
    async def put(context: ToolContext, colour: Colour, places: list[Place]) -> str:
        """Put something somewhere."""
        return ""

    assert put.schema["$defs"].keys() == {"Colour", "Place"}
    checked = put.check({"colour": "red", "places": [{"room": "hall"}]})
    assert checked == {"colour": Colour.RED, "places": [Place("hall")]}


def test_slots_are_renamed_and_text_becomes_numbers() -> None:
    arguments = order_tea.arguments({"sort": "green", "cups": "5"})
    assert arguments == {"kind": "green", "cups": "5"}
    assert order_tea.check(arguments) == {"kind": "green", "cups": 5, "sugar": False}


@pytest.mark.parametrize(
    "arguments",
    [{}, {"cups": "five"}, {"cups": 0}, {"cups": 1, "milk": True}, {"cups": 1, "kind": "red"}, {"cups": None}],
)
def test_other_arguments_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ToolError) as raised:
        order_tea.check(arguments)
    assert raised.value.code == "tool_bad_arguments"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(["cups", "kind", "sugar", "x"]) | st.text(), JSON, max_size=4))
def test_any_arguments_are_checked_or_refused(arguments: dict[str, Any]) -> None:
    with suppress(ToolError):
        checked = order_tea.check(arguments)
        assert checked.keys() == {"cups", "kind", "sugar"}
        assert type(checked["cups"]) is int


def test_the_question_about_a_call_names_its_arguments() -> None:
    assert order_tea.describe({"cups": 2, "kind": None}) == "order tea, cups 2"


def declare(source: str, **options: Any) -> None:
    names: dict[str, Any] = {"ToolContext": ToolContext, "Any": Any}
    exec(f"async def {source}", names)  # what type checkers refuse can only be written as text
    function = next(value for name, value in names.items() if name not in ("ToolContext", "Any", "__builtins__"))
    tool(**options)(function)


@pytest.mark.parametrize(
    ("source", "options", "why"),
    [
        ("f(context: ToolContext) -> str: return ''", {}, "docstring"),
        ("f() -> str:\n 'Do.'", {}, "first parameter"),
        ("f(minutes: int) -> str:\n 'Do.'", {}, "first parameter"),
        ("f(context) -> str:\n 'Do.'", {}, "first parameter"),
        ("f(context: ToolContext, x) -> str:\n 'Do.'", {}, "type hint"),
        ("f(context: ToolContext, *x: int) -> str:\n 'Do.'", {}, "by name"),
        ("f(context: ToolContext, **x: int) -> str:\n 'Do.'", {}, "by name"),
        ("f(context: ToolContext, x: int, /) -> str:\n 'Do.'", {}, "by name"),
        ("f(context: ToolContext, x: 'Missing') -> str:\n 'Do.'", {}, "type hints"),
        ("f(context: ToolContext, x: complex) -> str:\n 'Do.'", {}, "JSON schema"),
        ("F(context: ToolContext) -> str:\n 'Do.'", {}, "lower case"),
        ("f(context: ToolContext) -> str:\n 'Do.'", {"name": "a b"}, "lower case"),
        ("f(context: ToolContext) -> str:\n 'Do.'", {"timeout_s": 0}, "timeout_s"),
        ("f(context: ToolContext) -> str:\n 'Do.'", {"risk": "high"}, "risk"),
        ("f(context: ToolContext) -> str:\n 'Do.'", {"slots": {"a": "b"}}, "not there"),
    ],
)
def test_a_bad_declaration_says_what_is_wrong(source: str, options: dict[str, Any], why: str) -> None:
    with pytest.raises(ToolError, match=why) as raised:
        declare(source, **options)
    assert raised.value.code == "tool_declaration"


def test_a_plain_function_is_refused() -> None:
    def work(context: ToolContext) -> str:
        """Work."""
        return ""

    with pytest.raises(ToolError, match="async def"):
        tool()(work)  # type: ignore[arg-type]
