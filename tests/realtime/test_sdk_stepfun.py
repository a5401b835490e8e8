"""What holds the test server to StepFun, which has no SDK of its own for Python.

The best client at hand is other people's: livekit-plugins-stepfun 1.8.1. With what it needs it fills 400 MB, far too
much for every run of the tests; docs/vendors.md tells how to run it. Everywhere else the older types of OpenAI's SDK
stand for the protocol, which is theirs by the vendor's page.
"""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import pytest

from agentbox.realtime.session import Account, Setup
from agentbox.realtime.stepfun import StepFunASR, StepFunDialog
from agentbox.realtime.stepfun_stateless import StepFunStatelessDialog
from tests.realtime.servers.base import KEY, Call, Say, tone
from tests.realtime.servers.stepfun import StepFunServer
from tests.realtime.talks import WEATHER

NOT_OPENAIS = ("response.thinking.", "response.cancelled", "session.restored")


def script(number: int, results: Any) -> Any:
    return [Say("It is sunny.")] if results else [Say("Let me see."), Call("get_weather", {"town": "Bonn"})]


async def test_other_peoples_client_holds_a_conversation(monkeypatch: pytest.MonkeyPatch) -> None:
    plugin: Any = pytest.importorskip("livekit.plugins.stepfun", reason="too large for every run (docs/vendors.md)")
    rtc: Any = pytest.importorskip("livekit.rtc")
    llm: Any = pytest.importorskip("livekit.agents").llm
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    told: list[dict[str, Any]] = []
    async with StepFunServer(script) as server:
        model = plugin.RealtimeModel(base_url=server.url, api_key=KEY, turn_detection=None)
        session = model.session()
        session.on("openai_server_event_received", told.append)
        session.on("error", lambda error: told.append({"type": "error", "error": error}))
        await session.update_instructions("Be brief.")
        pcm = tone(500)
        session.push_audio(rtc.AudioFrame(pcm, 24_000, 1, len(pcm) // 2))
        session.commit_audio()
        words, called = await answer_of(session)
        assert words == "Let me see."
        assert [(call.name, json.loads(call.arguments)) for call in called] == [("get_weather", {"town": "Bonn"})]
        context = session.chat_ctx.copy()
        context.items.append(
            llm.FunctionCallOutput(call_id="call_1", name="get_weather", output='{"text": "sunny"}', is_error=False)
        )
        await session.update_chat_ctx(context)
        assert (await answer_of(session))[0] == "It is sunny."
        await session.aclose()
        await model.aclose()
    assert "error" not in [event["type"] for event in told]


async def answer_of(session: Any) -> tuple[str, list[Any]]:
    answer = await session.generate_reply()
    words = ""
    async for message in answer.message_stream:
        words += "".join([text async for text in message.text_stream])
        assert sum([frame.samples_per_channel async for frame in message.audio_stream]) == 24_000 * 400 // 1000
    return words, [call async for call in answer.function_stream]


def beta() -> Any:
    return pytest.importorskip("openai.types.beta.realtime", reason="this version of OpenAI's SDK has no older types")


def sent(adapter: Any) -> list[dict[str, Any]]:
    """Every kind of frame that the adapter sends."""
    adapter.opened()
    adapter.receive(json.dumps({"type": "session.updated", "session": {}}))
    adapter.append(tone(100))
    adapter.commit()
    if isinstance(adapter, StepFunDialog):
        adapter.receive(json.dumps({"type": "response.created", "response": {"id": "resp_1"}}))
        part = {"response_id": "resp_1", "item_id": "item_1"}
        delta = base64.b64encode(tone(100)).decode()
        adapter.receive(json.dumps({"type": "response.audio_transcript.delta", "delta": "It is sunny.", **part}))
        adapter.receive(json.dumps({"type": "response.audio.delta", "delta": delta, **part}))
        call = {"response_id": "resp_1", "call_id": "call_1", "name": "get_weather", "arguments": "{}"}
        adapter.receive(json.dumps({"type": "response.function_call_arguments.done", **call}))
        adapter.tool_result("call_1", {"text": "sunny"})
        adapter.interrupt(50.0)
        adapter.discard()
        adapter.note("A timer rang.")
        adapter.write("What time is it?")
        adapter.receive(json.dumps({"type": "response.done", "response": {"id": "resp_1", "status": "cancelled"}}))
        adapter.receive(json.dumps({"type": "session.restored"}))
    adapter.finish()
    return [json.loads(frame) for frame in adapter.frames()]


def unnamed(model: Any) -> list[str]:
    """Fields that a type of the SDK does not name, at any depth."""
    import pydantic

    names = list(model.model_extra or ())
    for name, value in model:
        if isinstance(value, pydantic.BaseModel):
            names += [f"{name}.{inner}" for inner in unnamed(value)]
    return names


def test_our_frames_are_of_the_older_types() -> None:
    import pydantic

    check = pydantic.TypeAdapter(beta().RealtimeClientEvent)
    frames = sent(StepFunDialog(Account(key=KEY, model=""), Setup("Be brief.", voice="linjiajiejie", tools=(WEATHER,))))
    for frame in frames:
        assert unnamed(check.validate_python(frame)) == [], frame["type"]
    kinds = {frame["type"] for frame in frames}
    # The vendor's page lists these, and no other.
    assert kinds == {
        "session.update",
        "input_audio_buffer.append",
        "input_audio_buffer.commit",
        "input_audio_buffer.clear",
        "conversation.item.create",
        "conversation.item.delete",
        "response.create",
        "response.cancel",
    }


def test_the_frames_that_carry_all_differ_as_the_vendors_client_has_it() -> None:
    import pydantic

    check = pydantic.TypeAdapter(beta().RealtimeClientEvent)
    adapter = StepFunStatelessDialog(Account(key=KEY, model=""), Setup("Be brief.", voice="v", tools=(WEATHER,)))
    frames = sent(adapter)
    extra = set()
    for frame in frames:
        if frame["type"] != "session.restore":
            extra |= set(unnamed(check.validate_python(frame)))
    assert extra == {"response.history", "response.interrupt_current_response"}
    kinds = [frame["type"] for frame in frames]
    assert kinds.count("session.restore") == 1
    assert "session.update" not in kinds
    assert "response.cancel" not in kinds


def test_recognition_is_set_up_as_the_page_has_it() -> None:
    """The example of the page "streaming ASR": the names in it, and their types."""
    page = {
        "format": {"type": "pcm", "codec": "pcm_s16le", "rate": 16000, "bits": 16, "channel": 1},
        "transcription": {"model": "step-asr-1.1-stream", "language": "zh", "prompt": "x"},
    }
    [update, append, commit] = sent(StepFunASR(Account(key=KEY, model=""), Setup(language="zh", hotwords=("x",))))
    assert update["session"] == {"audio": {"input": page}}
    assert append.keys() == {"event_id", "type", "audio"}
    assert commit.keys() == {"event_id", "type"}


@pytest.mark.parametrize("path", ["", "/stateless"])
async def test_the_test_servers_frames_are_of_the_older_types(path: str) -> None:
    import pydantic
    from websockets.asyncio.client import connect

    check = pydantic.TypeAdapter(beta().RealtimeServerEvent)
    told: list[dict[str, Any]] = []

    async with StepFunServer(script) as server:
        headers = {"Authorization": f"Bearer {KEY}"}
        async with connect(f"{server.url}{path}?model=stepaudio-2.5-realtime", additional_headers=headers) as client:

            async def say(kind: str, **fields: Any) -> None:
                await client.send(json.dumps({"type": kind, "event_id": "e", **fields}))

            async def until(kind: str) -> None:
                async with asyncio.timeout(10.0):
                    while not told or told[-1]["type"] != kind:
                        told.append(json.loads(await client.recv()))

            if not path:
                await say("session.update", session={"modalities": ["text", "audio"]})
            await say("response.cancel")
            await say("input_audio_buffer.append", audio=base64.b64encode(tone(100)).decode())
            await say("input_audio_buffer.clear")
            await say("input_audio_buffer.append", audio=base64.b64encode(tone(100)).decode())
            await say("input_audio_buffer.commit")
            request = {"modalities": ["text", "audio"], "instructions": "", "history": []} if path else {}
            await say("response.create", response=request)
            await until("response.done")
            if path:
                await say("session.restore")
                await until("session.restored")
            await say("conversation.item.delete", item_id="item_resp_1_0")
            await until("conversation.item.deleted")
    for event in told:
        if event["type"].endswith("input_audio_transcription.completed"):
            event["usage"] = {"type": "duration", "seconds": 1}  # not in the example of the page
        if not event["type"].startswith(NOT_OPENAIS):
            check.validate_python(event)
    kinds = {event["type"] for event in told}
    assert {"response.audio.delta", "response.function_call_arguments.done", "response.output_item.done"} <= kinds
    assert ("error" in kinds) is (not path)
