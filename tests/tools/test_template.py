"""Slots and secrets in what the owner wrote; paths into JSON."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbox.errors import ToolError
from agentbox.tools import template
from agentbox.tools.template import fill, fill_json, pick, secrets, slots

ORDERS = {"orders": [{"total": 12.5, "items": ["tea", "milk"]}, {"total": 3}], "a b": {"0": None}, "length": 7}


def test_what_a_template_names() -> None:
    body = {"a": ["{who} {when}", {"b": "{who}{secret:key}"}], "{not_a_key}": 5}
    assert slots(body) == ["who", "when"]
    assert secrets(body) == ["key"]
    assert slots("{} {1} {a-b} {coffeeDrink} {{who}}") == ["coffeeDrink", "who"]


def test_a_string_that_is_one_slot_becomes_its_value() -> None:
    body = {"count": "{count}", "text": "{count} cups", "none": "{none}", "key": "{secret:key}", "n": 1}
    filled = fill_json(body, {"count": 3, "none": None}, secret=lambda name: f"<{name}>")
    assert filled == {"count": 3, "text": "3 cups", "none": None, "key": "<key>", "n": 1}


@given(st.text())
def test_a_value_is_never_read_as_a_template(value: str) -> None:
    def secret(name: str) -> str:
        raise AssertionError(name)

    assert fill("a{x}b", {"x": value}, secret) == f"a{value}b"
    assert fill("a{x}b", {"x": "{secret:key}" + value}, secret) == "a{secret:key}" + value + "b"
    assert fill("{x}", {"x": value}, quote=lambda text: quote(text, safe="")) == quote(value, safe="")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("orders.0.total", 12.5),
        ("$.orders[1].total", 3),
        ("orders.0.items.length", 2),
        ("orders.length", 2),
        ("length", 7),
        ("a b.0", None),
        ("$", ORDERS),
        ("", ORDERS),
    ],
)
def test_a_path_into_json(path: str, value: Any) -> None:
    assert pick(ORDERS, path) == value


@pytest.mark.parametrize(
    "path", ["orders.2.total", "orders.total", "order", "orders.0.total.x", "orders.-1", "a b.length"]
)
def test_a_path_to_nothing(path: str) -> None:
    with pytest.raises(ToolError) as raised:
        pick(ORDERS, path)
    assert raised.value.code == "web_no_value"


@pytest.mark.parametrize("path", ["a..b", "a[x]", "a[", "$a$", "."])
def test_what_is_no_path(path: str) -> None:
    with pytest.raises(ToolError) as raised:
        template.steps(path)
    assert raised.value.code == "web_request_wrong"
