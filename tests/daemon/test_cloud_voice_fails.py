"""A cloud voice that fails, at any point: the box's own says what it did not. Servers: as in test_cloud_voice."""

from __future__ import annotations

import socket
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentbox.daemon import cloud_voice
from agentbox.daemon.cloud_voice import Pace
from agentbox.errors import ModelError
from agentbox.messages import Reply
from tests.daemon.cloud_box import cloud_box
from tests.daemon.cloud_voice_talks import ANSWER, KNOWN, LONG, SENTENCES, SERVERS, answer, config, heard_ms, texts
from tests.realtime.servers.base import KEY, send
from tests.realtime.servers.dashscope import MS_A_LETTER, DashScopeServer


@pytest.fixture(autouse=True)
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTBOX_STATE", str(tmp_path))
    monkeypatch.setenv("AGENTBOX_SECRET_FIRST", KEY)


def nowhere() -> str:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return f"ws://127.0.0.1:{found.getsockname()[1]}/"


async def test_a_voice_that_cannot_be_reached_leaves_the_answer_to_the_boxs_own(tmp_path: Path) -> None:
    async with cloud_box(tmp_path, config(nowhere())) as box:
        for _ in range(2):
            await box.hear(KNOWN)
            await box.quiet()
        assert box.voice.said[0] == ANSWER
        assert box.states("speaking") == ["started", "ended"] * 2
        rows = [row for row in await box.egress() if row["reason"] != "probe"]
        assert [(row["reason"], row["outcome"]) for row in rows] == [("connect", "cloud_unreachable")]


async def test_a_refused_key_is_told_once(tmp_path: Path) -> None:
    async with DashScopeServer() as server, cloud_box(tmp_path, config(server.url)) as box:
        server.refuses = HTTPStatus.UNAUTHORIZED
        for number in range(3):
            answer(box, f"It is {number}.")
            await box.quiet()
        assert box.states("notice") == ["cloud_key"]
        assert box.voice.said == ["It is 0.", "It is 1.", "It is 2."]
        assert len(server.requests) == 1


@pytest.mark.parametrize("trouble", [{"is_mute": True}, {"piece_s": 60.0}, {"fails": ("Throttling", "slow down")}])
async def test_a_voice_without_a_first_sound_leaves_the_answer_to_the_boxs_own(
    trouble: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloud_voice, "SILENT_S", 0.3)
    async with DashScopeServer(**trouble) as server, cloud_box(tmp_path, config(server.url)) as box:
        answer(box, LONG)
        await box.quiet()
        assert box.voice.said == SENTENCES
        assert box.states("speaking") == ["started", "ended"]
        assert heard_ms(box) == pytest.approx([len("".join(SENTENCES)) * MS_A_LETTER], abs=20)
        [row] = [row for row in await box.egress() if row["reason"] == "reply"]
        assert row["outcome"] in ("cloud_silent", "cloud_busy")
        assert box.cloud.status()[0]["problem"] == row["outcome"]


class Dying(DashScopeServer):
    """Its voice breaks off after so many pieces of sound, of 100 ms; `hangs`: without a word."""

    def __init__(self, pieces: int, *, hangs: bool = False) -> None:
        super().__init__()
        self.left = pieces
        self.hangs = hangs

    async def session(self, client: Any) -> None:
        tell = client.send

        async def send(frame: str | bytes) -> None:
            if isinstance(frame, bytes):
                self.left -= 1
            if self.left >= 0:
                await tell(frame)
            elif not self.hangs:
                client.transport.abort()

        client.send = send
        await super().session(client)


def letters(sentences: list[str]) -> str:
    return "".join("".join(sentences).split())


