"""The test servers are held to Volcengine by a package of others that follows the vendor's pages, and so are the frames
that we send: `volcengine-audio` makes and reads frames and types their contents; the connection is ours.

`doubao-speech`, a whole client of the recognition, is tried where it is installed (`pip install --no-deps`: it pins an
older websockets than this project uses).
"""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from agentbox.realtime.doubao import Code, DoubaoDialog
from agentbox.realtime.doubao_duplex import DoubaoDuplexDialog
from agentbox.realtime.doubao_frames import Packet, Sort, pack, unpack
from agentbox.realtime.seed_asr import SeedASR
from agentbox.realtime.session import Account, Setup
from tests.realtime.servers.base import KEY, Call, Say, tone
from tests.realtime.servers.doubao import APP, APP_KEY, DoubaoServer
from tests.realtime.servers.doubao_duplex import DoubaoDuplexServer
from tests.realtime.servers.seed_asr import WORDS, SeedASRServer
from tests.realtime.talks import WEATHER
from tests.realtime.test_doubao_frames import SESSION, SESSION_PAYLOAD, START_CONNECTION

sdk = pytest.importorskip("volcengine_audio", reason="volcengine-audio is not installed (pip install -e '.[test]')")

ACCOUNT = Account(key=KEY, model="", app_id=APP)
SETUP = Setup("Be brief.", voice="zh_female_vv_jupiter_bigtts", tools=(WEATHER,), hotwords=("agentbox",))
SIGNED = {"X-Api-App-ID": APP, "X-Api-Access-Key": KEY, "X-Api-App-Key": APP_KEY}


def connected(server: Any, **headers: str) -> connect:
    return connect(server.url, additional_headers=headers, compression=None)


async def test_it_holds_a_conversation_with_the_test_server() -> None:
    functions = sdk.RealtimeDialogueFunctions
    config = sdk.RealtimeDialogueConfig.model_validate(
        {
            "asr": {"extra": {}},
            "tts": {"extra": {}, "audio_config": {"format": "pcm_s16le"}},
            "dialog": {"extra": {"model": "1.2.1.1", "input_mod": "push_to_talk"}},
        }
    )
    query = sdk.ChatTextQueryRequest(content="What time is it?")
    async with DoubaoServer() as server:
        server.connect_id = "d1dcd999-9a9e-4ed6-b227-8649e946f6c4"  # without, its reader finds no payload
        async with connected(server, **SIGNED, **{"X-Api-Resource-Id": "volc.speech.dialog"}) as client:
            told = [await exchanged(client, functions.start_connection_payload(), 50)]
            told += [await exchanged(client, functions.start_session_payload(SESSION, config), 150)]
            await client.send(functions.task_request_payload(SESSION, tone(100, 16_000)))
            told += [await exchanged(client, functions.end_asr_payload(SESSION), 559)]
            told += [await exchanged(client, functions.chat_text_query_payload(SESSION, query), 559)]
            told += [await exchanged(client, functions.finish_session_payload(SESSION), 152)]
            told += [await exchanged(client, functions.finish_connection_payload(), 52)]
    events = [event for some in told for event in some]
    assert [event for event, _ in events if event in (50, 150, 450, 459, 359, 553, 152, 52)] == [
        *(50, 150, 450, 459, 359, 553, 359, 152, 52)
    ]
    sound = b"".join(payload for event, payload in events if event == 352)
    assert sound == tone(400) + tone(400)
    types = {
        150: sdk.SessionStartedResponse,
        350: sdk.RealtimeTTSSentenceStartResponse,
        351: sdk.RealtimeTTSSentenceEndResponse,
        450: sdk.ASRInfoResponse,
        451: sdk.ASRResponseModel,
        459: sdk.ASREndedResponse,
        550: sdk.ChatResponseModel,
        553: sdk.ChatTextQueryConfirmedResponse,
    }
    assert types.keys() <= {event for event, _ in events}
    for event, payload in events:
        if event in types:
            typed = types[event].model_validate(payload)
            assert typed.model_dump(exclude_unset=True) == payload
    bill = next(payload for event, payload in events if event == 154)
    assert bill["usage"].keys() == sdk.RealtimeDialogueUsage.Usage.__annotations__.keys()


async def exchanged(client: ClientConnection, frame: bytes, until: int) -> list[tuple[int, Any]]:
    """Say something, and hear what is told up to an event."""
    await client.send(bytes(frame))
    told: list[tuple[int, Any]] = []
    while not told or told[-1][0] != until:
        answer = await client.recv()
        assert isinstance(answer, bytes)
        event, _, payload = sdk.VolcengineTTSFunctions.extract_response_payload(answer)
        if event in (350, 351):
            payload = json.loads(payload)  # it leaves sentences as they are
        told.append((int(event), payload))
    return told


