"""Calls of tools that behave, and of tools that do not: each costs one failed result and nothing more."""

from __future__ import annotations

import asyncio
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from agentbox import config
from agentbox.messages import ToolCall, Undo
from agentbox.tools.isolation import HungError
from agentbox.tools.registry import Registry
from agentbox.tools.runner import MAX_ABANDONED
from agentbox.tools.store import MemoryStore, Store

from .box import Box, a_box

PLUGIN = """
    from __future__ import annotations
    import asyncio, sys, threading, time
    from dataclasses import dataclass
    from agentbox.tools import Notice, Outcome, Reply, Service, ToolContext, ToolError, Undo, tool

    released = threading.Event()

    @dataclass
    class Memory:
        lives: int = 0

    memory = Memory()

    class Pulse(Service):
        async def run(self):
            memory.lives += 1
            self.context.store.put("lives", memory.lives)
            await asyncio.sleep(3600)

    @tool()
    async def greet(context: ToolContext, name: str = "you") -> str:
        "Greet."
        return f"Hello {name}."

    @tool()
    async def raises(context: ToolContext) -> str:
        "Raise."
        raise ValueError("the owner said: my PIN is 1234")

    @tool()
    async def exits(context: ToolContext) -> str:
        "Exit."
        sys.exit(3)

    class Odd(BaseException):
        pass

    @tool()
    async def raises_anything(context: ToolContext, which: int) -> str:
        "Raise what no tool should."
        raise [KeyboardInterrupt, Odd, GeneratorExit, StopIteration, asyncio.CancelledError, MemoryError][which]

    @tool()
    async def explains(context: ToolContext) -> str:
        "Raise what is meant to be heard."
        raise ToolError("no_water", "The tank is empty.", "Fill it.", spoken="Fill the tank first.")

    @tool()
    async def explains_badly(context: ToolContext) -> str:
        "Raise an error with a bad code."
        raise ToolError("No Water!", "The tank is empty.")

    @tool(timeout_s=0.1)
    async def waits(context: ToolContext) -> str:
        "Hang, politely."
        try:
            await asyncio.sleep(3600)
        finally:
            context.store.put("cleaned", True)

    @tool(timeout_s=0.1)
    async def blocks(context: ToolContext) -> str:
        "Hang for good."
        released.wait()
        return "at last"

    @tool(timeout_s=0.1)
    async def clings(context: ToolContext) -> str:
        "Refuse to be cancelled."
        while not released.is_set():
            try:
                await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                pass
        return ""

    @tool()
    async def prints(context: ToolContext) -> str:
        "Print."
        print("noise")
        sys.stdout.write("noise")
        sys.stdout.buffer.write(b"noise")
        await asyncio.to_thread(print, "noise")
        return "done"

    @tool()
    async def returns_much(context: ToolContext, as_data: bool) -> Outcome:
        "Return 10 MB."
        much = "é" * (5 << 20)
        return Outcome("much", data=[much]) if as_data else Outcome(much)

    @tool()
    async def returns_rubbish(context: ToolContext, which: int) -> str:
        "Return what is neither text nor outcome."
        loop = []
        loop.append(loop)
        return [None, 5, b"x", {}, Outcome(5), Outcome("x", data=object()), Outcome("x", data=loop),
                Outcome("x", undo="y"), ToolContext][which]

    @tool()
    async def returns_escapes(context: ToolContext) -> str:
        "Return control characters."
        return "one\\x1b[2J\\x07\\ntwo\\x9b3m\\ud800"

    @tool()
    async def undoes(context: ToolContext, tool: str) -> Outcome:
        "Offer to be taken back by a tool."
        return Outcome("done", undo=Undo(tool=tool, arguments={}), instead=Undo(tool="clear_list", arguments={}))

    @tool()
    async def remembers(context: ToolContext) -> Outcome:
        "Use all that a tool is given."
        count = (context.store.get("count") or 0) + 1
        context.store.put("count", count)
        context.store.put("other", 1)
        context.store.delete("other")
        context.emit(Notice(code="counted", what=str(count)))
        context.silence()
        return Outcome(f"{count} {context.language} {context.options} {context.caller}", data=context.store.items())

    @tool(risk="risky")
    async def opens_door(context: ToolContext, side: str) -> str:
        "Open the door."
        return f"{side} door open"

    @tool()
    async def orders(context: ToolContext, cups: int) -> str:
        "Order, and ask first when it is much."
        if cups > 3:
            context.confirm(f"Really {cups}?")
        return f"{cups} ordered"

    @tool()
    async def lives(context: ToolContext) -> Outcome:
        "How often the service began to live."
        context.service(Pulse)
        return Outcome("", data=memory.lives)

    @tool()
    async def release(context: ToolContext) -> str:
        "Let all go that hang."
        released.set()
        return ""
"""


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[config.Tools]:
    (tmp_path / "misc.py").write_text(textwrap.dedent(PLUGIN))
    yield config.Tools(plugins_dir=str(tmp_path), options={"misc": {"a": 1}}, timeout_s=5)
    import sys

    if module := sys.modules.pop("agentbox_plugin_misc", None):
        module.released.set()


