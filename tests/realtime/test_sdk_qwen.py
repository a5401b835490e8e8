"""The test server is held to Qwen's realtime address by the vendor's own SDK, in both of its interfaces; and so are the
frames that we send: the SDK says what it would send for the same session.
"""

from __future__ import annotations

import asyncio
import base64
import json
import queue
from collections.abc import Callable
from typing import Any

import pytest

from agentbox.realtime.qwen import QwenASR, QwenDialog, QwenTTS
from agentbox.realtime.session import Account, Setup
from tests.realtime.captures import frames_of
from tests.realtime.servers.base import KEY, Call, Say, tone
from tests.realtime.servers.qwen import QwenServer
from tests.realtime.talks import WEATHER

dashscope = pytest.importorskip("dashscope", reason="the vendor's SDK is not installed (pip install -e '.[test]')")

AUDIO = "qwen-audio-3.0-realtime-plus"
OMNI_3_8 = "qwen3.8-omni-flash-realtime"
OMNI = "qwen3.5-omni-flash-realtime"

# The second interface warns that it is new, and that no workspace is named.
pytestmark = [pytest.mark.filterwarnings("ignore::FutureWarning"), pytest.mark.filterwarnings("ignore::UserWarning")]

SOUND = base64.b64encode(tone(100, 16_000)).decode()
TOOLS = [
    {
        "type": "function",
        "function": {"name": WEATHER.name, "description": WEATHER.description, "parameters": WEATHER.parameters},
    }
]
WAIT_S = 10.0


@pytest.fixture(autouse=True)
def _straight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")


class Told:
    """What the SDK's threads were told, one after the other."""

    def __init__(self) -> None:
        self.events: queue.Queue[dict[str, Any]] = queue.Queue()

    def on_open(self) -> None: ...

    def on_close(self, code: Any, words: Any) -> None:
        self.events.put({"type": "closed"})

    def on_event(self, message: dict[str, Any]) -> None:
        self.events.put(message)

    def until(self, kind: str, respond: Callable[[dict[str, Any]], None] | None = None) -> list[str]:
        seen: list[dict[str, Any]] = []
        while not seen or seen[-1]["type"] != kind:
            seen.append(self.events.get(timeout=WAIT_S))
            assert seen[-1]["type"] not in ("error", "closed") or seen[-1]["type"] == kind, seen
            if respond is not None:
                respond(seen[-1])
        return [event["type"] for event in seen]


def script(number: int, results: Any) -> Any:
    return [Say("It is sunny.")] if results else [Say("Let me see."), Call("get_weather", {"town": "Bonn"})]


@pytest.mark.parametrize("model", [OMNI, AUDIO])
async def test_the_first_interface_holds_a_conversation(model: str) -> None:
    from dashscope.audio.qwen_omni import MultiModality, OmniRealtimeConversation

    def talk(url: str) -> list[list[Any]]:
        told: Any = Told()
        client = OmniRealtimeConversation(model=model, callback=told, url=url, api_key=KEY)
        client.connect()
        client.update_session(
            [MultiModality.TEXT, MultiModality.AUDIO], "Tina", enable_turn_detection=False, tools=TOOLS
        )
        seen: list[list[Any]] = [told.until("session.updated")]
        client.append_audio(SOUND)
        client.commit()
        client.create_response()

        def respond(event: dict[str, Any]) -> None:
            if event["type"] == "response.function_call_arguments.done":
                item = {"type": "function_call_output", "call_id": event["call_id"], "output": '{"text": "sunny"}'}
                client.create_item(item)

        seen.append(told.until("response.done", respond))
        client.create_response()
        seen.append(told.until("response.done"))
        assert client.get_last_response_id() == "resp_2"
        client.cancel_response()
        seen.append(told.until("error"))
        if model == OMNI:
            client.end_session(timeout=10)
        client.close()
        return seen

    async with QwenServer(script) as server:
        greeting, first, second, _ = await asyncio.to_thread(talk, server.url)
    assert greeting == ["session.created", "session.updated"]
    assert {"input_audio_buffer.committed", "response.audio.delta"} <= set(first)
    assert "response.function_call_arguments.done" in first
    assert first.index("response.output_item.added") < first.index("response.audio_transcript.delta")
    assert "response.audio.delta" in second


@pytest.mark.parametrize("model", [OMNI, OMNI_3_8, AUDIO])
async def test_the_second_interface_holds_a_conversation(model: str) -> None:
    def talk(url: str) -> list[str]:
        client = dashscope.Client(api_key=KEY)
        kinds = []
        with client.audio.realtime.connect(model=model, ws_url=url, timeout=WAIT_S) as session:
            session.update_session(["text", "audio"], enable_turn_detection=False)
            session.append_audio(SOUND)
            session.commit()
            session.create_response()
            # Its `events` raises where a session closes before an answer or the session ended as it should.
            for event in session.events():
                kinds.append(event["type"])
                if event["type"] == "response.done":
                    if model == AUDIO:
                        break
                    session.end_session()
            assert session.last_first_audio_delay is not None
        return kinds

    async with QwenServer() as server:
        kinds = await asyncio.to_thread(talk, server.url)
    assert kinds[:2] == ["session.created", "session.updated"]
    assert ("session.finished" in kinds) is (model == OMNI)


