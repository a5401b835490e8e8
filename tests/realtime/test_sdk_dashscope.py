"""The test server is held to DashScope by DashScope's own SDK, in both of its surfaces, and so are our frames."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from agentbox.realtime.connection import Connection
from agentbox.realtime.events import Finished
from tests.realtime.captures import frames_of
from tests.realtime.dashscope_talks import TURN, ears, ended, json_of, started, told, turn, voice
from tests.realtime.servers.base import KEY
from tests.realtime.servers.dashscope import DashScopeServer, sound_of
from tests.realtime.talks import up_to

dashscope = pytest.importorskip("dashscope", reason="the vendor's SDK is not installed (pip install -e '.[test]')")

FINALS = ["What is the weather?", "And in Bonn?"]


@pytest.fixture(autouse=True)
def _own_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setattr(dashscope, "api_key", KEY)


def nameless(frames: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Frames without what differs from run to run."""
    return [frame | {"header": frame["header"] | {"task_id": ""}} for frame in frames]


# The older surface


class Callback:
    """What the SDK calls, whichever way the sound goes."""

    def on_open(self) -> None:
        pass

    def on_close(self) -> None:
        pass


class Listener(Callback):
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.errors: list[Any] = []
        self.completed = threading.Event()

    def on_complete(self) -> None:
        self.completed.set()

    def on_error(self, result: Any) -> None:
        self.errors.append(result)

    def on_event(self, result: Any) -> None:
        self.events.append(result)


def recognition(listener: Listener | None, model: str = "fun-asr-realtime", **options: Any) -> Any:
    return dashscope.audio.asr.Recognition(model=model, callback=listener, format="pcm", sample_rate=16_000, **options)


async def test_the_older_recognition_completes_and_sends_what_we_send(monkeypatch: pytest.MonkeyPatch) -> None:
    async with DashScopeServer() as server:
        monkeypatch.setattr(dashscope, "base_websocket_api_url", server.url)
        listener = Listener()

        def run() -> None:
            asked = recognition(listener, heartbeat=True, language_hints=["en"])
            asked.start()
            asked.send_audio_frame(bytes(3_200))
            for at in range(0, len(TURN), 3_200):
                asked.send_audio_frame(TURN[at : at + 3_200])
            asked.update_context({"context": [{"role": "user", "content": [{"type": "input_text", "text": "Bonn"}]}]})
            asked.stop()

        await asyncio.to_thread(run)
        assert not listener.errors
        assert listener.completed.is_set()
        sentences = [event.get_sentence() for event in listener.events]
        ends = [one["text"] for one in sentences if dashscope.audio.asr.RecognitionResult.is_sentence_end(one)]
        assert ends == FINALS
        assert all(not one["heartbeat"] for one in sentences)
        theirs, server.frames = server.frames, []
        async with Connection(ears(server)) as connection:
            events = aiter(connection)
            connection.session.append(TURN)
            connection.session.remember("Bonn", "")
            await turn(connection, events, b"")
    # The one frame whose place in the sound is not the same is the context's.
    assert nameless(server.frames) == nameless(theirs)


async def test_the_older_recognition_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "turn.pcm").write_bytes(TURN)
    async with DashScopeServer() as server:
        monkeypatch.setattr(dashscope, "base_websocket_api_url", server.url)
        result = await asyncio.to_thread(recognition(None).call, str(tmp_path / "turn.pcm"))
        assert [one["text"] for one in result.get_sentence()] == FINALS
        assert result.usages[-1]["usage"] == {"duration": 1}


async def test_the_older_recognition_is_told_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "turn.pcm").write_bytes(TURN)
    async with DashScopeServer() as server:
        monkeypatch.setattr(dashscope, "base_websocket_api_url", server.url)
        unknown = await asyncio.to_thread(recognition(None, "no-such-model").call, str(tmp_path / "turn.pcm"))
        assert (unknown.code, unknown.message) == ("ModelNotFound", "Model not found (no-such-model)!")
        monkeypatch.setattr(dashscope, "api_key", "sk-wrong")
        refused = await asyncio.to_thread(recognition(None).call, str(tmp_path / "turn.pcm"))
        assert refused.status_code == 401