@pytest.mark.parametrize("hangs", [False, True])
async def test_the_boxs_own_voice_goes_on_where_the_cloud_voice_breaks_off(
    hangs: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if hangs:
        monkeypatch.setattr(cloud_voice, "SILENT_S", 2.0)
    # Of the first sentence all pieces (5), of the second the first 200 ms: ten letters, "The second".
    server = Dying(7, hangs=hangs)
    async with server, cloud_box(tmp_path, config(server.url)) as box:
        answer(box, LONG)
        await box.quiet()
        assert box.voice.said == ["one follows it.", SENTENCES[2]]
        assert letters([SENTENCES[0], "The second", *box.voice.said]) == letters(SENTENCES)
        assert box.states("speaking") == ["started", "ended"]
        # Nothing is lost, and nothing but a space is said by nobody.
        assert heard_ms(box) == pytest.approx([(len("".join(SENTENCES)) - 1) * MS_A_LETTER], abs=20)
        assert [one.state for one in box.told if one.stage == "cloud"][:2] == [
            "voiced",
            "cloud_silent" if hangs else "cloud_closed",
        ]
        assert box.states("notice") == []


async def test_what_was_heard_of_it_is_told_across_both_voices(tmp_path: Path) -> None:
    async with Dying(7) as server, cloud_box(tmp_path, config(server.url)) as box:
        narration = box.speaking.narrate(Reply(utterance_id="1", text="", sound="done", outcome="done"))
        assert narration is not None
        narration.add_words(LONG)
        narration.finish()
        await box.quiet()
        assert narration.heard_text() == LONG


class Forgetful(DashScopeServer):
    """It hangs up on the second task of its first client."""

    async def session(self, client: Any) -> None:
        hear = client.recv

        async def recv() -> Any:
            frame = await hear()
            if len(self.requests) == 1 and len(self.sent("run-task")) == 1 and "run-task" in frame:
                client.transport.abort()
            return frame

        client.recv = recv
        await super().session(client)


@pytest.mark.parametrize("server", [DashScopeServer(), Forgetful()])
async def test_a_service_that_has_hung_up_meanwhile_is_called_again(server: DashScopeServer, tmp_path: Path) -> None:
    async with server, cloud_box(tmp_path, config(server.url)) as box:
        answer(box, "It is noon.")
        await box.quiet()
        if not isinstance(server, Forgetful):
            for client in server.clients:
                client.transport.abort()
            await box.until(lambda: not server.clients)
        answer(box, "It is one.")
        await box.quiet()
        assert texts(server)[-1] == "It is one."
        assert box.voice.said == []
        assert len(server.requests) == 2
        assert box.cloud.status()[0]["problem"] is None


FAREWELLS: dict[str, dict[str, Any]] = {
    "qwen_tts": {"event_id": "e", "type": "session.finished"},
    "step_tts": {"event_id": "e", "type": "tts.response.audio.done", "data": {"session_id": "sess_1", "audio": ""}},
}


@pytest.mark.parametrize("kind", FAREWELLS)
async def test_a_service_that_said_goodbye_unasked_is_called_again(kind: str, tmp_path: Path) -> None:
    async with SERVERS[kind][0]() as server, cloud_box(tmp_path, config(server.url, kind)) as box:
        answer(box, "It is noon.")
        await box.quiet()
        for client in list(server.clients):
            await send(client, FAREWELLS[kind])
            await client.close()
        await box.until(lambda: not server.clients)
        answer(box, "It is one.")
        await box.quiet()
        assert texts(server) == ["It is noon.", "It is one."]
        assert box.voice.said == []
        assert len(server.requests) == 2
        assert box.cloud.status()[0]["problem"] is None


class Deaf(DashScopeServer):
    """It never starts a task."""

    async def session(self, client: Any) -> None:
        async for _ in client:
            pass


@pytest.mark.parametrize("way", ["hushed", "closed"])
async def test_an_answer_that_is_stopped_while_it_is_connected_leaves_nothing_behind(way: str, tmp_path: Path) -> None:
    async with Deaf() as server, cloud_box(tmp_path, config(server.url)) as box:
        answer(box, "It is noon.")
        await box.until(lambda: bool(server.clients))
        if way == "hushed":
            box.speaking.hush()
        else:
            await box.core._close_models()
        await box.quiet()
        await box.until(lambda: not server.clients)
        assert box.states("speaking") == ["stopped"]
        assert box.cloud.status()[0]["problem"] is None
        [row] = await box.egress()
        assert (row["reason"], row["outcome"]) == ("connect", "cancelled")


async def test_what_one_vendor_finds_improper_no_other_is_sent(tmp_path: Path) -> None:
    fails = ("DataInspectionFailed", "Output data may contain inappropriate content.")
    async with DashScopeServer(fails=fails) as server, DashScopeServer() as other:
        settings = config(server.url)
        settings["cloud"]["backends"].append({"name": "second", "kind": "cosyvoice", "url": other.url, "key": "first"})
        async with cloud_box(tmp_path, settings) as box:
            answer(box, "It is noon.")
            await box.quiet()
            assert box.voice.said == ["It is noon."]
            assert other.requests == []
            assert box.cloud.status()[0]["problem"] is None


async def test_where_the_first_voice_cannot_be_reached_the_second_speaks(tmp_path: Path) -> None:
    async with DashScopeServer() as server:
        settings = config(nowhere())
        settings["cloud"]["backends"].append({"name": "second", "kind": "cosyvoice", "url": server.url, "key": "first"})
        async with cloud_box(tmp_path, settings) as box:
            answer(box, "It is noon.")
            await box.quiet()
            assert texts(server) == ["It is noon."]
            assert box.voice.said == []


async def test_where_the_box_has_no_voice_of_its_own_the_cloud_voice_speaks(tmp_path: Path) -> None:
    def none(*_: object) -> Any:
        raise ModelError("voice_missing", "None.", "Install one.")

    async with DashScopeServer() as server, cloud_box(tmp_path, config(server.url)) as box:
        box.speaking._load = none
        box.speaking.configure(box.speaking._config)
        answer(box, "It is noon.")
        await box.quiet()
        assert texts(server) == ["It is noon."]
        assert box.speaker.sounds == []
        server.refuses = HTTPStatus.SERVICE_UNAVAILABLE
        box.cloud.backends[0].abandon()
        answer(box, "It is one.")
        await box.quiet()
        assert [name for name, *_ in box.speaker.sounds] == ["done"]


@given(st.text("abc , 你好。", min_size=1), st.floats(0, 5_000), st.floats(0, 5_000))
def test_the_rest_of_a_sentence_begins_with_the_word_that_did_not_come(sentence: str, one: float, other: float) -> None:
    sentence = sentence.strip()
    more, less = (Pace().rest(sentence, came_ms) for came_ms in sorted((one, other)))
    assert sentence.endswith(more)
    assert more.endswith(less)
    assert Pace().rest(sentence, 0.0) in (sentence, "")  # it holds nothing that can be said
    before = sentence[: len(sentence) - len(more)]
    if more and before:
        assert before[-1] in " 你好。" or more[0] in "你好。"


def test_the_rest_is_told_by_the_voices_own_pace() -> None:
    pace = Pace()
    assert pace.rest("你好你好你好", 1.0 + 6 * cloud_voice.LETTER_MS) == "你好你好"
    pace.learn("It is noon.", 1_100)
    assert pace.rest("The first one is here.", 1_099) == "one is here."
    assert pace.rest("The first one is here.", 1_301) == "is here."
    assert pace.rest("The first one is here.", 5_000) == ""