async def test_the_second_interface_is_told_what_was_refused() -> None:
    from dashscope.v2 import DashScopeError

    def talk(url: str) -> tuple[str, str]:
        client = dashscope.Client(api_key=KEY)
        with client.audio.realtime.connect(model=AUDIO, ws_url=url, timeout=WAIT_S) as session:
            session.recv_event()
            session.cancel_response()
            with pytest.raises(DashScopeError) as caught:
                session.recv_event()
            session.update_session(["text"])  # a request that was refused ends nothing
            return str(caught.value), session.recv_event()["type"]

    async with QwenServer() as server:
        words, kind = await asyncio.to_thread(talk, server.url)
    assert "no active response" in words
    assert kind == "session.updated"


async def test_the_sdk_is_turned_away_without_a_key() -> None:
    def talk(url: str) -> None:
        dashscope.Client(api_key="sk-wrong").audio.realtime.connect(model=AUDIO, ws_url=url).connect()

    async with QwenServer() as server:
        with pytest.raises(Exception, match="401"):
            await asyncio.to_thread(talk, server.url)


async def test_the_sdk_recognises() -> None:
    from dashscope.audio.qwen_omni import MultiModality, OmniRealtimeConversation
    from dashscope.audio.qwen_omni.omni_realtime import TranscriptionParams

    def talk(url: str) -> list[str]:
        told: Any = Told()
        client = OmniRealtimeConversation(model="qwen3-asr-flash-realtime", callback=told, url=url, api_key=KEY)
        client.connect()
        params = TranscriptionParams(language="en", corpus_text="agentbox")
        client.update_session([MultiModality.TEXT], transcription_params=params, enable_turn_detection=False)
        client.append_audio(SOUND)
        client.commit()
        seen: list[str] = told.until("conversation.item.input_audio_transcription.completed")
        client.append_audio(SOUND)
        client.end_session(timeout=10)
        client.close()
        seen += told.until("session.finished")
        return seen

    async with QwenServer() as server:
        seen = await asyncio.to_thread(talk, server.url)
    assert seen.count("conversation.item.input_audio_transcription.text") == 4
    assert seen.count("conversation.item.input_audio_transcription.completed") == 2