def synthesizer(server: DashScopeServer, **options: Any) -> Any:
    tts = dashscope.audio.tts_v2
    return tts.SpeechSynthesizer(
        model="cosyvoice-v3-flash",
        voice="longanyang",
        format=tts.AudioFormat.PCM_24000HZ_MONO_16BIT,
        url=server.url,
        **options,
    )


class Speaker(Callback):
    """Keeps what it says."""

    def __init__(self) -> None:
        self.sound = b""
        self.first = threading.Event()
        self.completed = threading.Event()
        self.errors: list[str] = []

    def on_event(self, message: str) -> None:
        pass

    def on_data(self, data: bytes) -> None:
        self.sound += data
        self.first.set()

    def on_complete(self) -> None:
        self.completed.set()

    def on_error(self, message: str) -> None:
        self.errors.append(message)


async def test_the_older_voice_completes() -> None:
    async with DashScopeServer() as server:
        speaker = Speaker()

        def run() -> Any:
            asked = synthesizer(server, callback=speaker)
            asked.streaming_call("It is ")
            asked.streaming_flush()
            asked.streaming_call("noon.")
            asked.streaming_complete()
            return asked.get_response()

        last = await asyncio.to_thread(run)
        assert last["payload"]["usage"] == {"characters": 11}
        assert speaker.sound == sound_of("It is ") + sound_of("noon.")
        assert not speaker.errors
        whole = await asyncio.to_thread(synthesizer(server).call, "It is noon.")
        assert whole == sound_of("It is noon.")


async def test_the_older_voice_is_cancelled() -> None:
    async with DashScopeServer(piece_s=0.005) as server:
        speaker = Speaker()

        def run() -> None:
            asked = synthesizer(server, callback=speaker)
            asked.streaming_call("A long story. " * 40)
            assert speaker.first.wait(10)
            asked.streaming_cancel()

        await asyncio.to_thread(run)
        assert speaker.completed.is_set()
        assert len(speaker.sound) < len(sound_of("A long story. " * 40))


# The newer surface


@pytest.fixture
def client() -> Any:
    return dashscope.Client(api_key=KEY, base_url="http://127.0.0.1:9")


async def test_the_newer_recognition_completes_and_sends_what_we_send(client: Any) -> None:
    async with DashScopeServer() as server:

        def run() -> list[str]:
            parameters = {"heartbeat": True, "language_hints": ["en"]}
            asked = client.audio.asr.recognize(model="fun-asr-realtime", parameters=parameters, ws_url=server.url)
            with asked:
                asked.send_audio_frame(TURN)
                asked.stop()
                return [result.get_sentence()["text"] for result in asked.results() if result.is_sentence_end()]

        assert await asyncio.to_thread(run) == FINALS
        theirs, server.frames = server.frames, []
        async with Connection(ears(server)) as connection:
            await turn(connection, aiter(connection))
    assert nameless(server.frames) == nameless(theirs)


async def test_the_newer_voice_completes_and_sends_what_we_send(client: Any) -> None:
    async with DashScopeServer() as server:

        def run() -> bytes:
            settings = {"model": "cosyvoice-v3-flash", "voice": "longanyang", "format": "pcm", "sample_rate": 24_000}
            with client.audio.tts.connect(**settings, ws_url=server.url) as asked:
                asked.send_text("It is ")
                asked.send_text("noon.")
                asked.stop()
                return b"".join(asked.audio_chunks())

        assert await asyncio.to_thread(run) == sound_of("It is noon.")
        theirs, server.frames = server.frames, []
        async with Connection(voice(server)) as connection:
            connection.session.say("It is ")
            connection.session.say("noon.")
            connection.session.commit()
            connection.flush()
            await up_to(aiter(connection), ended)
    assert nameless(server.frames) == nameless(theirs)


async def test_the_newer_surface_uses_one_connection_again_and_again(client: Any) -> None:
    async with DashScopeServer() as server:

        def run() -> list[list[str]]:
            connection = client.ws_connection(url=server.url, timeout=10)
            heard = []
            for _ in range(3):
                asked = client.audio.asr.recognize(model="fun-asr-realtime", connection=connection)
                with asked:
                    asked.send_audio_frame(TURN)
                    asked.stop()
                    heard.append([one.get_sentence()["text"] for one in asked.results() if one.is_sentence_end()])
            connection.close()
            return heard

        assert await asyncio.to_thread(run) == [FINALS] * 3
    assert len(server.requests) == 1
    assert server.order == ["run-task", "sound", "finish-task"] * 3


