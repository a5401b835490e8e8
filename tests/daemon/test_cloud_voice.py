"""Answers in a cloud voice: through the mixer, with the vendors' test servers,
which their SDK is held to (tests/realtime)."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from agentbox.daemon.streams import written
from agentbox.messages import Reply
from agentbox.realtime.backends import VOICES
from tests.daemon.cloud_box import cloud_box
from tests.daemon.cloud_voice_talks import ANSWER, KNOWN, LONG, SENTENCES, SERVERS, answer, config, heard_ms, texts
from tests.realtime.servers.base import KEY
from tests.realtime.servers.dashscope import DashScopeServer
from tests.realtime.servers.qwen import QwenServer


@pytest.fixture(autouse=True)
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTBOX_STATE", str(tmp_path))
    monkeypatch.setenv("AGENTBOX_SECRET_FIRST", KEY)


def test_every_voice_is_here() -> None:
    assert set(SERVERS) == set(VOICES)


@pytest.mark.parametrize("kind", SERVERS)
async def test_answers_are_said_by_the_cloud_voice(kind: str, tmp_path: Path) -> None:
    make, letter_ms = SERVERS[kind]
    async with make() as server, cloud_box(tmp_path, config(server.url, kind)) as box:
        turn = await box.hear(KNOWN)
        await box.quiet()
        answer(box, LONG)
        await box.quiet()
        assert texts(server) == [ANSWER, *SENTENCES]
        assert box.voice.said == []
        assert box.states("speaking") == ["started", "ended"] * 2
        seconds = [len("".join(said)) * letter_ms / 1000 for said in ([ANSWER], SENTENCES)]
        assert heard_ms(box) == pytest.approx([each * 1000 for each in seconds], abs=20)
        assert len(server.requests) == 1  # the second answer goes over the same connection
        rows = [row for row in await box.egress() if row["reason"] == "reply"]
        assert [row["turn_id"] for row in rows] == [turn, "1"]
        assert [(row["backend"], row["outcome"], row["seconds_out"]) for row in rows] == [("first", "ok", 0.0)] * 2
        assert [row["seconds_in"] for row in rows] == pytest.approx(seconds, abs=0.001)
        if kind != "step_tts":  # which does not tell what it bills
            assert [row["units"]["characters"] for row in rows] == [len(ANSWER), len("".join(SENTENCES))]
        assert {row["reason"] for row in await box.egress()} == {"connect", "reply"}


@pytest.mark.parametrize("kind", SERVERS)
async def test_being_spoken_over(kind: str, tmp_path: Path) -> None:
    make, _ = SERVERS[kind]
    server = make(piece_s=0.01)
    async with server, cloud_box(tmp_path, config(server.url, kind), speed=2.0) as box:
        answer(box, "A story that goes on and on without an end. " * 20)
        await box.until(lambda: box.speaking.heard)
        assert box.speaking.hold()
        box.speaking.go_on()
        assert box.speaking.hush()
        await box.quiet()
        await box.hear(KNOWN)
        await box.quiet()
        assert box.states("speaking") == ["started", "paused", "resumed", "stopped", "started", "ended"]
        assert texts(server)[-1] == ANSWER
        assert len(texts(server)) <= 4  # not the whole story was sent
        assert box.voice.said == []
        assert {row["outcome"] for row in await box.egress_settled()} == {"ok"}


async def test_what_is_still_being_written_is_said_by_it_too(tmp_path: Path) -> None:
    async with DashScopeServer() as server, cloud_box(tmp_path, config(server.url)) as box:
        narration = box.speaking.narrate(Reply(utterance_id="1", text="", sound="done", outcome="done"))
        assert narration is not None
        narration.add_words("The first one is here. The sec")
        await box.until(lambda: box.speaking.heard)
        narration.add_words("ond one follows it. And the third one is the last of them.")
        narration.finish()
        await box.quiet()
        assert texts(server) == SENTENCES
        assert narration.heard_text() == LONG
        assert box.voice.said == []


async def test_what_is_said_unasked_or_typed_does_not_leave(tmp_path: Path) -> None:
    async with DashScopeServer() as server, cloud_box(tmp_path, config(server.url)) as box:
        rings = Reply(utterance_id="", text="Your timer is done.", sound="timer", outcome="alert")
        box.core.events.emit("reply", "alert", message=rings)
        await box.quiet()
        await box.core.ask(KNOWN)
        await box.quiet()
        assert box.voice.said == ["Your timer is done."]
        assert server.requests == []
        assert await box.egress() == []


async def test_with_local_only_nothing_leaves(tmp_path: Path) -> None:
    async with DashScopeServer() as server, cloud_box(tmp_path, config(server.url, policy="local_only")) as box:
        await box.hear(KNOWN)
        await box.quiet()
        assert box.voice.said == [ANSWER]
        assert server.requests == []


async def test_switched_to_local_and_in_quiet_hours_the_box_speaks(tmp_path: Path) -> None:
    async with DashScopeServer() as server, cloud_box(tmp_path, config(server.url, quiet_hours="22:00-07:00")) as box:
        box.cloud._clock = lambda: datetime(2026, 11, 22, 23, 0)  # noqa: DTZ001 - a clock on the wall
        answer(box, "It is late.")
        await box.quiet()
        box.cloud._clock = lambda: datetime(2026, 11, 23, 8, 0)  # noqa: DTZ001 - a clock on the wall
        box.cloud.use("local")
        answer(box, "It is early.")
        await box.quiet()
        assert box.voice.said == ["It is late.", "It is early."]
        assert server.requests == []
        box.cloud.use("first")
        answer(box, "It is day.")
        await box.quiet()
        assert texts(server) == ["It is day."]


async def test_when_the_days_budget_is_spent_the_box_speaks(tmp_path: Path) -> None:
    settings = config("", minutes_per_day=0.003)
    async with DashScopeServer() as server:
        settings["cloud"]["backends"][0]["url"] = server.url
        async with cloud_box(tmp_path, settings) as box:
            for text in ("It is noon.", "It is one."):
                answer(box, text)
                await box.quiet()
            assert texts(server) == ["It is noon."]
            assert box.voice.said == ["It is one."]


async def test_a_voice_that_is_taken_away_in_the_midst_is_no_failure(tmp_path: Path) -> None:
    async with DashScopeServer(piece_s=0.05) as server, cloud_box(tmp_path, config(server.url), speed=1.0) as box:
        answer(box, LONG)
        await box.until(lambda: box.speaking.heard)
        box.cloud.use("local")
        await box.quiet()
        assert box.voice.said[-1] == SENTENCES[-1]
        assert box.cloud.status()[0]["problem"] is None
        assert box.states("speaking") == ["started", "ended"]


async def test_a_reload_in_the_midst_of_an_answer_leaves_nothing_stuck(tmp_path: Path) -> None:
    async with DashScopeServer(piece_s=0.05) as server, cloud_box(tmp_path, config(server.url), speed=1.0) as box:
        answer(box, LONG)
        await box.until(lambda: box.speaking.heard)
        await box.core._close_models()
        await box.quiet()
        await box.until(lambda: not server.clients)
        assert box.states("speaking") == ["started", "stopped"]
        assert len(server.requests) == 1


async def test_a_voice_alone_is_nobody_to_ask(tmp_path: Path) -> None:
    async with DashScopeServer() as server, cloud_box(tmp_path, config(server.url, policy="cloud_first")) as box:
        turn = await box.hear("why is the sky blue")
        assert [reply.text for reply in box.replies(turn)] == ["Sorry, I did not understand that."]
        assert not box.cloud.answers


async def test_who_the_box_is_does_not_go_to_a_voice(tmp_path: Path) -> None:
    settings = config("", kind="qwen_tts") | {"persona": {"text": "You are a pirate."}}
    async with QwenServer() as server:
        settings["cloud"]["backends"][0] |= {"url": server.url, "model": "qwen3-tts-flash-realtime"}
        async with cloud_box(tmp_path, settings) as box:
            assert box.cloud.backends[0]._setup(box.cloud.backends[0].settings).instructions == ""
            await box.cloud.backends[0].probe(5.0, "test")
        assert "pirate" not in str(server.frames)


async def test_a_text_gives_back_what_was_not_said() -> None:
    text = written(LONG)
    taken = [await text.next_sentence(), await text.next_sentence()]
    assert taken == SENTENCES[:2]
    text.give_back(["The rest.", SENTENCES[1]])
    assert [await text.next_sentence() for _ in range(4)] == ["The rest.", *SENTENCES[1:], None]
    assert await text.next_sentence() is None
