"""However many of those elsewhere fail one after the other, and however each of them does: the owner waits no longer
than for one."""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from agentbox.daemon import brain, cloud, cloud_answer, handover
from tests.daemon.cloud_box import cloud_box
from tests.daemon.test_cloud import CANNOT, SORRY, UNKNOWN
from tests.realtime.servers.base import KEY, Say
from tests.realtime.servers.chat import ChatServer
from tests.realtime.servers.openai import OpenAIServer, OpenAISession

FOREVER_S = 60.0


@pytest.fixture(autouse=True)
def limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has a limit of their own that would do: only what they have together."""
    monkeypatch.setenv("AGENTBOX_STATE", str(tmp_path))
    for name in ("A", "B", "C", "BRAIN"):
        monkeypatch.setenv(f"AGENTBOX_SECRET_{name}", KEY)
    monkeypatch.setattr(cloud, "CONNECT_S", 0.25)
    monkeypatch.setattr(cloud, "ALL_S", FOREVER_S)
    monkeypatch.setattr(cloud, "RECOGNISE_S", FOREVER_S)
    monkeypatch.setattr(brain, "FIRST_S", FOREVER_S)
    for name in ("LIFE_S", "GAP_S", "OUTPUT_S"):
        monkeypatch.setattr(cloud_answer, name, FOREVER_S)
    monkeypatch.setattr(handover, "ANSWER_S", 1.0)
    monkeypatch.setattr(handover, "ANYHOW_S", 1.0)
    monkeypatch.setattr(handover, "WORTH_S", 0.05)
    monkeypatch.setattr(cloud_answer, "LEAST_S", 0.05)


@pytest.fixture
def hole() -> Iterator[str]:
    """Host and port of somebody who takes whatever comes and says nothing."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        found.listen(32)
        yield f"127.0.0.1:{found.getsockname()[1]}"


class Mumbling(OpenAISession):
    """Shows that it is at work, again and again, and says nothing."""

    async def say(self, step: Say, item_id: str, place: dict[str, Any]) -> dict[str, Any]:
        for _ in itertools.count():
            part = place | {"content_index": 0}
            await self.tell(f"{self.server.audio}_transcript.delta", delta="er ", **part)
            await asyncio.sleep(0.01)
        return {}


class MumblingServer(OpenAIServer):
    async def session(self, client: Any) -> None:
        await Mumbling(self, client).run()


class SilentServer(OpenAIServer):
    """Acknowledges the session, and answers nothing."""

    async def session(self, client: Any) -> None:
        session = OpenAISession(self, client)
        session.on_response_create = session.on_input_audio_buffer_append  # type: ignore[method-assign]
        session.on_input_audio_buffer_commit = session.on_input_audio_buffer_append  # type: ignore[method-assign]
        await session.run()


KINDS = {
    "hole": ("openai", None),
    "mumbling": ("openai", MumblingServer),
    "silent": ("openai", SilentServer),
    "deaf": ("fun_asr", None),
    "dumb": ("openai_asr", SilentServer),
}


@pytest.mark.parametrize(
    ("backends", "text_model"),
    [
        ("hole", "hole"),
        ("hole hole hole", "hole"),
        ("mumbling", "hole"),
        ("silent", "hole"),
        ("hole silent", "none"),
        ("deaf", "hole"),
        ("deaf hole", "hole"),
        ("deaf silent", "none"),
        ("dumb", "hole"),
        ("dumb hole", "none"),
        ("", "hole"),
        ("", "stalls"),
    ],
)
async def test_the_box_answers_in_time(tmp_path: Path, hole: str, backends: str, text_model: str) -> None:
    async with AsyncExitStack() as stack:
        settings: dict[str, Any] = {"cloud": {"policy": "local_first", "backends": []}}
        for name, kind in zip("abc", backends.split(), strict=False):
            spoken, made = KINDS[kind]
            url = f"ws://{hole}/" if made is None else (await stack.enter_async_context(made())).url
            settings["cloud"]["backends"].append({"name": name, "kind": spoken, "url": url})
        if text_model != "none":
            url = f"http://{hole}/v1"
            if text_model == "stalls":
                chat = await stack.enter_async_context(ChatServer())
                chat.hold_events = 0
                url = chat.base_url
            settings["brain"] = {"kind": "compatible", "model": "m", "url": url}
        box = await stack.enter_async_context(cloud_box(tmp_path, settings))
        async with asyncio.timeout(10):
            turn = await box.hear(UNKNOWN)
        answers = {"silent", "hole", "mumbling", "stalls"} & {*backends.split(), text_model}
        assert [reply.text for reply in box.replies(turn)] == [CANNOT if answers else SORRY]
        assert all(row["outcome"].startswith("cloud_") for row in await box.egress() if row["reason"] == "turn")


async def test_a_box_that_was_slow_itself_asks_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handover, "ANSWER_S", -100.0)
    async with OpenAIServer() as server:
        backends = [{"name": "a", "kind": "openai", "url": server.url}]
        async with cloud_box(tmp_path, {"cloud": {"policy": "local_first", "backends": backends}}) as box:
            assert (await box.answered(await box.hear(UNKNOWN))).text == "All right."


async def test_where_no_time_is_left_nothing_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handover, "WORTH_S", FOREVER_S)
    async with OpenAIServer() as server:
        backends = [{"name": "a", "kind": "openai", "url": server.url}]
        backends.append({"name": "b", "kind": "openai_asr", "url": server.url})
        settings: dict[str, Any] = {"cloud": {"policy": "local_first", "backends": backends}}
        settings["brain"] = {"kind": "compatible", "model": "m", "url": "http://127.0.0.1:1/v1"}
        async with cloud_box(tmp_path, settings) as box:
            await box.hear(UNKNOWN)
            assert await box.egress() == []
            assert box.cloud.usable()
