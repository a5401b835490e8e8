"""The test server is held to Gemini Live by Google's own SDK, and so are the frames that we send.

The SDK connects with TLS only when it has an API key: the test server has a certificate of its own making.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentbox.realtime.gemini import GeminiDialog
from agentbox.realtime.session import Account, Setup, ToolSpec
from tests.realtime import samples_gemini
from tests.realtime.captures import frames_of
from tests.realtime.servers.base import KEY, Call, Say, tone
from tests.realtime.servers.gemini import GeminiServer, camel
from tests.realtime.talks import WEATHER

genai = pytest.importorskip("google.genai", reason="the vendor's SDK is not installed (pip install -e '.[test]')")
pytest.importorskip("cryptography", reason="there is nothing to make a certificate with (pip install -e '.[test]')")

MODEL = "gemini-3.8-live"

NESTED = ToolSpec(
    "plan",
    "Plans a day.",
    {
        "type": "object",
        "properties": {
            "steps": {"type": "array", "items": {"$ref": "#/$defs/Step"}},
            "day": {"anyOf": [{"type": "string", "enum": ["today", "tomorrow"]}, {"type": "null"}], "default": None},
        },
        "required": ["steps"],
        "additionalProperties": False,
        "$defs": {"Step": {"type": "object", "properties": {"minutes": {"type": "integer", "minimum": 1}}}},
    },
)


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The client's side of TLS; the test servers get the other."""
    from tests.realtime.servers.tls import contexts

    server, client = contexts(tmp_path)
    monkeypatch.setattr(GeminiServer, "tls", server)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return client


def client_of(server: GeminiServer, trusted: Any, key: str = KEY) -> Any:
    url = server.url.removesuffix(server.path).replace("wss:", "https:")
    return genai.Client(
        api_key=key, http_options=genai.types.HttpOptions(base_url=url, async_client_args={"ssl": trusted})
    )


CONFIG = {
    "response_modalities": ["AUDIO"],
    "system_instruction": "Be brief.",
    "tools": [
        {
            "function_declarations": [
                {
                    "name": "get_weather",
                    "description": "The weather.",
                    "parameters": {"type": "OBJECT", "properties": {"town": {"type": "STRING"}}},
                }
            ]
        }
    ],
    "input_audio_transcription": {},
    "output_audio_transcription": {},
    "session_resumption": {},
    "context_window_compression": {"sliding_window": {}},
    "realtime_input_config": {"automatic_activity_detection": {"disabled": True}},
}


def weather(number: int, results: Any) -> Any:
    return [Say("It is sunny.")] if results else [Say("Let me see."), Call("get_weather", {"town": "Bonn"})]


async def test_the_sdk_holds_a_conversation_with_the_test_server(trusted: Any) -> None:
    types = genai.types
    told: list[Any] = []
    async with GeminiServer(weather) as server:
        async with client_of(server, trusted).aio.live.connect(model=MODEL, config=CONFIG) as session:
            assert session.session_id == "session_1"
            await session.send_realtime_input(activity_start=types.ActivityStart())
            sound = types.Blob(data=tone(100, 16_000), mime_type="audio/pcm;rate=16000")
            await session.send_realtime_input(audio=sound)
            await session.send_realtime_input(activity_end=types.ActivityEnd())
            async for message in session.receive():
                told.append(message)
                for call in message.tool_call.function_calls if message.tool_call else ():
                    result = types.FunctionResponse(id=call.id, name=call.name, response={"output": {"text": "sunny"}})
                    await session.send_tool_response(function_responses=result)
            async for message in session.receive():
                told.append(message)
                if message.session_resumption_update and message.session_resumption_update.new_handle:
                    break
        path = server.requests[0].path
    assert path == server.path
    assert bytes(server.sound) == tone(100, 16_000)
    assert b"".join(message.data for message in told if message.data) == tone(400) * 2
    words = [message.server_content.output_transcription for message in told if message.server_content]
    assert [one.text for one in words if one] == ["Let me see.", "It is sunny."]
    assert [message.usage_metadata.total_token_count for message in told if message.usage_metadata] == [50]
    assert told[-1].session_resumption_update.new_handle == "handle_2"


async def test_the_sdk_interrupts_the_test_server(trusted: Any) -> None:
    """Interrupted, then over; and then the next answer."""
    types = genai.types
    script = lambda number, results: [Say("A story.", 5_000)] if not number else [Say("Yes?")]  # noqa: E731
    seen: list[str] = []
    async with (
        GeminiServer(script, piece_s=0.005) as server,
        client_of(server, trusted).aio.live.connect(model=MODEL, config=CONFIG) as session,
    ):
        await session.send_client_content(turns=types.Content(role="user", parts=[types.Part(text="Talk.")]))
        async for message in session.receive():
            if message.data and not seen:
                seen.append("sound")
                await session.send_realtime_input(activity_start=types.ActivityStart())
                await session.send_realtime_input(activity_end=types.ActivityEnd())
            if message.server_content and message.server_content.interrupted:
                seen.append("interrupted")
        seen.append("over")
        later = [message.server_content async for message in session.receive() if message.server_content]
    seen += [one.output_transcription.text for one in later if one.output_transcription]
    assert seen == ["sound", "interrupted", "over", "Yes?"]