@pytest.mark.parametrize("mode", ["server_commit", "commit"])
async def test_the_sdk_speaks(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from dashscope.audio.qwen_tts_realtime import QwenTtsRealtime

    monkeypatch.setattr(dashscope, "api_key", KEY)

    def talk(url: str) -> list[str]:
        told: Any = Told()
        client = QwenTtsRealtime(model="qwen3-tts-flash-realtime", callback=told, url=url)
        client.connect()
        client.update_session("Cherry", mode=mode)
        for text in ("It is noon.", " Lunch?"):
            client.append_text(text)
            if mode == "commit":
                client.commit()
        client.finish()
        seen: list[str] = told.until("session.finished")
        client.close()
        return seen

    async with QwenServer() as server:
        seen = await asyncio.to_thread(talk, server.url)
    assert seen.count("response.done") == 2
    assert seen.index("response.audio.delta") < seen.index("response.audio.done") < seen.index("session.finished")


class Ear:
    """Takes what the second interface sends in place of a connection."""

    def __init__(self) -> None:
        self.frames: list[dict[str, Any]] = []

    def send(self, text: str) -> None:
        self.frames.append(json.loads(text))

    def settimeout(self, seconds: float) -> None: ...

    def close(self) -> None: ...


def of_the_sdk(model: str) -> list[dict[str, Any]]:
    """What the SDK sends for the session and the commands of `of_ours`."""
    ear = Ear()
    client = dashscope.Client(api_key=KEY)
    session = client.audio.realtime.connect(model=model, ws_url="ws://nowhere", connector=lambda url, headers: ear)
    session.connect()
    options: dict[str, Any] = {"voice": "Tina", "instructions": "Be brief.", "tools": TOOLS}
    if model == OMNI_3_8:
        options["input_audio_config"] = {"type": "pcm", "sample_rate": 16_000}
        options["output_audio_config"] = {"type": "pcm", "sample_rate": 24_000}
    else:
        options |= {"input_audio_format": "pcm", "output_audio_format": "pcm"}
    if model != AUDIO:
        options["input_audio_transcription_model"] = "qwen3-asr-flash-realtime"
    session.update_session(["text", "audio"], enable_turn_detection=False, **options)
    session.append_audio(SOUND)
    session.commit()
    session.create_response(**({"instructions": "x"} if model == OMNI else {}))
    session.create_item({"type": "function_call_output", "call_id": "call_1", "output": '{"text": "sunny"}'})
    session.delete_item("item_1")
    session.cancel_response()
    session.clear_appended_audio()
    if model != AUDIO:
        session.end_session()
    return ear.frames


def of_ours(model: str) -> list[dict[str, Any]]:
    adapter = QwenDialog(Account(key=KEY, model=model), Setup("Be brief.", voice="Tina", tools=(WEATHER,)))
    adapter.opened()
    adapter.append(tone(100, 16_000))
    adapter.commit()
    adapter.receive(json.dumps({"type": "session.updated", "session": {}}))
    adapter.receive(json.dumps({"type": "response.created", "response": {"id": "resp_1"}}))
    part = {"response_id": "resp_1", "item_id": "item_1"}
    adapter.receive(json.dumps({"type": "response.audio.delta", "delta": SOUND, **part}))
    call = {"response_id": "resp_1", "call_id": "call_1", "name": "get_weather", "arguments": "{}"}
    adapter.receive(json.dumps({"type": "response.function_call_arguments.done", **call}))
    adapter.tool_result("call_1", {"text": "sunny"})
    adapter.interrupt(0.0)
    adapter.discard()
    adapter.finish()
    return [json.loads(frame) for frame in adapter.frames()]


@pytest.mark.parametrize("model", [OMNI, OMNI_3_8, AUDIO])
def test_our_frames_are_those_that_the_sdk_would_send(model: str) -> None:
    ours, theirs = (
        {frame["type"]: {key: value for key, value in frame.items() if key != "event_id"} for frame in frames}
        for frames in (of_ours(model), of_the_sdk(model))
    )
    if model == OMNI:  # it may carry instructions, and need not
        theirs["response.create"]["response"] = {}
    if model != AUDIO:  # nothing but tools' results may be written or deleted there
        del theirs["conversation.item.delete"]
    assert ours == theirs
    assert all(frame.get("event_id") for frame in of_ours(model))


def shape(value: Any) -> Any:
    """The names in a JSON value, without what they hold; of a list, of its first."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    return [shape(value[0])] if isinstance(value, list) and value else None


def is_within(ours: Any, theirs: Any) -> bool:
    """Whether each name of ours is one of theirs; theirs may be left out, or null."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return all(key in theirs and is_within(inner, theirs[key]) for key, inner in ours.items())
    if isinstance(ours, list) and isinstance(theirs, list):
        return is_within(ours[0], theirs[0])
    return True


@pytest.mark.parametrize(
    ("capture", "model"),
    [("dashscope_omni_v1", OMNI), ("dashscope_omni38_v2", OMNI_3_8), ("dashscope_qwen_audio_v2", AUDIO)],
)
def test_our_frames_have_the_shape_of_those_that_were_captured(capture: str, model: str) -> None:
    captured = {frame["type"]: frame for frame in frames_of(capture, "client->server")}
    ours = {frame["type"]: frame for frame in of_ours(model)}
    assert captured.keys() <= ours.keys()
    for kind in captured.keys() - {"session.update", "conversation.item.create"}:
        assert is_within(shape(ours[kind]), shape(captured[kind])), kind
    # What the captured sessions did not set, and the SDK has words for (the test above).
    unset = {"tools", "input_audio_transcription", "input_audio_format", "output_audio_format"}
    session = {key: value for key, value in ours["session.update"]["session"].items() if key not in unset}
    assert is_within(shape(session), shape(captured["session.update"]["session"]))


def other(adapter: Any) -> dict[str, dict[str, Any]]:
    """What recognition and synthesis send, by type."""
    adapter.opened()
    adapter.receive(json.dumps({"type": "session.updated", "session": {}}))
    if isinstance(adapter, QwenTTS):
        adapter.say("It is noon.")
    else:
        adapter.append(tone(100, 16_000))
    adapter.commit()
    adapter.finish()
    return {frame["type"]: frame for frame in map(json.loads, adapter.frames())}


@pytest.mark.parametrize(
    ("capture", "kind"), [("dashscope_qwen_asr_realtime", QwenASR), ("dashscope_qwen_tts_realtime", QwenTTS)]
)
def test_the_others_frames_have_the_shape_of_those_that_were_captured(capture: str, kind: Any) -> None:
    captured = {frame["type"]: frame for frame in frames_of(capture, "client->server")}
    ours = other(kind(Account(key=KEY, model=""), Setup(hotwords=("agentbox",))))
    # A text is committed by its end; a turn that is recognised is committed by hand.
    assert captured.keys() - {"input_text_buffer.commit"} <= ours.keys() | {"input_audio_buffer.commit"}
    for name in captured.keys() & ours.keys():
        assert is_within(shape(ours[name]), shape(captured[name])), name