async def code(box: Box, tool: str, **arguments: Any) -> str | None:
    result = await box.call(tool, **arguments)
    assert not result.ok
    assert result.text
    return result.error_code


async def test_a_tool_that_behaves(settings: config.Tools) -> None:
    async with a_box(settings) as box:
        result = await box.call("greet", name="Ann")
    assert (result.ok, result.text, result.tool) == (True, "Hello Ann.", "greet")


async def test_what_a_tool_raises_is_one_error_without_its_words(
    settings: config.Tools, caplog: pytest.LogCaptureFixture
) -> None:
    async with a_box(settings) as box:
        assert await code(box, "raises") == "tool_failed"
        assert await code(box, "exits") == "tool_failed"
        assert (await box.call("greet")).ok
    assert "ValueError" in caplog.text
    assert "misc.py:" in caplog.text
    assert "PIN" not in caplog.text


@pytest.mark.parametrize("which", range(6))
async def test_whatever_it_raises_the_box_and_the_module_go_on(settings: config.Tools, which: int) -> None:
    async with a_box(settings) as box:
        life = asyncio.create_task(box.runner.services()["misc"]())
        assert await code(box, "raises_anything", which=which) == "tool_failed"
        assert (await box.call("greet")).ok
        assert not life.done()
        life.cancel()


async def test_what_is_meant_to_be_heard_is_heard(settings: config.Tools) -> None:
    async with a_box(settings) as box:
        result = await box.call("explains")
        assert (result.error_code, result.text) == ("no_water", "Fill the tank first.")
        assert result.data == {"what": "The tank is empty.", "todo": "Fill it."}
        assert await code(box, "explains_badly") == "tool_failed"


async def test_errors_are_spoken_in_the_owners_language(settings: config.Tools) -> None:
    async with a_box(settings, language="zh-CN") as box:
        assert (await box.call("raises")).text == "抱歉，没有成功。"
        assert (await box.call("waits")).text == "抱歉，用的时间太长了。"


async def test_a_tool_that_waits_too_long_is_cancelled_and_may_clean_up(settings: config.Tools) -> None:
    stores: dict[str, Store] = {}
    async with a_box(settings, stores=stores) as box:
        assert await code(box, "waits") == "tool_timeout"
        assert stores["misc"].get("cleaned") is True


@pytest.mark.parametrize("tool", ["blocks", "clings"])
async def test_a_tool_that_hangs_for_good_is_abandoned(settings: config.Tools, tool: str) -> None:
    async with a_box(settings) as box:
        hanging = asyncio.create_task(box.call(tool))
        await asyncio.sleep(0)
        assert (await box.call("get_time")).ok  # the box itself goes on
        assert not hanging.done()
        assert (await hanging).error_code == "tool_hung"
        assert box.notices == ["tool_hung"]
        assert (await box.call("greet")).ok  # and so does the module, in a new thread


async def test_a_module_that_hangs_again_and_again_is_switched_off(settings: config.Tools) -> None:
    async with a_box(settings) as box:
        for _ in range(MAX_ABANDONED):
            assert await code(box, "blocks") == "tool_hung"
        assert await code(box, "greet") == "tool_disabled"
        assert (await box.call("get_time")).ok


async def test_who_waits_behind_a_hanging_tool_is_told(settings: config.Tools) -> None:
    async with a_box(settings) as box:
        first, second = await asyncio.gather(box.call("blocks"), box.call("greet"))
        assert (first.error_code, second.error_code) == ("tool_hung", "tool_hung")


async def test_a_service_begins_a_new_life_when_its_thread_was_abandoned(settings: config.Tools) -> None:
    stores: dict[str, Store] = {}
    async with a_box(settings, stores=stores) as box:
        live = box.runner.services()["misc"]
        life = asyncio.create_task(live())
        while stores["misc"].get("lives") != 1:
            await asyncio.sleep(0.01)
        assert (await box.call("lives")).data == 1
        await box.call("blocks")
        with pytest.raises(HungError):
            await life
        life = asyncio.create_task(live())
        while stores["misc"].get("lives") != 2:
            await asyncio.sleep(0.01)
        assert (await box.call("lives")).data == 2
        life.cancel()
        with pytest.raises(asyncio.CancelledError):
            await life