def test_the_arrays_of_the_vendors_page_are_what_it_makes_too() -> None:
    functions = sdk.RealtimeDialogueFunctions
    assert list(functions.start_connection_payload()) == START_CONNECTION
    made = remade(Packet(Sort.CLIENT, json.dumps(SESSION_PAYLOAD).encode(), Code.START_SESSION, SESSION))
    payload = json.dumps(SESSION_PAYLOAD, ensure_ascii=False, separators=(",", ":")).encode()
    assert made == pack(Packet(Sort.CLIENT, payload, Code.START_SESSION, SESSION))


def remade(packet: Packet) -> bytes:
    """The frame that the package makes of the same event."""
    functions = sdk.RealtimeDialogueFunctions
    if packet.sort is Sort.CLIENT_SOUND:
        return bytes(functions.task_request_payload(packet.id, packet.payload))
    return bytes(
        functions._calculate_payload(
            sdk.MessageType.FULL_CLIENT_REQUEST,
            sdk.EventSend(packet.event),
            session_id=packet.id,
            request_meta=json.loads(packet.payload),
        )
    )


def test_our_frames_of_the_dialogue_are_its_frames() -> None:
    dialog = DoubaoDialog(ACCOUNT, SETUP)
    dialog.opened()
    dialog.receive(event(Code.CONNECTION_STARTED, {}))
    dialog.receive(event(Code.SESSION_STARTED, {"dialog_id": "dlg_1"}, dialog._session_id))
    dialog.append(tone(50, 16_000))
    dialog.commit()
    reply = {"question_id": "q_1", "reply_id": "r_1"}
    dialog.receive(event(Code.TTS_SENTENCE_START, {"tts_type": "default", "text": "Yes.", **reply}, dialog._session_id))
    sound = Packet(Sort.SERVER_SOUND, tone(100), Code.TTS_RESPONSE, dialog._session_id, is_json=False)
    dialog.receive(pack(sound))
    dialog.interrupt(50.0)
    dialog.write("What time is it?")
    dialog.note("A timer rang.")
    dialog.finish()
    types = {
        Code.START_SESSION: sdk.RealtimeDialogueConfig,
        Code.CHAT_TEXT_QUERY: sdk.ChatTextQueryRequest,
        Code.CONVERSATION_CREATE: sdk.ConversationCreateRequest,
        Code.CONVERSATION_TRUNCATE: sdk.ConversationTruncateRequest,
    }
    sent = set()
    for frame in dialog.frames():
        assert isinstance(frame, bytes)
        packet = unpack(frame)
        assert packet is not None
        sent.add(packet.event)
        ours, theirs = bytearray(frame), bytearray(remade(packet))
        if packet.sort is Sort.CLIENT_SOUND:
            # It calls sound JSON; the vendor's table, and its own array of a sound, call it raw.
            assert (ours[2], theirs[2]) == (0x00, 0x10)
            theirs[2] = ours[2]
        assert ours == theirs
        if packet.event in types:
            typed = types[Code(packet.event)].model_validate_json(packet.payload)
            assert typed.model_dump(mode="json", exclude_unset=True, by_alias=True) == json.loads(packet.payload)
    assert {1, 100, 200, 400, 515, 513, 501, 510, 102, 2} == sent


def event(code: Code, message: dict[str, Any], name: str = "") -> bytes:
    return pack(Packet(Sort.SERVER, json.dumps(message).encode(), code, name))


async def test_it_holds_a_full_duplex_conversation_with_the_test_server() -> None:
    def script(number: int, results: Any) -> Any:
        return [Say("It is sunny.")] if results else [Call("get_weather", {"town": "Bonn"})]

    encode = sdk.encode_seeduplex_request
    formats = {"input": {"format": {"type": "pcm"}}, "output": {"format": {"type": "pcm_s16le"}}}
    extension: dict[str, Any] = {"asr": {"extra": {}}, "tts": {"extra": {}}, "dialog": {"extra": {}}}
    told: list[Any] = []
    async with DoubaoDuplexServer(script) as server, connected(server, **{"X-Api-Key": KEY}) as client:
        session = {"model": "1.2.6.1", "audio": formats}
        await client.send(encode({"type": "session.create", "session": session, "extension": extension}))
        await client.send(encode({"type": "input_audio_buffer.append", "audio": "AAAA"}))
        await client.send(encode({"type": "input_audio_buffer.commit"}))
        async for frame in client:
            given = json.loads(frame)
            typed = sdk.SeeduplexEvent.model_validate(given)
            assert typed.model_dump(mode="json", exclude_unset=True) == given
            assert given["type"] in [known.value for known in sdk.SeeduplexServerEventType]
            told.append(typed)
            if given["type"] == "response.function_call_arguments.done":
                item = {
                    "role": "tool",
                    "call_id": typed.items[0].call_id,
                    "content": [{"type": "input_text", "text": '{"text": "sunny"}'}],
                }
                await client.send(encode({"type": "conversation.item.create", "items": [item]}))
            if given["type"] == "response.output_audio.done":
                await client.send(encode({"type": "session.close"}))
            if given["type"] == "session.closed":
                break
    kinds = [typed.type for typed in told]
    assert kinds[0] == "session.created"
    assert "response.output_audio.delta" in kinds


