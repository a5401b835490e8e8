"""Programs the owner allowed, really run."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbox import config
from agentbox.errors import ToolError
from agentbox.messages import ToolResult
from agentbox.tools.command import MAX_OUTPUT_BYTES, arguments, command_tool

from .box import a_box


async def run(argv: list[str], slots: Any = None, *, timeout_s: float = 5, **options: Any) -> ToolResult:
    command = config.Command(name="it", argv=argv, timeout_s=timeout_s, **options)
    settings = config.Tools(command=config.Commands(enabled=True, commands=[command]), max_result_bytes=1 << 20)
    async with a_box(settings) as box:
        assert box.runner.registry.problems == []
        tool = box.runner.registry.tools["it"]
        return await box.call("it", "cli", **tool.arguments(slots or {}))


async def test_its_output_is_the_answer() -> None:
    result = await run(["echo", "{what}", "x{what}x"], {"what": "two words", "unused": 1})
    assert (result.text, result.data) == ("two words xtwo wordsx", {"exit_code": 0, "truncated": False})
    assert (
        await run(["echo", "5"], answer="It is {text} in {where}.", slots={"where": "here"})
    ).text == "It is 5 in here."
    assert (await run(["true"])).text == "Done."


@pytest.mark.parametrize(
    "value", ["; id", "$(id)", "`id`", "a b", "*", "'\"", "|cat", "> /tmp/x", "{secret:a}", "a\nb"]
)
async def test_there_is_no_shell(value: str) -> None:
    assert (await run(["printf", "%s|", "{x}", "end"], {"x": value})).text == f"{value}|end|"


async def test_it_sees_nothing_of_the_boxs_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTBOX_SECRET_KEY", "1234")
    result = await run(["env"])
    assert {line.split("=")[0] for line in result.text.splitlines()} == {"PATH", "LANG", "HOME"}


async def test_it_has_no_input() -> None:
    assert (await run(["cat"])).text == "Done."


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (["false"], "command_failed"),
        (["no-such-program-here"], "command_missing"),
        (["/etc/passwd"], "command_missing"),
        (["sleep", "60"], "command_timeout"),
    ],
)
async def test_what_can_go_wrong(argv: list[str], code: str) -> None:
    result = await run(argv, timeout_s=0.2)
    assert (result.ok, result.error_code) == (False, code)


async def test_a_time_out_ends_its_children_too(tmp_path: Path) -> None:
    script = tmp_path / "parent.sh"
    script.write_text(f"#!/bin/sh\nsleep 600 &\necho $! > {tmp_path}/child\nwait\n")
    script.chmod(0o755)
    assert (await run([str(script)], timeout_s=1)).error_code == "command_timeout"
    child = int((tmp_path / "child").read_text())
    for _ in range(200):  # killed, but perhaps not yet collected by init
        if not Path(f"/proc/{child}").exists() or "Z (" in Path(f"/proc/{child}/status").read_text():
            return
        await asyncio.sleep(0.01)
    os.kill(child, 9)
    pytest.fail("the child lives on")


async def test_a_child_that_stays_behind_does_not_hold_the_answer_up(tmp_path: Path) -> None:
    script = tmp_path / "starter.sh"
    script.write_text(f"#!/bin/sh\nsleep 600 &\necho $! > {tmp_path}/child\necho started\n")
    script.chmod(0o755)
    try:
        assert (await run([str(script)], timeout_s=60)).text == "started"
    finally:
        os.kill(int((tmp_path / "child").read_text()), 9)  # it lives: nobody waited for its end


async def test_much_output_is_cut_and_does_not_stop_the_program() -> None:
    result = await run(["head", "-c", "3000000", "/dev/zero"], answer="{text}")
    assert result.ok
    assert result.data == {"exit_code": 0, "truncated": True}
    result = await run(["seq", "1000000"])
    assert len(result.text) < MAX_OUTPUT_BYTES + 50
    assert result.text.endswith("… and more.")


@pytest.mark.parametrize(
    ("argv", "value"),
    [(["ls", "{x}"], "-la"), (["ls", "{x}"], "--help"), (["ls", "{a}{x}"], "-l"), (["ls", "{x}"], "\0")],
)
async def test_a_slot_cannot_become_an_option(argv: list[str], value: str) -> None:
    result = await run(argv, {"x": value, "a": ""})
    assert result.error_code == "command_bad_value"


@given(st.text(max_size=20))
def test_a_slot_fills_one_argument_and_never_more(value: str) -> None:
    try:
        filled = arguments(["run", "--level={x}", "{x}", "end"], {"x": value})
    except ToolError:
        assert value.startswith("-") or "\0" in value
    else:
        assert filled == ["run", f"--level={value}", value, "end"]


@pytest.mark.parametrize(
    "options",
    [
        {"argv": ["{x}"]},
        {"argv": ["/bin/{x}", "a"]},
        {"argv": ["ls", "-{x}"]},
        {"argv": ["ls", "--{x}=1"]},
        {"argv": ["ls", "{secret:key}"]},
        {"argv": ["ls", "\0"]},
        {"argv": ["ls"], "answer": "{secret:key}"},
    ],
)
def test_what_the_owner_wrote_is_checked_when_it_is_read(options: dict[str, Any]) -> None:
    with pytest.raises(ToolError) as raised:
        command_tool(config.Command(name="it", **options))
    assert raised.value.code == "command_wrong"


def test_a_program_asks_first() -> None:
    tool = command_tool(config.Command(name="it", argv=["ls"], intent="Look"))
    assert (tool.risk, tool.effects, tool.intents) == ("risky", True, ("Look",))
