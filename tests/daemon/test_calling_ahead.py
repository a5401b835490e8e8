"""Once the gate is open, whoever will be asked is called up while the owner still speaks; no sound leaves before the
turn is over."""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from agentbox.messages import Activation
from tests.daemon.cloud_box import CloudBox, cloud_box
from tests.daemon.test_cloud import CANNOT, KNOWN, UNKNOWN, config
from tests.realtime.servers.base import KEY
from tests.realtime.servers.openai import OpenAIServer, OpenAISession


@pytest.fixture(autouse=True)
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTBOX_STATE", str(tmp_path))
    monkeypatch.setenv("AGENTBOX_SECRET_FIRST", KEY)


def connected(box: CloudBox) -> bool:
    return any(one["connected"] for one in box.cloud.status())


ALONE = Activation(utterance_id="u", by="wake_phrase", phrase="hey computer", command="")


@pytest.mark.parametrize(("state", "message"), [("noticed", None), ("pressed", None), ("opened", ALONE)])
async def test_the_session_stands_when_the_turn_is_over(tmp_path: Path, state: str, message: Activation | None) -> None:
    async with OpenAIServer() as server, cloud_box(tmp_path, config(server.url, policy="cloud_first")) as box:
        box.core.events.emit("activation", state, utterance_id="u", message=message)
        await box.until(lambda: connected(box))
        assert server.kinds() == ["session.update"]
        assert server.sound == b""
        assert (await box.answered(await box.hear(KNOWN))).text == "All right."
        assert len(server.requests) == 1
        assert [row["reason"] for row in await box.egress()] == ["connect", "turn"]


async def test_a_turn_that_stays_in_the_box_leaves_no_more_than_the_session(tmp_path: Path) -> None:
    settings = config("", policy="cloud_first", linger_s=0.1)
    async with OpenAIServer() as server:
        settings["cloud"]["backends"][0]["url"] = server.url
        async with cloud_box(tmp_path, settings) as box:
            # A tool that is called by itself has no words, and concerns nobody.
            await box.core.call("stop", {})
            await asyncio.sleep(0.2)
            assert server.requests == []
            box.core.events.emit("activation", "noticed", utterance_id="u")
            await box.until(lambda: connected(box))
            await box.hear("stop")
            await box.until(lambda: server.closes == [1000])
            assert server.sound == b""
            assert [(row["reason"], row["seconds_out"]) for row in await box.egress()] == [("connect", 0), ("close", 0)]


async def test_with_local_first_only_a_talk_with_the_cloud_is_gone_on_with(tmp_path: Path) -> None:
    async with OpenAIServer() as server, cloud_box(tmp_path, config(server.url)) as box:
        box.core.events.emit("activation", "noticed", utterance_id="u")
        await asyncio.sleep(0.2)
        assert server.requests == []
        await box.answered(await box.hear(UNKNOWN))
        await box.quiet()
        for client in list(server.clients):
            await client.close(1001)
        await box.until(lambda: not connected(box))
        box.core.events.emit("activation", "noticed", utterance_id="u")
        await box.until(lambda: connected(box))
        assert len(server.requests) == 2


@pytest.mark.parametrize("cloud", [{"minutes_per_day": 0.0}, {"use": "local"}, {"quiet_hours": "00:00-23:59"}])
async def test_where_nobody_may_be_asked_nobody_is_called(tmp_path: Path, cloud: dict[str, Any]) -> None:
    async with OpenAIServer() as server:
        async with cloud_box(tmp_path, config(server.url, policy="cloud_first", **cloud)) as box:
            box.core.events.emit("activation", "noticed", utterance_id="u")
            await asyncio.sleep(0.2)
            assert await box.egress() == []
        assert server.requests == []


async def test_of_a_turn_that_was_noticed_and_not_meant_nothing_leaves(tmp_path: Path) -> None:
    words = "the xylophone of my grandmother"
    async with OpenAIServer() as server, cloud_box(tmp_path, config(server.url, policy="cloud_first")) as box:
        box.core.events.emit("activation", "noticed", utterance_id="u")
        await box.until(lambda: connected(box))
        turn = await box.hear(words, by=None)
        assert [one.state for one in box.told if one.utterance_id == turn] == ["not_activated"]
        # Whatever was sent before this has come when it is answered.
        assert (await box.answered(await box.hear(KNOWN, seconds=0.5))).text == "All right."
        assert len(server.requests) == 1
        assert len(server.sound) == 24_000  # of the second turn alone
        sent = json.dumps([*server.frames, str(server.requests[0].headers), server.requests[0].path])
        assert not [word for word in words.split() if len(word) > 3 and word in sent]
        assert [row["seconds_out"] for row in await box.egress_settled()] == [0.0, 0.5]


class Slow(OpenAIServer):
    """It greets nobody before it is `let`."""

    def __init__(self) -> None:
        super().__init__()
        self.let = asyncio.Event()

    async def session(self, client: Any) -> None:
        await self.let.wait()
        await OpenAISession(self, client).run()

    async def __aexit__(self, *error: Any) -> None:
        self.let.set()
        await super().__aexit__(*error)


async def test_a_turn_that_is_over_earlier_waits_for_the_same_session(tmp_path: Path) -> None:
    async with Slow() as server, cloud_box(tmp_path, config(server.url, policy="cloud_first")) as box:
        box.core.events.emit("activation", "noticed", utterance_id="u")
        await box.until(lambda: bool(server.clients))
        turn = asyncio.create_task(box.hear(UNKNOWN))
        await box.until(lambda: "final" in box.states("transcript"))
        assert not turn.done()
        server.let.set()
        assert (await box.answered(await turn)).text == "All right."
        assert len(server.requests) == 1


async def test_who_switches_to_local_meanwhile_is_not_connected(tmp_path: Path) -> None:
    async with Slow() as server, cloud_box(tmp_path, config(server.url, policy="cloud_first")) as box:
        box.core.events.emit("activation", "noticed", utterance_id="u")
        await box.until(lambda: bool(server.clients))
        await box.hear("switch to local")
        server.let.set()
        await box.until(lambda: not server.clients)
        assert not connected(box)
        assert [(row["reason"], row["outcome"]) for row in await box.egress()] == [("connect", "cancelled")]


async def test_what_fails_ahead_is_not_tried_again_for_the_turn(tmp_path: Path) -> None:
    async with OpenAIServer() as server, cloud_box(tmp_path, config(server.url, policy="cloud_first")) as box:
        server.refuses = HTTPStatus.SERVICE_UNAVAILABLE
        box.core.events.emit("activation", "noticed", utterance_id="u")
        turn = await box.hear(UNKNOWN)
        assert [reply.text for reply in box.replies(turn)] == [CANNOT]
        assert len(server.requests) == 1
        assert box.states("cloud") == ["cloud_down"]
