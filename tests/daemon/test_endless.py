"""A cloud model that never ends its answer."""

from __future__ import annotations

import asyncio
import base64
import itertools
from pathlib import Path
from typing import Any

import pytest

from agentbox.daemon import cloud_answer
from agentbox.realtime import link as link_module
from agentbox.realtime.events import AnswerSound
from agentbox.realtime.failures import CloudError
from tests.daemon.cloud_box import cloud_box
from tests.daemon.test_cloud import UNKNOWN, config
from tests.realtime.servers.base import KEY, Say, tone
from tests.realtime.servers.openai import OpenAIServer, OpenAISession


@pytest.fixture(autouse=True)
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTBOX_STATE", str(tmp_path))
    monkeypatch.setenv("AGENTBOX_SECRET_FIRST", KEY)


class Talker(OpenAISession):
    """Says no end of what the server wants said, and heeds nobody."""

    async def say(self, step: Say, item_id: str, place: dict[str, Any]) -> dict[str, Any]:
        part = place | {"content_index": 0}
        for number in itertools.count():
            for kind, delta in self.server.deltas.items():  # type: ignore[attr-defined]
                await self.tell(f"{self.server.audio}{kind}.delta", delta=delta, **part)
            await asyncio.sleep(0 if number % 20 else 0.002)
        return {}

    async def on_response_cancel(self, message: dict[str, Any]) -> None: ...


class TalkerServer(OpenAIServer):
    def __init__(self, *, sound: bool, words: bool) -> None:
        super().__init__()
        self.deltas = {"": base64.b64encode(tone(100)).decode()} if sound else {}
        if words:
            self.deltas["_transcript"] = "and so on "

    async def session(self, client: Any) -> None:
        await Talker(self, client).run()


async def test_an_answer_without_end_is_ended_by_the_box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloud_answer, "LONGEST_S", 6.0)
    async with TalkerServer(sound=True, words=True) as server, cloud_box(tmp_path, config(server.url)) as box:
        turn = await box.hear(UNKNOWN)
        reply = await box.answered(turn)
        assert (reply.outcome, reply.speak) == ("done", "never")
        await box.quiet()
        # What came was said to its end, and no more was taken.
        [ended] = [one for one in box.told if one.stage == "speaking" and one.state == "ended"]
        assert ended.timings["heard_ms"] == pytest.approx(6_000, abs=200)
        assert "response.cancel" in server.kinds()
        await box.until(lambda: not server.clients)
        assert "cloud_endless" in box.states("cloud")
        row = next(row for row in await box.egress() if row["reason"] == "turn")
        assert row["outcome"] == "cloud_endless"
        # It is no reason to ask somebody else the next time.
        assert box.cloud.usable()
        assert len(box.replies(turn)) == 1


@pytest.mark.parametrize("spoken", [True, False])
async def test_words_without_end_are_ended_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoken: bool) -> None:
    monkeypatch.setattr(cloud_answer, "MOST_LETTERS", 2_000)
    async with TalkerServer(sound=spoken, words=True) as server, cloud_box(tmp_path, config(server.url)) as box:
        if spoken:
            turn = await box.hear(UNKNOWN)
            reply = await box.answered(turn)
        else:
            asked = await asyncio.wait_for(box.core.ask(UNKNOWN), 10)
            assert asked is not None
            reply = asked
        assert 1_990 <= len(reply.text) <= 2_000
        await box.until(lambda: not server.clients)


async def test_sound_that_nobody_takes_does_not_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "MOST_BYTES", 480_000)
    async with TalkerServer(sound=True, words=False) as server, cloud_box(tmp_path, config(server.url)) as box:
        backend = box.cloud.backends[0]
        link = await backend.ready(5.0)
        link.dialog.write("Go on.")
        link.flush()
        await box.until(lambda: link.broken is not None)
        left = link._events.qsize()
        events = [await link.next(5.0) for _ in range(left)]
        assert 0 < sum(len(event.pcm) for event in events if isinstance(event, AnswerSound)) <= 480_000
        with pytest.raises(CloudError, match="speaks otherwise"):
            await link.next(5.0)
        await box.until(lambda: not server.clients)


async def test_sound_that_is_taken_may_be_as_long_as_it_likes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "MOST_BYTES", 48_000)
    script = lambda number, results: [Say("A story.", 4_000)]  # noqa: E731
    async with OpenAIServer(script, piece_s=0.005) as server, cloud_box(tmp_path, config(server.url)) as box:
        assert (await box.answered(await box.hear(UNKNOWN))).text == "A story."
