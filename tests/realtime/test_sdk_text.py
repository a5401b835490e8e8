"""The servers of text models are held to their vendors by the vendors' own SDKs, and so are our requests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pydantic
import pytest

from agentbox.realtime.anthropic_messages import AnthropicMessages
from agentbox.realtime.chat_completions import ChatCompletions, Habits
from agentbox.realtime.session import Account
from agentbox.realtime.text_model import Call, Conversation, Result, Round
from tests.realtime.captures import FOLDER
from tests.realtime.servers.anthropic import AnthropicServer
from tests.realtime.servers.base import KEY, Say
from tests.realtime.servers.base import Call as Wanted
from tests.realtime.servers.chat import ChatServer
from tests.realtime.servers.http import MODEL
from tests.realtime.talks import WEATHER

openai = pytest.importorskip("openai", reason="the vendor's SDK is not installed (pip install -e '.[test]')")
anthropic = pytest.importorskip("anthropic", reason="the vendor's SDK is not installed (pip install -e '.[test]')")


def script(number: int, results: Any) -> Any:
    if results:
        return [Say(f"It is {json.loads(results[0])['text']} in both.")]
    wanted = [Wanted("get_weather", {"town": town}, f"call_{town}") for town in ("Bonn", "Köln")]
    return [Say("Let me see."), *wanted]


async def test_openais_sdk_goes_round_the_tools_with_the_test_server() -> None:
    from openai.types.chat import ChatCompletionChunk

    function = {"name": WEATHER.name, "description": WEATHER.description, "parameters": WEATHER.parameters}
    messages: list[Any] = [{"role": "user", "content": "What is the weather?"}]
    texts = []
    async with (
        ChatServer(script) as server,
        openai.AsyncOpenAI(api_key=KEY, base_url=server.base_url, max_retries=0) as client,
    ):
        for _ in range(2):
            async with client.chat.completions.stream(
                model=MODEL,
                messages=messages,
                tools=[{"type": "function", "function": function}],
                stream_options={"include_usage": True},
            ) as stream:
                async for event in stream:
                    if event.type == "chunk":
                        ChatCompletionChunk.model_validate(event.chunk.to_dict())
                done = await stream.get_final_completion()
            assert done.usage.total_tokens == 27
            message = done.choices[0].message
            texts.append(message.content)
            messages.append(message.to_dict())
            for call in message.tool_calls or []:
                assert json.loads(call.function.arguments)["town"] in ("Bonn", "Köln")
                messages.append({"role": "tool", "tool_call_id": call.id, "content": '{"text": "sunny"}'})
    assert texts == ["Let me see.", "It is sunny in both."]
    assert server.posted[1].body["messages"][1]["tool_calls"][1]["id"] == "call_Köln"


@pytest.mark.parametrize("thinks", [False, True])
async def test_anthropics_sdk_goes_round_the_tools_with_the_test_server(thinks: bool) -> None:
    from anthropic.types import RawMessageStreamEvent

    check = pydantic.TypeAdapter(RawMessageStreamEvent)
    messages: list[Any] = [{"role": "user", "content": "What is the weather?"}]
    texts = []
    async with (
        AnthropicServer(script) as server,
        anthropic.AsyncAnthropic(api_key=KEY, base_url=server.url, max_retries=0) as client,
    ):
        server.thinks = thinks
        for _ in range(2):
            async with client.messages.stream(
                model=MODEL,
                max_tokens=64,
                messages=messages,
                tools=[{"name": WEATHER.name, "description": WEATHER.description, "input_schema": WEATHER.parameters}],
            ) as stream:
                done = await stream.get_final_message()
            assert done.usage.output_tokens == 9
            texts += [block.text for block in done.content if block.type == "text"]
            messages.append({"role": "assistant", "content": [block.to_dict() for block in done.content]})
            calls = [block for block in done.content if block.type == "tool_use"]
            results = [
                {"type": "tool_result", "tool_use_id": call.id, "content": '{"text": "sunny"}'} for call in calls
            ]
            messages.append({"role": "user", "content": results})
            if not calls:
                break
        for number, steps in enumerate((script(0, []), script(1, ['{"text": "sunny"}']))):
            for event in server.events(number, steps):
                data = json.loads(event.partition(b"data: ")[2])
                if data["type"] != "ping":
                    check.validate_python(data)
    assert texts == ["Let me see.", "It is sunny in both."]


async def test_the_sdks_are_turned_away_without_a_key() -> None:
    said: list[Any] = [{"role": "user", "content": "hi"}]
    async with ChatServer() as chat, AnthropicServer() as messages:
        with pytest.raises(openai.AuthenticationError):
            await openai.AsyncOpenAI(api_key="sk-no", base_url=chat.base_url, max_retries=0).chat.completions.create(
                model=MODEL, messages=said
            )
        with pytest.raises(anthropic.AuthenticationError):
            await anthropic.AsyncAnthropic(api_key="sk-no", base_url=messages.url, max_retries=0).messages.create(
                model=MODEL, messages=said, max_tokens=10
            )


def talk() -> Conversation:
    """One of every kind of thing that a conversation can hold."""
    conversation = Conversation("Be brief.")
    conversation.say("What is the weather?")
    call, other = Call("call_1", "get_weather", {"town": "Köln"}), Call("call_2", "get_weather", None)
    results = {"call_1": Result('{"text": "sunny"}')}
    conversation.turns[-1].rounds += [Round("Let me see.", (call, other), results), Round("It is sunny.")]
    conversation.note("A timer rang.")
    conversation.say("And now?")
    conversation.say("Are you there?")
    conversation.turns[-1].rounds += [Round("", (call,), results)]
    return conversation


@pytest.mark.parametrize("may_call", [True, False])
@pytest.mark.parametrize("habits", [Habits(), Habits(tokens_field="max_completion_tokens", remembers=True)])
def test_our_chat_requests_are_of_the_sdks_types(may_call: bool, habits: Habits) -> None:
    from openai.types.chat.completion_create_params import CompletionCreateParamsStreaming

    model = ChatCompletions(Account(KEY, MODEL, "http://127.0.0.1/v1"), habits, user="agentbox")
    body = json.loads(model.request(talk(), [WEATHER], may_call=may_call).body)
    # The types leave out what they do not name: all that we send is there.
    assert checked(CompletionCreateParamsStreaming, body) == body


@pytest.mark.parametrize("may_call", [True, False])
def test_our_messages_requests_are_of_the_sdks_types(may_call: bool) -> None:
    from anthropic.types import ContentBlockParam, MessageParam
    from anthropic.types.message_create_params import MessageCreateParamsStreaming

    model = AnthropicMessages(Account(KEY, MODEL, "http://127.0.0.1"))
    conversation = talk()
    thought = {"type": "thinking", "thinking": "hm", "signature": "c2ln"}
    use = {"type": "tool_use", "id": "call_1", "name": "get_weather", "input": {"town": "Köln"}}
    conversation.turns[-1].rounds[0].kept = [thought, use]
    body = json.loads(model.request(conversation, [WEATHER], may_call=may_call).body)
    assert body["messages"][-2]["content"] == [thought, use]
    # Level by level: pydantic (2.14) panics in a lazy check inside a lazy check.
    messages = body.pop("messages")
    assert checked(MessageCreateParamsStreaming, body | {"messages": []}) == body | {"messages": []}
    for message in messages:
        assert checked(MessageParam, message | {"content": "hi"}) == message | {"content": "hi"}
        for block in message["content"]:
            assert checked(ContentBlockParam, block) == block
    assert {block["type"] for message in messages for block in message["content"]} == {
        "text",
        "tool_use",
        "tool_result",
        "thinking",
    }


def checked(kind: Any, body: Any) -> Any:
    return forced(pydantic.TypeAdapter(kind).validate_python(body))


def forced(value: Any) -> Any:
    """pydantic checks an `Iterable` only while one walks through it."""
    if isinstance(value, Mapping):
        return {key: forced(inner) for key, inner in value.items()}
    if isinstance(value, str | int | float | None):
        return value
    return [forced(inner) for inner in value]


def captured(name: str) -> dict[str, Any]:
    path = FOLDER / f"{name}.jsonl"
    if not path.exists():
        pytest.skip(f"no captured frames: {path.parent.name} is not beside the project")
    return dict(json.loads(path.read_text(encoding="utf-8").splitlines()[0]))


@pytest.mark.parametrize(
    ("name", "model", "additions"),
    [
        ("openai_chat_stream_tools", ChatCompletions(Account(KEY, MODEL, "http://127.0.0.1/v1")), {"max_tokens"}),
        ("anthropic_messages_stream_tools", AnthropicMessages(Account(KEY, MODEL, "http://127.0.0.1")), set()),
    ],
)
def test_our_requests_have_the_shape_of_those_that_the_sdks_sent(name: str, model: Any, additions: set[str]) -> None:
    sent = captured(name)
    conversation = Conversation()
    conversation.say("time?")
    request = model.request(conversation, [WEATHER])
    body = json.loads(request.body)
    assert request.url == f"http://127.0.0.1{sent['path']}"
    assert set(body) - additions == set(sent["body"])
    assert body["stream"] is sent["body"]["stream"]
    assert body.get("stream_options") == sent["body"].get("stream_options")
    assert set(body["tools"][0]) == set(sent["body"]["tools"][0])
    headers = dict(sent["headers"])
    for header, value in request.headers.items():
        assert headers[header].split(" ")[0] == value.split(" ")[0]