def test_our_frames_of_the_full_duplex_dialogue_are_of_its_types() -> None:
    dialog = DoubaoDuplexDialog(ACCOUNT, SETUP)
    dialog.opened()
    dialog.receive('{"type": "session.created", "session": {"id": "dlg_1"}}')
    dialog.append(tone(50, 16_000))
    dialog.commit()
    dialog.receive('{"type": "response.output_audio.started"}')
    dialog.interrupt(50.0)
    dialog.append(tone(50, 16_000))
    dialog.commit()
    call = {"type": "function_call", "call_id": "call_1", "name": "get_weather", "arguments": "{}"}
    dialog.receive(json.dumps({"type": "response.function_call_arguments.done", "items": [call]}))
    dialog.tool_result("call_1", {"text": "sunny"})
    dialog.note("A timer rang.")
    dialog.append(tone(50, 16_000))
    dialog.discard()
    dialog.receive('{"type": "session.closed"}')
    dialog.finish()
    kinds = set()
    for frame in dialog.frames():
        message = json.loads(frame)
        # What its types do not name would be missing.
        assert json.loads(sdk.encode_seeduplex_request(message)) == message
        kinds.add(message["type"])
    assert kinds == {
        "session.create",
        "session.close",
        "input_audio_mute.commit",
        "input_audio_unmute.commit",
        "input_audio_buffer.append",
        "input_audio_buffer.commit",
        "response.cancel",
        "conversation.item.create",
    }


async def test_it_has_speech_recognised_by_the_test_server() -> None:
    functions = sdk.VolcengineAsrFunctionsV3
    request = sdk.VolcengineAsrRequestV3.model_validate({"audio": {"format": "pcm"}, "request": {}})
    asked = request.model_dump(mode="json", exclude_none=True)
    texts: list[str] = []
    async with SeedASRServer() as server:
        headers = {**SIGNED, "X-Api-App-Key": APP, "X-Api-Resource-Id": sdk.STTResource.duration_2_0.value}
        async with connected(server, **headers) as client:
            await client.send(bytes(functions.generate_asr_full_client_request(1, asked, compression=True)))
            for sequence, sound in enumerate([tone(200, 16_000)] * 3 + [b""], 2):
                await client.send(bytes(functions.generate_asr_audio_only_request(sequence, sound)))
            async for frame in client:
                response = functions.parse_response(frame)
                package = sdk.ListenBidirectionPackage.model_validate(response)
                texts.append(package.message.result.text)
                assert package.is_last_package == (package.sequence < 0)
    assert texts[-1] == " ".join(WORDS)
    assert package.is_last_package


def test_our_frames_of_the_recognition_are_its_frames() -> None:
    functions = sdk.VolcengineAsrFunctionsV3
    adapter = SeedASR(ACCOUNT, SETUP)
    adapter.opened()
    adapter.append(tone(500, 16_000))
    adapter.commit()
    first, *sound = adapter.frames()
    assert isinstance(first, bytes)
    asked = functions.parse_request(first)
    typed = sdk.VolcengineAsrRequestV3.model_validate(asked | {"request": dict(asked["request"]) | {"corpus": None}})
    named = typed.model_dump(mode="json", exclude_unset=True)
    assert named == asked | {"request": asked["request"] | {"corpus": None}}
    # Its type of the hotwords takes them as an object, and makes the text of it that the vendor wants.
    hotwords = json.loads(asked["request"]["corpus"]["context"])
    context = sdk.VolcengineAsrRequestV3.Request.Corpus.Context.model_validate(hotwords)
    assert json.loads(context.model_dump(exclude_unset=True)) == hotwords
    assert same(first, bytes(functions.generate_asr_full_client_request(1, asked, compression=True)))
    for sequence, frame in enumerate(sound, 2):
        assert isinstance(frame, bytes)
        packet = unpack(frame)
        assert packet is not None
        number = -sequence if packet.is_last else sequence
        assert same(frame, bytes(functions.generate_asr_audio_only_request(number, packet.payload)))
    assert len(sound) == 3


def same(ours: bytes, theirs: bytes) -> bool:
    """But for how well the payload was compressed."""
    return ours[:8] == theirs[:8] and gzip.decompress(ours[12:]) == gzip.decompress(theirs[12:])


async def test_another_client_has_speech_recognised_by_the_test_server(monkeypatch: pytest.MonkeyPatch) -> None:
    client = pytest.importorskip(
        "doubao_speech._ws_client", reason="doubao-speech is not installed (pip install --no-deps doubao-speech)"
    )

    async def speech() -> AsyncIterator[bytes]:
        for _ in range(4):
            yield tone(200, 16_000)

    async with SeedASRServer() as server:
        monkeypatch.setattr(client, "ASR_URL", server.url)
        stream = client.asr_stream(speech(), audio_format="pcm", app_id=APP, access_token=KEY, timeout=5.0)
        told = [result async for result in stream]
    assert told[-1]["text"] == " ".join(WORDS)
    assert told[-1]["is_final"]
    assert bytes(server.sound) == tone(200, 16_000) * 4
