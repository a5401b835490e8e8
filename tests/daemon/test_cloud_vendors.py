"""Every kind of backend through the switch: a turn, a tool of the box, and being spoken over, with the vendor's test
server, which its SDK is held to (tests/realtime)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from agentbox.config import Backend
from agentbox.messages import ToolResult, Transcript
from agentbox.realtime.backends import DIALOGS, KINDS, RECOGNISERS
from tests.daemon.cloud_box import cloud_box
from tests.realtime.servers.base import KEY, Call, Say, Step, VendorServer
from tests.realtime.servers.dashscope import DashScopeServer
from tests.realtime.servers.doubao import APP, DoubaoServer
from tests.realtime.servers.doubao_duplex import DoubaoDuplexServer
from tests.realtime.servers.gemini import GeminiServer
from tests.realtime.servers.openai import OpenAIServer
from tests.realtime.servers.qwen import QwenServer
from tests.realtime.servers.seed_asr import SeedASRServer
from tests.realtime.servers.stepfun import StepFunServer

UNKNOWN = "why is the sky blue"

SERVERS: dict[str, tuple[type[VendorServer], dict[str, Any]]] = {
    "openai": (OpenAIServer, {}),
    "qwen": (QwenServer, {}),
    "stepfun": (StepFunServer, {}),
    "stepfun_stateless": (StepFunServer, {}),
    "gemini": (GeminiServer, {}),
    "doubao": (DoubaoServer, {"app_id": APP}),
    "doubao_duplex": (DoubaoDuplexServer, {}),
}


WRITERS: dict[str, tuple[type[VendorServer], str]] = {
    "openai_asr": (OpenAIServer, ""),
    "fun_asr": (DashScopeServer, ""),
    "qwen_asr": (QwenServer, ""),
    "step_asr": (StepFunServer, "/asr/stream"),
    "seed_asr": (SeedASRServer, ""),
}
"""Recognisers: their servers, and what is added to the address."""


@pytest.fixture(autouse=True)
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTBOX_STATE", str(tmp_path))
    monkeypatch.setenv("AGENTBOX_SECRET_FIRST", KEY)


def config(kind: str, server: VendorServer) -> dict[str, Any]:
    backend = {"name": "first", "kind": kind, "url": server.url, **SERVERS[kind][1]}
    if kind == "stepfun_stateless":
        backend["url"] += "/stateless"
    return {"cloud": {"policy": "local_first", "backends": [backend]}}


def test_the_configuration_knows_every_kind() -> None:
    assert set(get_args(get_type_hints(Backend)["kind"])) == set(KINDS)
    assert set(DIALOGS) == set(SERVERS)
    assert set(RECOGNISERS) == set(WRITERS)


@pytest.mark.parametrize("kind", SERVERS)
async def test_two_turns(kind: str, tmp_path: Path) -> None:
    async with SERVERS[kind][0]() as server, cloud_box(tmp_path, config(kind, server)) as box:
        for _ in range(2):
            turn = await box.hear(UNKNOWN)
            reply = await box.answered(turn)
            assert (reply.text, reply.outcome, reply.speak) == ("All right.", "done", "never")
            await box.quiet()
            assert len(box.replies(turn)) == 1
        assert box.states("speaking") == ["started", "ended"] * 2
        assert {row["outcome"] for row in await box.egress_settled()} == {"ok"}


@pytest.mark.parametrize("kind", [kind for kind in SERVERS if kind != "doubao"])
async def test_a_tool_of_the_box(kind: str, tmp_path: Path) -> None:
    def script(number: int, results: Sequence[Any]) -> Sequence[Step]:
        return [Say("Five minutes it is.")] if results else [Call("start_timer", {"minutes": 5})]

    async with SERVERS[kind][0](script) as server, cloud_box(tmp_path, config(kind, server)) as box:
        reply = await box.answered(await box.hear(UNKNOWN))
        assert reply.text == "Five minutes it is."
        assert [one.message.tool for one in box.told if isinstance(one.message, ToolResult)] == ["start_timer"]


@pytest.mark.parametrize("kind", SERVERS)
async def test_being_spoken_over(kind: str, tmp_path: Path) -> None:
    def script(number: int, results: Sequence[Any]) -> Sequence[Step]:
        return [Say("Yes?")] if number else [Say("A long story.", 20_000)]

    async with SERVERS[kind][0](script) as server, cloud_box(tmp_path, config(kind, server), speed=4.0) as box:
        first = await box.hear(UNKNOWN)
        await box.until(lambda: box.speaking.heard)
        second = await box.hear(UNKNOWN)
        assert (await box.answered(second)).text == "Yes?"
        await box.until(lambda: bool(box.replies(first)))
        assert [len(box.replies(turn)) for turn in (first, second)] == [1, 1]
        assert box.states("speaking")[:2] == ["started", "stopped"]


@pytest.mark.parametrize("kind", WRITERS)
async def test_a_recogniser_hears_again_what_the_box_did_not_understand(kind: str, tmp_path: Path) -> None:
    server, path = WRITERS[kind][0](), WRITERS[kind][1]
    async with server:
        backend = {"name": "first", "kind": kind, "url": server.url + path, "app_id": APP if kind == "seed_asr" else ""}
        async with cloud_box(tmp_path, {"cloud": {"policy": "local_first", "backends": [backend]}}) as box:
            for _ in range(2):
                turn = await box.hear(UNKNOWN)
                [again] = [one for one in box.told if one.utterance_id == turn and one.state == "reheard"]
                assert isinstance(again.message, Transcript)
                assert again.message.text
                assert again.message.engine.startswith("first:")
                # What the test servers hear is no command; the box says so, and does not blame the cloud.
                assert len(box.replies(turn)) == 1
            await box.hear("set a timer for five minutes")
            assert box.states("transcript").count("reheard") == 2
            # A service that hangs up after each is called again.
            assert {row["outcome"] for row in await box.egress_settled()} <= {"ok", "cloud_closed"}
