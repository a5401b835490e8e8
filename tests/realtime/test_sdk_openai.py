"""The test server is held to OpenAI by OpenAI's own SDK, and so are the frames that we send."""

from __future__ import annotations

import base64
import json
from typing import Any

import pydantic
import pytest

from agentbox.realtime.openai import OpenAIDialog, OpenAITranscription
from agentbox.realtime.session import Account, Setup
from tests.realtime.captures import frames_of
from tests.realtime.servers.base import KEY, Call, Say, tone
from tests.realtime.servers.openai import OpenAIServer
from tests.realtime.talks import WEATHER

openai = pytest.importorskip("openai", reason="the vendor's SDK is not installed (pip install -e '.[test]')")


async def test_the_sdk_holds_a_conversation_with_the_test_server() -> None:
    from openai.types.realtime import RealtimeServerEvent

    def script(number: int, results: Any) -> Any:
        return [Say("It is sunny.")] if results else [Say("Let me see."), Call("get_weather", {"town": "Bonn"})]

    told: list[Any] = []
    async with OpenAIServer(script) as server:
        client = openai.AsyncOpenAI(api_key=KEY, websocket_base_url=server.url.removesuffix("/realtime"))
        async with client.realtime.connect(model="gpt-realtime-2.1") as connection:
            await connection.session.update(session={"type": "realtime", "output_modalities": ["audio"]})
            await connection.input_audio_buffer.append(audio=base64.b64encode(tone(100)).decode())
            await connection.input_audio_buffer.commit()
            await connection.response.create()
            async for event in connection:
                told.append(event)
                if event.type == "response.function_call_arguments.done":
                    output = {"type": "function_call_output", "call_id": event.call_id, "output": '{"text": "sunny"}'}
                    await connection.conversation.item.create(item=output)
                if event.type == "response.done":
                    if event.response.id == "resp_2":
                        break
                    await connection.response.create()
    kinds = [event.type for event in told]
    assert kinds[:2] == ["session.created", "session.updated"]
    assert kinds.count("response.done") == 2
    # Its parser takes anything; its types do not.
    check = pydantic.TypeAdapter(RealtimeServerEvent)
    for event in told:
        check.validate_python(event.to_dict())


async def test_the_sdk_is_turned_away_without_a_key() -> None:
    async with OpenAIServer() as server:
        client = openai.AsyncOpenAI(api_key="sk-wrong", websocket_base_url=server.url.removesuffix("/realtime"))
        with pytest.raises(Exception, match="401"):
            await client.realtime.connect(model="gpt-realtime-2.1").__aenter__()


def sent(adapter: Any) -> list[dict[str, Any]]:
    """Every kind of frame that the adapter sends."""
    adapter.opened()
    adapter.append(tone(100))
    adapter.commit()
    adapter.receive(json.dumps({"type": "session.updated", "session": {}}))
    if isinstance(adapter, OpenAIDialog):
        adapter.receive(json.dumps({"type": "response.created", "response": {"id": "resp_1"}}))
        call = {"response_id": "resp_1", "call_id": "call_1", "name": "get_weather", "arguments": "{}"}
        adapter.receive(json.dumps({"type": "response.function_call_arguments.done", **call}))
        delta = base64.b64encode(tone(100)).decode()
        adapter.receive(
            json.dumps(
                {"type": "response.output_audio.delta", "response_id": "resp_1", "item_id": "item_1", "delta": delta}
            )
        )
        adapter.tool_result("call_1", {"text": "sunny"})
        adapter.interrupt(50.0)
        adapter.discard()
        adapter.write("What time is it?")
        adapter.note("A timer rang.")
    adapter.finish()
    return [json.loads(frame) for frame in adapter.frames()]


@pytest.mark.parametrize("kind", [OpenAIDialog, OpenAITranscription])
def test_our_frames_are_of_the_sdks_types(kind: Any) -> None:
    from openai.types.realtime import RealtimeClientEvent

    frames = sent(kind(Account(key=KEY, model="gpt-realtime-2.1"), Setup("Be brief.", tools=(WEATHER,))))
    check = pydantic.TypeAdapter(RealtimeClientEvent)
    for frame in frames:
        typed = check.validate_python(frame)
        # The types allow more fields than they name; what we send is among the named ones.
        assert unnamed(typed) == []
    kinds = {frame["type"] for frame in frames}
    if kind is OpenAIDialog:
        assert {"response.cancel", "conversation.item.truncate", "conversation.item.create"} <= kinds


def unnamed(model: pydantic.BaseModel) -> list[str]:
    """Fields that the SDK's type does not name, at any depth."""
    names = list(model.model_extra or ())
    for name, value in model:
        if isinstance(value, pydantic.BaseModel):
            names += [f"{name}.{inner}" for inner in unnamed(value)]
    return names


def test_our_frames_have_the_shape_of_those_that_the_sdk_sent() -> None:
    """Captured from openai 3.52: each field that we send was sent by the SDK as well, or is one of its types'."""
    captured = frames_of("openai_realtime", "client->server")
    kinds = {frame["type"] for frame in captured}
    ours = {frame["type"] for frame in sent(OpenAIDialog(Account(key=KEY, model=""), Setup("hi", tools=(WEATHER,))))}
    assert kinds <= ours