async def test_the_newer_surface_is_told_what_is_wrong(client: Any) -> None:
    from dashscope.v2.errors import ContentFilterError

    async with DashScopeServer(fails=("DataInspectionFailed", "no")) as server:

        def run() -> None:
            asked = client.audio.asr.recognize(model="fun-asr-realtime", ws_url=server.url)
            with asked:
                asked.send_audio_frame(TURN)
                asked.stop()
                list(asked.results())

        with pytest.raises(ContentFilterError):
            await asyncio.to_thread(run)


# Captured from the SDK


def sent_by_ears(**options: Any) -> list[dict[str, Any]]:
    """A recognition, its context told meanwhile."""
    adapter = ears(**options)
    adapter.opened()
    frames = adapter.frames()
    adapter.receive(told("task-started"))
    adapter.remember("hello", "hi")
    adapter.append(TURN)
    adapter.commit()
    frames += adapter.frames()
    assert adapter.receive(told("task-finished")) == [Finished()]
    return nameless(json_of(frames))


def test_a_recognition_is_the_captured_one() -> None:
    options = {
        "vocabulary_id": "vocab-x",
        "semantic_punctuation_enabled": False,
        "max_sentence_silence": 800,
        "language_hints": ["zh"],
    }
    run, more, finish = sent_by_ears(**options)
    captured = nameless(frames_of("dashscope_fun_asr_v1", "client->server"))
    assert [run, finish] == [captured[0], captured[2]]
    # Its context was made up for the recording, and lacks what the vendor's pages ask for.
    assert more["header"] == captured[1]["header"]
    assert more["payload"].keys() == captured[1]["payload"].keys() == {"input"}


def test_the_plainest_recognition_is_the_captured_one() -> None:
    run, _, finish = sent_by_ears(heartbeat=None, language_hints=None)
    assert [run, finish] == nameless(frames_of("dashscope_fun_asr_v2", "client->server"))


def test_another_model_is_asked_for_as_captured() -> None:
    adapter = ears(model="no-such-model", heartbeat=None, language_hints=None)
    adapter.opened()
    assert nameless(json_of(adapter.frames())) == nameless(
        frames_of("dashscope_fun_asr_v1_model_error", "client->server")
    )
    (answer,) = frames_of("dashscope_fun_asr_v1_model_error", "server->client")
    assert [event.failure.code for event in adapter.receive(json.dumps(answer))] == ["cloud_model"]  # type: ignore[union-attr]


def test_a_text_and_its_cancelling_are_the_captured_ones() -> None:
    usual: dict[str, Any] = {"volume": 50, "rate": 1.0, "pitch": 1.0, "seed": 0, "type": 0}
    for name in ("dashscope_cosyvoice_v1", "dashscope_cosyvoice_cancel"):
        captured = nameless(frames_of(name, "client->server"))
        for frame in captured[1:-1]:
            # The older surface repeats here what it said at the start; pages and newer surface do not.
            frame["payload"] = {"input": frame["payload"]["input"]}
        captured = [frame for frame in captured if frame["payload"]["input"] != {"flush": True}]
        adapter = voice(name="longanyang", **usual)
        adapter.opened()
        frames = adapter.frames()
        adapter.receive(told("task-started"))
        for frame in captured[1:-1]:
            adapter.say(frame["payload"]["input"]["text"])
        if name.endswith("cancel"):
            adapter.interrupt(0.0)
        else:
            adapter.commit()
        assert nameless(json_of([*frames, *adapter.frames()])) == captured


def test_the_key_is_sent_as_captured() -> None:
    upgrade = upgrade_of("dashscope_unauthorized")
    ours = {name.lower(): value for name, value in ears().endpoint.headers.items()}
    assert ours == {name: value for name, value in upgrade.items() if name in ours}


def upgrade_of(name: str) -> dict[str, str]:
    """The headers of the captured request."""
    from tests.realtime.captures import FOLDER

    frames_of(name, "client->server")
    line = json.loads((FOLDER / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()[0])
    return {header.lower(): value for header, value in line["headers"]}


def test_server_frames_that_were_recorded_are_understood() -> None:
    adapter = started(ears())
    for frame in frames_of("dashscope_fun_asr_v1", "server->client")[1:]:
        frame["header"]["task_id"] = ""
        assert adapter.receive(json.dumps(frame))