async def test_what_a_tool_prints_goes_nowhere(settings: config.Tools, capfd: pytest.CaptureFixture[str]) -> None:
    async with a_box(settings) as box:
        assert (await box.call("prints")).ok
        print("one")
        click.echo("two")
    print("three")
    assert capfd.readouterr().out == "one\ntwo\nthree\n"


async def test_a_result_is_cut_to_size_and_says_so(settings: config.Tools) -> None:
    async with a_box(settings) as box:
        text = await box.call("returns_much", as_data=False)
        assert text.text.endswith("… and more.")
        assert settings.max_result_bytes - 2 <= len(text.text.encode()) <= settings.max_result_bytes
        data = await box.call("returns_much", as_data=True)
        assert (data.ok, data.text) == (True, "much")
        assert data.data == {"truncated": True, "bytes": (10 << 20) + 4}


@pytest.mark.parametrize("which", range(9))
async def test_rubbish_is_one_error(settings: config.Tools, which: int) -> None:
    async with a_box(settings) as box:
        assert await code(box, "returns_rubbish", which=which) == "tool_bad_result"


async def test_a_result_cannot_steer_a_terminal(settings: config.Tools) -> None:
    async with a_box(settings) as box:
        assert (await box.call("returns_escapes")).text == "one[2J\ntwo3m?"


@pytest.mark.parametrize(("tool", "kept"), [("greet", True), ("clear_list", False), ("no_such", False)])
async def test_a_plugin_is_taken_back_by_its_own_tools_only(settings: config.Tools, tool: str, kept: bool) -> None:
    async with a_box(settings) as box:
        result = await box.call("undoes", tool=tool)
        assert (result.ok, result.text, result.tool) == (True, "done", "undoes")
        assert result.undo == (Undo(tool=tool, arguments={}) if kept else None)


async def test_what_a_plugin_keeps_is_there_again_and_its_own(settings: config.Tools) -> None:
    stores: dict[str, Store] = {"lists": MemoryStore()}
    for count in (1, 2):
        async with a_box(settings, stores=stores, language="zh") as box:
            box.talk.playing = True
            result = await box.call("remembers", "cli")
            assert result.text == f"{count} zh {{'a': 1}} cli"
            assert result.data == {"count": count}
            assert box.notices == ["counted"]
            assert not box.talk.playing
    assert stores["lists"].items() == {}


async def test_arguments_are_checked_before_anything_runs(settings: config.Tools) -> None:
    async with a_box(settings) as box:
        result = await box.call("start_timer", minutes="five")
        assert result.error_code == "tool_bad_arguments"
        assert "minutes" in result.data["what"]
        assert await code(box, "greet", nam="x") == "tool_bad_arguments"
        assert await code(box, "no_such_tool") == "tool_unknown"


async def test_a_risky_call_needs_a_yes(settings: config.Tools) -> None:
    async with a_box(settings) as box:
        result = await box.call("opens_door", side="left")
        assert (result.ok, result.error_code) == (False, "confirmation_needed")
        assert result.text == "Shall I do this: opens door, side left?"
        assert (await box.call("opens_door", side="left", confirmed=True)).text == "left door open"
        assert (await box.call("opens_door", "cli", side="left")).ok


async def test_a_denied_call_never_runs(settings: config.Tools) -> None:
    settings = config.Tools(plugins_dir=settings.plugins_dir, policy={"greet": {"speech": "deny"}})
    async with a_box(settings) as box:
        assert (await box.call("greet", confirmed=True)).error_code == "tool_denied"
        assert (await box.call("greet", "cli")).ok


async def test_a_tool_may_ask_by_itself(settings: config.Tools) -> None:
    async with a_box(settings) as box:
        assert (await box.call("orders", cups=2)).text == "2 ordered"
        asked = await box.call("orders", cups=5)
        assert (asked.error_code, asked.text) == ("confirmation_needed", "Really 5?")
        assert (await box.call("orders", cups=5, confirmed=True)).text == "5 ordered"


async def test_being_cancelled_passes_through_to_the_tool(settings: config.Tools) -> None:
    stores: dict[str, Store] = {}
    async with a_box(settings, stores=stores) as box:
        call = ToolCall(id="1", utterance_id="", tool="waits", arguments={}, caller="cli")
        running = asyncio.create_task(box.runner.run(call))
        await asyncio.sleep(0.03)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await box.call("greet")
        assert stores["misc"].get("cleaned") is True


async def test_our_own_tools_run_with_nothing_else_installed() -> None:
    async with a_box(registry=Registry([])) as box:
        assert (await box.call("get_time")).error_code == "tool_unknown"
