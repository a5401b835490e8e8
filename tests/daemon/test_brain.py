"""A text model answers what no sentence matches, in the box's own voice. The servers are those that the vendors' SDKs
are held to (tests/realtime)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from agentbox.daemon.streams import Narration
from agentbox.messages import ToolResult
from tests.daemon.cloud_box import CloudBox, cloud_box
from tests.realtime.servers.anthropic import AnthropicServer
from tests.realtime.servers.chat import ChatServer
from tests.realtime.servers.http import KEY, MODEL, Call, Say, Step, TextServer

UNKNOWN = "why is the sky blue"
CANNOT = "I can't reach the cloud right now, and I don't know that by myself."


@pytest.fixture(autouse=True)
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTBOX_STATE", str(tmp_path))
    monkeypatch.setenv("AGENTBOX_SECRET_BRAIN", KEY)


def config(server: TextServer, kind: str = "compatible", **brain: Any) -> dict[str, Any]:
    url = server.base_url if isinstance(server, ChatServer) else server.url
    return {"brain": {"kind": kind, "model": MODEL, "url": url, **brain}}


def tools(box: CloudBox) -> list[str]:
    return [one.message.tool for one in box.told if isinstance(one.message, ToolResult)]


@pytest.mark.parametrize(("server", "kind"), [(ChatServer, "compatible"), (AnthropicServer, "anthropic")])
async def test_what_no_sentence_matches_is_answered_and_said(
    server: type[TextServer], kind: str, tmp_path: Path
) -> None:
    script = lambda number, results: [Say("Light scatters. The blue of it most.")]  # noqa: E731
    async with server(script) as running, cloud_box(tmp_path, config(running, kind)) as box:
        turn = await box.hear(UNKNOWN)
        reply = await box.answered(turn)
        assert (reply.text, reply.speak) == ("Light scatters. The blue of it most.", "never")
        await box.quiet()
        assert box.states("speaking") == ["started", "ended"]
        [row] = await box.egress()
        assert (row["backend"], row["reason"], row["outcome"], row["turn_id"]) == ("brain", "turn", "ok", turn)
        assert row["bytes_out"] > 100
        assert row["units"]


@pytest.mark.parametrize(
    ("emotion", "event", "note"),
    [
        ("angry", "speech", "By the voice, the speaker of what follows is angry. Take that into account"),
        ("neutral", "laughter", "Heard besides the words: laughter. Take that into account"),
        ("sad", "music", "the speaker of what follows is sad. Heard besides the words: music."),
        ("neutral", "speech", None),
        (None, None, None),
    ],
)
async def test_it_is_told_how_something_was_said(
    emotion: str | None, event: str | None, note: str | None, tmp_path: Path
) -> None:
    async with ChatServer() as server, cloud_box(tmp_path, config(server)) as box:
        await box.answered(await box.hear(UNKNOWN, emotion=emotion, sound_event=event))
        said = server.posted[-1].body["messages"][-1]["content"]
        assert said.endswith(UNKNOWN)
        assert said == UNKNOWN if note is None else note in said


async def test_what_the_box_knows_it_answers_itself(tmp_path: Path) -> None:
    async with ChatServer() as server, cloud_box(tmp_path, config(server)) as box:
        assert (await box.answered(await box.hear("set a timer for five minutes"))).text == "Timer set for 5 minutes."
        assert server.posted == []


async def test_with_local_only_a_model_elsewhere_is_not_asked(tmp_path: Path) -> None:
    settings = {"brain": {"kind": "compatible", "model": MODEL, "url": "https://brain.example.net/v1"}}
    async with cloud_box(tmp_path, settings) as box:
        reply = await box.answered(await box.hear(UNKNOWN))
        assert reply.text == "Sorry, I did not understand that."
        assert await box.egress() == []


async def test_it_uses_the_boxs_tools(tmp_path: Path) -> None:
    def script(number: int, results: Sequence[Any]) -> Sequence[Step]:
        return [Say("Five minutes it is.")] if results else [Call("start_timer", {"minutes": 5})]

    async with ChatServer(script) as server, cloud_box(tmp_path, config(server)) as box:
        reply = await box.answered(await box.hear(UNKNOWN))
        assert reply.text == "Five minutes it is."
        assert tools(box) == ["start_timer"]
        assert await box.core.journal.settled()
        turn = box.core.journal.get(reply.utterance_id)
        assert turn is not None
        assert [call["caller"] for call in turn["tool_calls"]] == ["brain"]


async def test_what_a_tool_did_is_reported_when_the_model_fails_after_it(tmp_path: Path) -> None:
    def script(number: int, results: Sequence[Any]) -> Sequence[Step]:
        server.raw = b"HTTP/1.1 503 Down\r\nContent-Length: 0\r\n\r\n"  # of the next request
        return [Call("start_timer", {"minutes": 5})]

    server = ChatServer(script)
    async with server, cloud_box(tmp_path, config(server)) as box:
        turn = await box.hear(UNKNOWN)
        assert (await box.answered(turn)).text == "Timer set for 5 minutes."
        assert tools(box) == ["start_timer"]
        assert len(box.replies(turn)) == 1


async def test_a_risky_tool_is_asked_about(tmp_path: Path) -> None:
    water = {"name": "water", "argv": ["true"], "answer": "The plants are watered."}
    settings = {"tools": {"command": {"enabled": True, "commands": [water]}}}
    server = ChatServer(lambda number, results: [Call("water", {})])
    async with server, cloud_box(tmp_path, config(server) | settings) as box:
        turn = await box.hear(UNKNOWN)
        assert [reply.outcome for reply in box.replies(turn)] == ["question"]
        assert (await box.answered(await box.hear("yes"))).text == "The plants are watered."
        assert len(server.posted) == 1


async def test_a_model_that_cannot_be_reached_is_told_of(tmp_path: Path) -> None:
    async with ChatServer() as server:
        settings = config(server)
    async with cloud_box(tmp_path, settings) as box:
        turn = await box.hear(UNKNOWN)
        assert [reply.text for reply in box.replies(turn)] == [CANNOT]
        assert box.states("cloud") == ["cloud_unreachable"]


async def test_speaking_over_it_silences_it_and_it_knows_what_was_heard(tmp_path: Path) -> None:
    sentences = [f"This is sentence number {number}." for number in range(40)]
    script = lambda number, results: [Say("Yes?" if number else " ".join(sentences))]  # noqa: E731
    async with ChatServer(script) as server, cloud_box(tmp_path, config(server), speed=4.0) as box:
        first = await box.hear(UNKNOWN)
        await box.until(lambda: box.speaking.heard)
        await asyncio.sleep(0.3)
        second = await box.hear("and why is it red in the evening")
        assert (await box.answered(second)).text == "Yes?"
        told = server.posted[-1].body["messages"]
        heard = [message["content"] for message in told if message["role"] == "assistant"][-1]
        assert heard.startswith("This is sentence")
        assert "number 30" not in heard
        assert len(box.replies(first)) == 1


async def test_a_conversation_goes_on_until_it_is_forgotten(tmp_path: Path) -> None:
    async with ChatServer() as server, cloud_box(tmp_path, config(server, forget_s=0.0)) as box:
        for _ in range(2):
            await box.answered(await box.hear(UNKNOWN))
            await box.quiet()
        assert [message["role"] for message in server.posted[-1].body["messages"]] == ["system", "user"]
    async with ChatServer() as server, cloud_box(tmp_path, config(server)) as box:
        for _ in range(2):
            await box.answered(await box.hear(UNKNOWN))
            await box.quiet()
        roles = [message["role"] for message in server.posted[-1].body["messages"]]
        assert roles == ["system", "user", "assistant", "user"]


async def test_a_written_turn_is_answered_in_writing(tmp_path: Path) -> None:
    async with ChatServer() as server, cloud_box(tmp_path, config(server)) as box:
        reply = await box.core.ask(UNKNOWN)
        assert reply is not None
        assert reply.text
        assert box.states("speaking") == []


async def test_of_a_text_that_was_cut_off_the_words_that_were_heard_are_known() -> None:
    narration = Narration()
    narration._said = [("One two.", 1000.0), ("Three four five six.", 2000.0), ("Seven.", 500.0)]
    for heard_ms, words in ((0.0, ""), (1000.0, "One two."), (2000.0, "One two. Three four"), (9000.0, None)):
        narration.heard_ms = heard_ms
        assert narration.heard_text() == (words if words is not None else "One two. Three four five six. Seven.")


async def test_a_model_that_stalls_in_the_midst_does_not_keep_the_owner_waiting(tmp_path: Path) -> None:
    script = lambda number, results: [Say("First. Second. " * 10)] if not number else [Say("Yes?")]  # noqa: E731
    async with ChatServer(script) as server, cloud_box(tmp_path, config(server)) as box:
        server.hold_events = 4
        first = await box.hear(UNKNOWN)
        await box.until(lambda: box.speaking.heard)
        server.hold_events = None
        second = await box.hear(UNKNOWN)
        assert (await box.answered(second)).text == "Yes?"
        assert [len(box.replies(turn)) for turn in (first, second)] == [1, 1]
        assert box.replies(first)[0].text.startswith("First.")


async def test_switched_to_local_nothing_is_asked_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands on this machine is no cloud; here it is taken for one elsewhere."""
    monkeypatch.setattr("agentbox.daemon.making_cloud.is_loopback", lambda url: False)
    backend = {"name": "first", "kind": "openai", "url": "ws://127.0.0.1:1/"}
    async with ChatServer() as server:
        settings = config(server, url=server.base_url.replace("http:", "https:"))
        settings["cloud"] = {"policy": "local_first", "backends": [backend]}
        async with cloud_box(tmp_path, settings) as box:
            await box.hear("switch to local")
            turn = await box.hear(UNKNOWN)
            assert [reply.text for reply in box.replies(turn)] == ["Sorry, I did not understand that."]
        assert server.connections == 0
        assert [row["backend"] for row in await box.egress() if row["backend"] == "brain"] == []


async def test_a_tool_that_takes_long_is_brought_to_its_end_and_told_of(tmp_path: Path) -> None:
    slow = {"name": "slow", "argv": ["sleep", "1.5"], "answer": "It is done at last."}
    settings = {
        "tools": {
            "command": {"enabled": True, "commands": [slow]},
            "policy": {"slow": {"brain": "allow"}},
        }
    }

    def script(number: int, results: Sequence[Any]) -> Sequence[Step]:
        return [Say("Yes?")] if number else [Say("I will. Now then. And so on."), Call("slow", {})]

    async with ChatServer(script) as server, cloud_box(tmp_path, config(server) | settings) as box:
        first = await box.hear(UNKNOWN)
        await box.until(lambda: "started" in box.states("tool_call"))
        second = await box.hear(UNKNOWN)
        assert (await box.answered(second)).text == "Yes?"
        await box.until(lambda: bool(box.replies(first)))
        assert [reply.text for reply in box.replies(first)] == ["It is done at last."]
        assert tools(box) == ["slow"]
