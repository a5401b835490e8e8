"""Seed-ASR: our adapter against the test server."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agentbox.realtime.connection import Connection
from agentbox.realtime.doubao_frames import Packet, Sort, pack, unpack
from agentbox.realtime.events import Event, Failed, Finished, Heard, Ready
from agentbox.realtime.seed_asr import MODEL, SeedASR
from agentbox.realtime.session import Account, Setup
from tests.realtime.servers.base import KEY, tone
from tests.realtime.servers.seed_asr import SeedASRServer
from tests.realtime.talks import up_to

SPEECH = tone(900, 16_000)


def recognition(server: SeedASRServer, key: str = KEY, app: str = "app", **options: Any) -> SeedASR:
    account = Account(key=key, model="", url=server.url, app_id=app, options=options)
    return SeedASR(account, Setup(hotwords=("agentbox",)))


async def recognised(server: SeedASRServer, speech: bytes, **more: Any) -> list[Event]:
    async with Connection(recognition(server, **more)) as connection:
        for at in range(0, len(speech), 1_000):
            connection.session.append(speech[at : at + 1_000])
        connection.session.commit()
        connection.session.commit()
        connection.session.append(speech)
        connection.flush()
        return await up_to(aiter(connection), lambda event: isinstance(event, Finished))


async def test_speech_becomes_segments() -> None:
    async with SeedASRServer() as server:
        seen = await recognised(server, SPEECH)
    assert seen == [
        Ready(),
        Heard("what is the", False, 0),
        Heard("what is the weather?", False, 0),
        Heard("what is the weather?", True, 0),
        Heard("And in", False, 1),
        Heard("And in Bonn?", False, 1),
        Heard("And in Bonn?", True, 1),
        Finished(),
    ]
    assert bytes(server.sound) == SPEECH
    request, *sound = server.frames
    assert json.loads(request["request"]["corpus"]["context"]) == {"hotwords": [{"word": "agentbox"}]}
    assert [packet["bytes"] for packet in sound] == [6_400, 6_400, 6_400, 6_400, 3_200]
    assert [packet["last"] for packet in sound] == [False, False, False, False, True]
    sent = server.requests[0].headers
    assert (sent["X-Api-Resource-Id"], sent["X-Api-App-Key"]) == (MODEL, "app")
    assert server.closes == [1000]


async def test_a_key_without_an_app_is_the_newer_kind_of_key() -> None:
    async with SeedASRServer() as server:
        assert (await recognised(server, SPEECH, app=""))[-1] == Finished()
    assert server.requests[0].headers["X-Api-Key"] == KEY


async def test_no_sound_is_nothing_understood() -> None:
    async with SeedASRServer() as server:
        assert await recognised(server, b"") == [Ready(), Finished()]


async def test_sound_without_words_is_nothing_understood() -> None:
    async with SeedASRServer() as server:
        server.words = ()
        assert await recognised(server, SPEECH) == [Ready(), Finished()]


async def test_settings_that_are_refused_are_the_owners_to_mend() -> None:
    async with SeedASRServer() as server:
        seen = await recognised(server, SPEECH, request={"model_name": "nonsense"})
    assert isinstance(seen[-1], Failed)
    assert (seen[-1].failure.code, seen[-1].failure.vendor_code) == ("cloud_settings", "45000001")


@pytest.mark.parametrize(
    ("code", "ours"),
    [
        (45000001, "cloud_settings"),
        (45000002, "cloud_input"),
        (45000081, "cloud_idle"),
        (45000151, "cloud_settings"),
        (45000000, "cloud_closed"),
        (55000031, "cloud_busy"),
        (55000012, "cloud_down"),
    ],
)
def test_every_documented_error(code: int, ours: str) -> None:
    made = SeedASR(Account(key=KEY, model=""), Setup())
    made.opened()
    assert made.receive(result({"text": ""})) == [Ready()]
    (failed,) = made.receive(pack(Packet(Sort.ERROR, b'{"error": "?"}', code=code)))
    assert isinstance(failed, Failed)
    assert (failed.failure.code, failed.failure.vendor_code, failed.session) == (ours, str(code), True)


def result(said: dict[str, Any] | list[Any], **more: Any) -> bytes:
    sequence = more.pop("sequence", 1)
    message = json.dumps({"result": said, **more}).encode()
    return pack(Packet(Sort.SERVER, message, sequence=sequence, is_last=sequence < 0, is_gzip=True))


def heard(*frames: bytes) -> list[Event]:
    """What frames tell, after the acknowledgement."""
    made = SeedASR(Account(key=KEY, model=""), Setup())
    made.opened()
    made.receive(result({"text": ""}))
    made.append(SPEECH)
    made.commit()
    return [event for frame in frames for event in made.receive(frame)]


def test_a_partial_that_the_last_packet_does_not_repeat_is_final() -> None:
    partial = result({"text": "hello", "utterances": [{"text": "hello", "definite": False}]})
    last = result({"text": ""}, sequence=-3)
    assert heard(partial, last, partial) == [Heard("hello", False), Heard("hello", True), Finished()]


def test_text_without_segments_is_one_segment() -> None:
    whole = [result({"text": "hel"}), result({"text": "hello"}, sequence=-3)]
    assert heard(*whole) == [Heard("hel", False), Heard("hello", True), Finished()]
    assert heard(result([{"text": "hello"}], sequence=-2)) == [Heard("hello", True), Finished()]


def test_a_result_that_says_there_was_no_speech() -> None:
    assert heard(result({}, code=1013, message="no valid speech")) == [Finished()]
    assert heard(result({"text": "yes"}, code=20000000, sequence=-2)) == [Heard("yes", True), Finished()]
    (failed,) = heard(result({}, code=45000081))
    assert isinstance(failed, Failed)
    assert failed.failure.code == "cloud_idle"


def test_sound_does_not_wait_for_an_acknowledgement() -> None:
    made = SeedASR(Account(key=KEY, model=""), Setup())
    made.opened()
    made.append(SPEECH)
    made.commit()
    packets = [unpack(frame) for frame in made.frames() if isinstance(frame, bytes)]
    assert [packet.sequence for packet in packets if packet is not None] == [1, 2, 3, 4, 5, -6]


def test_the_last_packet_has_sound_wherever_there_is_some() -> None:
    made = SeedASR(Account(key=KEY, model=""), Setup())
    made.append(tone(200, 16_000))
    made.commit()
    made.opened()
    _, frame = made.frames()
    assert isinstance(frame, bytes)
    packet = unpack(frame)
    assert packet is not None
    assert (packet.sequence, packet.is_last, len(packet.payload)) == (-2, True, 6_400)
