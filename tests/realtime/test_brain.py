"""A text brain against both kinds of service: words, tools, limits, and what remains after an interruption."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from agentbox.errors import ToolError
from agentbox.messages import JSON
from agentbox.realtime.anthropic_messages import AnthropicMessages
from agentbox.realtime.brain import Brain, Limits, RunTool
from agentbox.realtime.chat_completions import ChatCompletions
from agentbox.realtime.event_stream import EventStreams
from agentbox.realtime.events import ToolCalled, Used
from agentbox.realtime.failures import CloudError
from agentbox.realtime.session import Account
from agentbox.realtime.text_model import Conversation
from tests.realtime.servers.anthropic import AnthropicServer
from tests.realtime.servers.base import KEY, Call, Say
from tests.realtime.servers.chat import ChatServer
from tests.realtime.servers.http import MODEL, TextServer
from tests.realtime.talks import WEATHER

KINDS = ("chat", "anthropic")
both = pytest.mark.parametrize("kind", KINDS)


@dataclass
class Box:
    """A brain, its server, and a conversation."""

    server: TextServer
    brain: Brain
    conversation: Conversation = field(default_factory=lambda: Conversation("Be brief."))
    ran: list[ToolCalled] = field(default_factory=list)
    used: list[Used] = field(default_factory=list)

    async def weather(self, call: ToolCalled) -> JSON:
        self.ran.append(call)
        return {"text": "sunny"}

    async def ask(self, text: str, run_tool: RunTool | None = None) -> str:
        self.conversation.say(text)
        return await self.again(run_tool)

    async def again(self, run_tool: RunTool | None = None) -> str:
        async with aclosing(self.brain.answer(self.conversation, [WEATHER], run_tool or self.weather)) as words:
            return "".join([more async for more in words])

    async def fails(self, text: str, run_tool: RunTool | None = None) -> str:
        with pytest.raises(CloudError) as caught:
            await self.ask(text, run_tool)
        return caught.value.code


@asynccontextmanager
async def box(kind: str, script: Any, limits: Limits | None = None) -> AsyncIterator[Box]:
    used: list[Used] = []
    server: Any = ChatServer(script) if kind == "chat" else AnthropicServer(script)
    async with server:
        account = Account(KEY, MODEL, f"{server.url}/v1")
        model: Any = ChatCompletions(account) if kind == "chat" else AnthropicMessages(account)
        streams = EventStreams()
        try:
            yield Box(server, Brain(model, streams, limits, on_used=used.append), used=used)
        finally:
            await streams.close()


def town(name: str, call_id: str = "call_1") -> Call:
    return Call("get_weather", {"town": name}, call_id)


@both
async def test_it_answers_and_remembers(kind: str) -> None:
    async with box(kind, lambda number, results: [Say(f"Answer {number}, 你好.")]) as it:
        it.server.pieces = (1, 2, 5)
        assert await it.ask("Hello?") == "Answer 0, 你好."
        assert await it.ask("And?") == "Answer 1, 你好."
        said = [message["role"] for message in it.server.posted[1].body["messages"] if message["role"] != "system"]
        assert said == ["user", "assistant", "user"]
        assert it.server.connections == 1
        assert len(it.used) == 2
        assert it.brain.streams.traffic.bytes_out > 300
        assert it.brain.streams.traffic.bytes_in > 300


@both
async def test_it_runs_tools_in_order_and_goes_on(kind: str) -> None:
    def script(number: int, results: Any) -> Any:
        wanted = [town("Bonn", "call_a"), town("Köln", "call_b")]
        return [Say(f"Both {len(results)} are sunny.")] if results else [Say("Let me see"), *wanted]

    async with box(kind, script) as it:
        assert await it.ask("What is the weather?") == "Let me see\nBoth 2 are sunny."
        assert [call.arguments["town"] for call in it.ran] == ["Bonn", "Köln"]
        # The calls and their results are still told with the next turn.
        await it.ask("Really?")
        assert len(it.server.posted) == 4


async def test_a_model_that_signs_its_thoughts_gets_them_back() -> None:
    async with box("anthropic", lambda number, results: [Say("Sunny.")] if results else [town("Bonn")]) as it:
        it.server.thinks = True  # type: ignore[attr-defined]
        assert await it.ask("What is the weather?") == "Sunny."
        assert await it.ask("And in Bonn?") == "Sunny."


@both
async def test_what_a_tool_could_not_do_is_told_the_model(kind: str) -> None:
    told: list[Any] = []

    def script(number: int, results: Any) -> Any:
        told.extend(results)
        return [Say("Sorry.")] if results else [town("Bonn"), Call("open_door", {}, "call_2")]

    async def fail(call: ToolCalled) -> JSON:
        raise ToolError("web_timeout", "No answer came within 8 s.", "Try again later.")

    async with box(kind, script) as it:
        assert await it.ask("Weather?", fail) == "Sorry."
    assert told == ["It failed: No answer came within 8 s.", "There is no such tool."]


@both
async def test_no_more_calls_are_run_than_allowed(kind: str) -> None:
    told: list[Any] = []

    def script(number: int, results: Any) -> Any:
        told.extend(results)
        return [Say("So much.")] if results else [town("Bonn", f"call_{at}") for at in range(6)]

    async def verbose(call: ToolCalled) -> JSON:
        return "x" * 50

    async with box(kind, script, Limits(calls=4, result_letters=10)) as it:
        assert await it.ask("Weather?", verbose) == "So much."
    assert [one[:8] for one in told] == ["xxxxxxxx"] * 4 + ["Not run:"] * 2
    assert told[0] == "xxxxxxxxxx [...]"


@both
async def test_a_model_that_only_calls_is_ended(kind: str) -> None:
    async with box(kind, lambda number, results: [town("Bonn")]) as it:
        assert await it.fails("Weather?") == "cloud_loop"
        assert len(it.ran) == 4
        assert len(it.server.posted) == 5
        choices = [posted.body.get("tool_choice") for posted in it.server.posted]
        assert choices == [None] * 4 + (["none"] if kind == "chat" else [{"type": "none"}])
        it.server.script = lambda number, results: [Say("Yes.")]
        assert await it.ask("Are you there?") == "Yes."


@both
async def test_words_beside_a_call_too_many_are_the_answer(kind: str) -> None:
    async with box(kind, lambda number, results: [Say("Sunny."), town("Bonn")], Limits(tool_rounds=0)) as it:
        assert await it.ask("Weather?") == "Sunny."
        assert it.ran == []
        assert await it.ask("Weather?") == "Sunny."


@both
async def test_interrupted_in_its_words_it_remembers_what_was_heard(kind: str) -> None:
    async with box(kind, lambda number, results: [Say("One two three four five six.")]) as it:
        it.server.hold_events = 8 if kind == "anthropic" else 5
        it.conversation.say("Count!")
        async with aclosing(it.brain.answer(it.conversation, [WEATHER], it.weather)) as words:
            async for more in words:
                if "three" in more:
                    break
        await asyncio.wait_for(it.server.hung_up.wait(), 10)
        it.conversation.heard("One  two")
        it.server.hold_events = None
        await it.ask("Go on.")
    assert texts(it.server, 1) == ["Count!", "One two", "Go on."]


@both
async def test_interrupted_before_a_word_was_heard_both_turns_are_one(kind: str) -> None:
    async with box(kind, lambda number, results: [Say("One two three.")]) as it:
        await it.ask("Count!")
        it.conversation.heard("")
        await it.ask("No, sing!")
    assert texts(it.server, 1) == ["Count!\n\nNo, sing!"]


@both
async def test_interrupted_in_a_tool_the_conversation_can_be_gone_on_with(kind: str) -> None:
    started = asyncio.Event()

    async def slow(call: ToolCalled) -> JSON:
        started.set()
        await asyncio.sleep(60)

    async with box(kind, lambda number, results: [Say("I look."), town("Bonn", "a"), town("Köln", "b")]) as it:
        asking = asyncio.create_task(it.ask("Weather?", slow))
        await asyncio.wait_for(started.wait(), 10)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        it.server.script = lambda number, results: [Say("Fine.")]
        # The server refuses calls without results.
        assert await it.ask("Never mind.") == "Fine."
    assert str(it.server.posted[1].body).count("it is not known whether it was carried out") == 2


@both
async def test_asked_again_after_a_failure_no_tool_runs_twice(kind: str) -> None:
    def script(number: int, results: Any) -> Any:
        return [Say("It is very sunny.")] if results else [town("Bonn")]

    async with box(kind, script) as it:

        async def then_cut(call: ToolCalled) -> JSON:
            it.server.cut_events = 5
            return await it.weather(call)

        assert await it.fails("Weather?", then_cut) == "cloud_closed"
        it.server.cut_events = None
        assert await it.again() == "It is very sunny."
        assert len(it.ran) == 1


@both
async def test_the_time_waited_is_bounded_and_that_of_the_listener_is_free(kind: str) -> None:
    async with box(kind, lambda number, results: [Say("One two three.")], Limits(total_s=0.5)) as it:
        it.conversation.say("Count!")
        async with aclosing(it.brain.answer(it.conversation, [], it.weather)) as words:
            heard = []
            async for more in words:
                await asyncio.sleep(0.3)
                heard.append(more)
        assert "".join(heard) == "One two three."
        it.server.hold_events = 3
        assert await it.fails("Count!") == "cloud_timeout"
        await asyncio.wait_for(it.server.hung_up.wait(), 10)


@both
async def test_the_time_of_tools_counts_but_none_is_cut_short(kind: str) -> None:
    done: list[str] = []

    async def slow(call: ToolCalled) -> JSON:
        await asyncio.sleep(1.2)
        done.append(call.name)
        return "sunny"

    async with box(
        kind, lambda number, results: [Say("Sunny.")] if results else [town("Bonn")], Limits(total_s=1)
    ) as it:
        assert await it.fails("Weather?", slow) == "cloud_timeout"
    assert done == ["get_weather"]


@both
async def test_arguments_that_are_no_object_are_told_the_model(kind: str) -> None:
    told: list[Any] = []
    garbled: Any = "town=Bonn"

    def script(number: int, results: Any) -> Any:
        told.extend(results)
        return [Say("Sorry.")] if results else [Call("get_weather", garbled)]

    async with box(kind, script) as it:
        assert await it.ask("Weather?") == "Sorry."
        assert it.ran == []
    assert told == ["Not run: the arguments are not a JSON object."]


@both
@pytest.mark.parametrize(
    ("error", "code"),
    [
        ({"type": "overloaded_error", "message": "Overloaded"}, "cloud_busy"),
        ({"type": "api_error", "message": "hm"}, "cloud_down"),
        ({"type": "x", "code": "data_inspection_failed", "message": "no"}, "cloud_input"),
    ],
)
async def test_an_error_in_the_stream_is_one(kind: str, error: dict[str, str], code: str) -> None:
    async with box(kind, lambda number, results: [Say("One")]) as it:
        it.server.error_in_stream = error
        assert await it.fails("Count!") == code


@both
async def test_no_words_at_all_are_a_failure_unless_tools_ran(kind: str) -> None:
    async with box(kind, lambda number, results: []) as it:
        assert await it.fails("Hello?") == "cloud_silent"
        it.server.script = lambda number, results: [] if results else [town("Bonn")]
        assert await it.ask("Hello?") == ""


@both
async def test_a_conversation_forgets(kind: str) -> None:
    async with box(kind, lambda number, results: [Say("Yes.")]) as it:
        it.conversation = Conversation(most_turns=2)
        for number in range(4):
            await it.ask(f"Turn {number}")
    assert texts(it.server, 3) == ["Turn 2", "Yes.", "Turn 3"]


def texts(server: TextServer, number: int) -> list[str]:
    """What a request told of the conversation, without its instructions."""
    told = []
    for message in server.posted[number].body["messages"]:
        content = message["content"]
        if message["role"] != "system":
            told.append(content if isinstance(content, str) else "".join(block["text"] for block in content))
    return told