@pytest.mark.parametrize(("key", "model", "code"), [("sk-wrong", MODEL, 1007), (KEY, "gemini-0", 1008)])
async def test_the_sdk_is_turned_away_with_a_close_code(trusted: Any, key: str, model: str, code: int) -> None:
    async with GeminiServer() as server:
        with pytest.raises(genai.errors.APIError) as caught:
            await client_of(server, trusted, key).aio.live.connect(model=model).__aenter__()
    assert caught.value.code == code


async def test_our_adapter_talks_over_tls_to_the_server_that_the_sdk_talked_to(trusted: Any) -> None:
    from agentbox.realtime.connection import Connection
    from agentbox.realtime.events import AnswerDone
    from tests.realtime.talks import turn

    async with GeminiServer() as server:
        adapter = GeminiDialog(Account(key=KEY, model="", url=server.url), Setup())
        async with Connection(adapter, tls=trusted) as connection:
            seen = await turn(connection, aiter(connection), tone(100, 16_000))
    assert seen[-1] == AnswerDone("answer_1", "completed")


def sent() -> list[dict[str, Any]]:
    """Every kind of frame that the adapter sends."""
    account = Account(key=KEY, model=MODEL)
    adapter = GeminiDialog(account, Setup("Be brief.", voice="Puck", tools=(WEATHER, NESTED), resume="handle_1"))
    adapter.opened()
    adapter.append(tone(100, 16_000))
    adapter.commit()
    adapter.receive('{"setupComplete": {}}')
    calls = [{"id": "call_1", "name": "get_weather", "args": {"town": "Bonn"}}]
    adapter.receive(json.dumps({"toolCall": {"functionCalls": calls}}))
    adapter.tool_result("call_1", "sunny")
    adapter.interrupt(50.0)
    adapter.append(tone(100, 16_000))
    adapter.discard()
    adapter.note("A timer rang.")
    adapter.write("What time is it?")
    adapter.finish()
    return [json.loads(frame) for frame in adapter.frames()]


def test_our_frames_are_of_the_sdks_types() -> None:
    """Its types allow no fields but those they name."""
    frames = sent()
    kinds = {next(iter(frame)) for frame in frames}
    # This one field it writes without having it in the type of its message.
    genai.types.RealtimeInputConfig.model_validate(frames[0]["setup"].pop("realtimeInputConfig"))
    for frame in frames:
        genai.types.LiveClientMessage.model_validate(frame)
    assert kinds == {"setup", "realtimeInput", "clientContent", "toolResponse"}
    with pytest.raises(ValueError, match="Extra inputs"):
        genai.types.LiveClientMessage.model_validate({"setup": {"model": "m", "nonsense": 1}})


def test_our_frames_have_the_shape_of_those_that_the_sdk_sent() -> None:
    """Captured from google-genai 3.4: each place in its frames that we fill too is named and filled alike."""
    captured = [camel(frame) for frame in frames_of("gemini_live", "client->server")]
    ours = {place: kind for frame in sent() for place, kind in places(frame)}
    theirs = {place: kind for frame in captured for place, kind in places(frame)}
    shared = set(ours) & set(theirs)
    assert {place for place in shared if ours[place] != theirs[place]} == set()
    assert {
        "setup.model",
        "setup.generationConfig.responseModalities.[]",
        "setup.generationConfig.speechConfig.voiceConfig.prebuiltVoiceConfig.voiceName",
        "setup.realtimeInputConfig.automaticActivityDetection.disabled",
        "setup.tools.[].functionDeclarations.[].parameters.type",
        "setup.contextWindowCompression.slidingWindow",
        "realtimeInput.audio.data",
        "realtimeInput.audio.mimeType",
        "realtimeInput.activityStart",
        "clientContent.turns.[].parts.[].text",
        "clientContent.turnComplete",
        "toolResponse.functionResponses.[].response.output",
    } <= shared
    # What it sends and we do not: a tool without parameters, a new conversation, and its own voice detection.
    assert set(theirs) - set(ours) == {
        "setup.realtimeInputConfig.automaticActivityDetection.silenceDurationMs",
        "setup.sessionResumption",
        "setup.systemInstruction.role",
        "setup.tools.[].functionDeclarations.[].parameters.properties",
        "realtimeInput.audioStreamEnd",
    }


def places(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """The leaves of a frame: where they are, and of what type."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from places(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and value:
        for inner in value:
            yield from places(inner, f"{path}.[]")
    else:
        yield path, type(value).__name__


def test_the_samples_are_of_the_sdks_types() -> None:
    """All but the error, of which it has no type."""
    for frame in samples_gemini.FRAMES:
        message = json.loads(frame)
        if "error" not in message:
            genai.types.LiveServerMessage.model_validate(message)
