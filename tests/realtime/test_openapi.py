"""Tools' parameters, said in the subset that some models want."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbox.realtime.openapi import openapi


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": "object", "properties": {}}, {"type": "OBJECT", "properties": {}}),
        ({"type": "string", "enum": ["a", "b"], "$schema": "x"}, {"type": "STRING", "enum": ["a", "b"]}),
        ({"enum": ["a"]}, {"type": "STRING", "enum": ["a"]}),
        ({"const": "a"}, {"type": "STRING", "enum": ["a"]}),
        ({"type": "integer", "enum": [1, 2], "minimum": 1}, {"type": "INTEGER", "minimum": 1}),
        ({"type": ["string", "null"], "default": None}, {"nullable": True, "type": "STRING"}),
        ({"type": ["string", "integer"]}, {"anyOf": [{"type": "STRING"}, {"type": "INTEGER"}]}),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, {"type": "STRING", "nullable": True}),
        (
            {"oneOf": [{"type": "string"}, {"type": "number"}], "description": "either"},
            {"anyOf": [{"type": "STRING"}, {"type": "NUMBER"}], "description": "either"},
        ),
        ({"type": "string", "format": "date"}, {"type": "STRING"}),
        ({"type": "string", "format": "date-time"}, {"type": "STRING", "format": "date-time"}),
        ({"type": "array", "items": {"type": "string"}}, {"type": "ARRAY", "items": {"type": "STRING"}}),
    ],
)
def test_what_a_schema_says(schema: dict[str, Any], said: dict[str, Any]) -> None:
    assert openapi(schema) == said


def test_references_are_replaced_and_end() -> None:
    schema = {
        "$ref": "#/$defs/Set",
        "$defs": {
            "Set": {
                "type": "object",
                "properties": {
                    "room": {"$ref": "#/$defs/Room", "description": "Which."},
                    "then": {"$ref": "#/$defs/Set"},
                },
                "required": ["room", "gone"],
                "additionalProperties": False,
            },
            "Room": {"type": "string", "enum": ["kitchen"], "description": "A room."},
        },
    }
    assert openapi(schema) == {
        "type": "OBJECT",
        "properties": {
            "room": {"type": "STRING", "enum": ["kitchen"], "description": "Which."},
            "then": {"type": "OBJECT"},
        },
        "required": ["room"],
    }


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["string", "object", "#/$defs/a", "null"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "properties", "anyOf", "items", "enum", "const", "required", "$ref", "$defs", "a"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["type", "properties", "anyOf", "items", "enum", "$ref", "$defs"]), ANY))
def test_nothing_that_a_plugin_declares_breaks_it(schema: dict[str, Any]) -> None:
    assert isinstance(openapi(schema), dict)
