"""docs/control.md against the daemon's table of methods, and its example against a socket."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from agentbox.control.protocol import MAX_LINE_BYTES
from agentbox.control.server import MAX_CLIENTS, MAX_WAITING, SEND_LIMIT_S, ControlServer, Handler
from agentbox.daemon.handlers import LISTEN_S, STREAM_LENGTH
from agentbox.daemon.methods import methods

PAGE = (Path(__file__).parents[2] / "docs" / "control.md").read_text()

SECTIONS: dict[str, tuple[str, str]] = {
    name: (mark, text)
    for name, mark, text in re.findall(r"^### `([^`]+)`( \(stream\))?\n(.*?)(?=^#|\Z)", PAGE, re.MULTILINE | re.DOTALL)
}


def table() -> dict[str, Handler]:
    nothing = cast(Any, None)  # the table names the methods and calls none
    return methods(nothing, nothing)


def parameters(handler: Callable[..., Any]) -> set[str]:
    """The names that a method looks up in its parameters."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(handler)))
    return {
        text.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call | ast.Subscript | ast.Compare) and "params" in ast.unparse(node)
        for text in ast.walk(node)
        if isinstance(text, ast.Constant) and isinstance(text.value, str)
    }


def test_every_method_is_there_and_no_other() -> None:
    assert set(SECTIONS) == set(table())


@pytest.mark.parametrize("name", sorted(table()))
def test_a_method_is_described(name: str) -> None:
    handler = table()[name]
    mark, text = SECTIONS[name]
    assert bool(mark) == inspect.isasyncgenfunction(handler)
    missing = {word for word in parameters(handler) if f"`{word}`" not in text and f'"{word}"' not in text}
    assert missing == set()
    assert ("Items:" in text) or ("Result:" in text) or bool(mark)


def test_parameters_are_seen() -> None:
    assert parameters(table()["transcripts.delete"]) >= {"all", "ids", "since", "until"}
    filters = {"text", "before", "before_id", "since", "until", "activated_by", "outcome", "tool"}
    assert parameters(table()["transcripts.list"]) == {"limit", *filters}
    assert parameters(table()["events"]) == set()


def test_limits_are_those_of_the_code() -> None:
    for said in (
        f"Up to {MAX_WAITING} may wait",
        f"{MAX_CLIENTS} may be open",
        f"at most {MAX_LINE_BYTES >> 20} MiB",
        f"after {SEND_LIMIT_S:.0f} seconds",
        f"or {LISTEN_S:.0f} seconds have passed",
        f"once {STREAM_LENGTH} wait",
    ):
        assert said in re.sub(r"\s+", " ", PAGE)


async def test_the_example_works(path: Path, server: ControlServer) -> None:
    [example] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, Any] = {}
    exec(example, names)
    assert await asyncio.to_thread(names["call"], str(path), "echo") == {}
    with pytest.raises(RuntimeError, match="There is no model"):
        await asyncio.to_thread(names["call"], str(path), "fail")
