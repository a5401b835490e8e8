"""The switch: turns that go to a cloud model and come back, whatever happens on the way. The server is OpenAI's double,
which the vendor's own SDK is held to (tests/realtime)."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agentbox.messages import ToolResult
from tests.daemon.cloud_box import CloudBox, cloud_box
from tests.realtime.servers.base import KEY, Call, Say, Step
from tests.realtime.servers.openai import OpenAIServer

UNKNOWN = "why is the sky blue"
KNOWN = "set a timer for five minutes"
SORRY = "Sorry, I did not understand that."
CANNOT = "I can't reach the cloud right now, and I don't know that by myself."


@pytest.fixture(autouse=True)
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTBOX_STATE", str(tmp_path))
    monkeypatch.setenv("AGENTBOX_SECRET_FIRST", KEY)
    monkeypatch.setenv("AGENTBOX_SECRET_SECOND", KEY)


def config(*urls: str, **cloud: Any) -> dict[str, Any]:
    names = ("first", "second")
    backends = [{"name": name, "kind": "openai", "url": url} for name, url in zip(names, urls, strict=False)]
    return {"cloud": {"policy": "local_first", "backends": backends, **cloud}}


def nowhere() -> str:
    """An address where nobody listens."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return f"ws://127.0.0.1:{found.getsockname()[1]}/v1/realtime"


def tools(box: CloudBox) -> list[str]:
    return [one.message.tool for one in box.told if isinstance(one.message, ToolResult)]


async def test_what_no_sentence_matches_is_answered_by_the_cloud(tmp_path: Path) -> None:
    async with OpenAIServer() as server, cloud_box(tmp_path, config(server.url)) as box:
        turn = await box.hear(UNKNOWN)
        reply = await box.answered(turn)
        assert (reply.text, reply.outcome, reply.speak) == ("All right.", "done", "never")
        await box.quiet()
        assert box.states("speaking") == ["started", "ended"]
        # A second of sound, from 16 kHz to its 24.
        assert len(server.sound) == 48_000
        rows = await box.egress()
        assert [(row["reason"], row["outcome"]) for row in rows] == [("connect", "ok"), ("turn", "ok")]
        assert rows[1]["turn_id"] == turn
        assert (rows[1]["seconds_out"], rows[1]["seconds_in"]) == (1.0, 0.4)
        assert rows[1]["bytes_out"] > 48_000 * 4 / 3
        assert rows[1]["units"]["output_token_details.audio_tokens"] == 25


async def test_what_the_box_knows_stays_in_the_box(tmp_path: Path) -> None:
    async with OpenAIServer() as server, cloud_box(tmp_path, config(server.url)) as box:
        turn = await box.hear(KNOWN)
        assert (await box.answered(turn)).text == "Timer set for 5 minutes."
        assert server.requests == []
        assert await box.egress() == []


async def test_cloud_first_hands_over_what_the_box_knows_as_well_but_not_stop(tmp_path: Path) -> None:
    async with OpenAIServer() as server, cloud_box(tmp_path, config(server.url, policy="cloud_first")) as box:
        assert (await box.answered(await box.hear(KNOWN))).text == "All right."
        assert tools(box) == []
        await box.hear("stop")
        assert tools(box) == ["stop"]
        assert server.kinds().count("response.create") == 1


async def test_a_cloud_that_cannot_be_reached_is_told_once_and_the_box_goes_on(tmp_path: Path) -> None:
    async with cloud_box(tmp_path, config(nowhere(), policy="cloud_first")) as box:
        turn = await box.hear(KNOWN)
        assert [reply.text for reply in box.replies(turn)] == ["Timer set for 5 minutes."]
        turn = await box.hear(UNKNOWN)
        assert [reply.text for reply in box.replies(turn)] == [CANNOT]
        assert box.states("cloud")[0] == "cloud_unreachable"
        assert (await box.egress())[0]["outcome"] == "cloud_unreachable"


async def test_the_next_backend_takes_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentbox.daemon.cloud.ALL_S", 60.0)  # however slow this machine is at the moment
    async with OpenAIServer() as server, cloud_box(tmp_path, config(nowhere(), server.url)) as box:
        assert (await box.answered(await box.hear(UNKNOWN))).text == "All right."
        used = [row["backend"] for row in await box.egress() if row["reason"] != "probe"]
        assert used == ["first", "second", "second"]


async def test_a_refused_key_is_told_to_the_owner_once_and_not_tried_again(tmp_path: Path) -> None:
    async with OpenAIServer() as server, cloud_box(tmp_path, config(server.url)) as box:
        server.refuses = HTTPStatus.UNAUTHORIZED
        for _ in range(3):
            await box.hear(UNKNOWN)
        assert box.states("notice") == ["cloud_key"]
        assert len(server.requests) == 1


def timer(number: int, results: Sequence[Any]) -> Sequence[Step]:
    if results:
        return [Say("Five minutes it is.")]
    return [Call("start_timer", {"minutes": 5})]


async def test_the_cloud_uses_the_boxs_tools(tmp_path: Path) -> None:
    async with OpenAIServer(timer) as server, cloud_box(tmp_path, config(server.url)) as box:
        reply = await box.answered(await box.hear(UNKNOWN))
        assert reply.text == "Five minutes it is."
        assert tools(box) == ["start_timer"]
        update = next(frame for frame in server.frames if frame["type"] == "session.update")
        assert "start_timer" in [tool["name"] for tool in update["session"]["tools"]]
        assert await box.core.journal.settled()
        calls = box.core.journal.get(reply.utterance_id)
        assert calls is not None
        assert [(call["caller"], call["state"]) for call in calls["tool_calls"]] == [("cloud", "done")]


class Dying(OpenAIServer):
    """A server that hangs up when an event of this kind was told so often."""

    def __init__(self, dies_after: str, count: int = 1, **rest: Any) -> None:
        super().__init__(**rest)
        self.dies_after = dies_after
        self.count = count
        self.seen = 0

    async def session(self, client: Any) -> None:
        tell = client.send

        async def send(text: str) -> None:
            await tell(text)
            if f'"type": "{self.dies_after}"' in text:
                self.seen += 1
                if self.seen == self.count:
                    client.transport.abort()

        client.send = send
        await super().session(client)


@pytest.mark.parametrize(
    "phase",
    [
        "session.created",
        "session.updated",
        "input_audio_buffer.committed",
        "response.created",
        "conversation.item.input_audio_transcription.completed",
        "response.output_audio_transcript.delta",
    ],
)
async def test_a_cloud_that_dies_before_its_answer_leaves_the_turn_to_the_box(tmp_path: Path, phase: str) -> None:
    async with Dying(phase) as server, cloud_box(tmp_path, config(server.url, policy="cloud_first")) as box:
        turn = await box.hear(KNOWN)
        assert [reply.text for reply in box.replies(turn)] == ["Timer set for 5 minutes."]
        assert tools(box) == ["start_timer"]


async def test_what_a_tool_did_is_reported_when_the_cloud_dies_after_it_and_not_done_again(tmp_path: Path) -> None:
    server = Dying("conversation.item.added", script=timer)
    async with server, cloud_box(tmp_path, config(server.url, policy="cloud_first")) as box:
        turn = await box.hear(KNOWN)
        assert [reply.text for reply in box.replies(turn)] == ["Timer set for 5 minutes."]
        assert tools(box) == ["start_timer"]


async def test_an_answer_of_which_little_was_heard_is_given_by_the_box_instead(tmp_path: Path) -> None:
    story = lambda number, results: [Say("A long story.", 4_000)]  # noqa: E731
    server = Dying("response.output_audio.delta", 20, script=story)
    async with server, cloud_box(tmp_path, config(server.url, policy="cloud_first"), speed=1.0) as box:
        turn = await box.hear(KNOWN)
        assert (await box.answered(turn)).text == "Timer set for 5 minutes."
        await box.quiet()
        assert len(box.replies(turn)) == 1


async def test_an_answer_of_which_most_was_heard_was_cut_off(tmp_path: Path) -> None:
    story = lambda number, results: [Say("A long story.", 6_000)]  # noqa: E731
    server = Dying("response.output_audio.delta", 36, script=story, piece_s=0.02)
    async with server, cloud_box(tmp_path, config(server.url, policy="cloud_first"), speed=5.0) as box:
        turn = await box.hear(KNOWN)
        assert (await box.answered(turn)).text == "Sorry, the answer was cut off."
        await box.quiet()
        assert tools(box) == []
        assert len(box.replies(turn)) == 1


async def test_speaking_over_an_answer_silences_it_and_tells_what_was_heard(tmp_path: Path) -> None:
    script = lambda number, results: [Say("A long story.", 20_000)] if not number else [Say("Yes?")]  # noqa: E731
    async with OpenAIServer(script) as server, cloud_box(tmp_path, config(server.url), speed=4.0) as box:
        first = await box.hear(UNKNOWN)
        await box.until(lambda: box.speaking.heard)
        await asyncio.sleep(0.1)
        second = await box.hear(UNKNOWN)
        assert (await box.answered(second)).text == "Yes?"
        cut = next(frame for frame in server.frames if frame["type"] == "conversation.item.truncate")
        stopped = next(one for one in box.told if (one.stage, one.state) == ("speaking", "stopped"))
        assert cut["audio_end_ms"] == int(stopped.timings["heard_ms"])
        assert 0 < cut["audio_end_ms"] < 20_000
        await box.until(lambda: bool(box.replies(first)))
        assert len(box.replies(first)) == len(box.replies(second)) == 1


async def test_a_risky_tool_is_asked_about_in_the_boxs_own_voice(tmp_path: Path) -> None:
    def script(number: int, results: Sequence[Any]) -> Sequence[Step]:
        return [Say("Sure."), Call("water", {})]

    water = {"name": "water", "argv": ["true"], "answer": "The plants are watered."}
    settings = {"tools": {"command": {"enabled": True, "commands": [water]}}}
    async with OpenAIServer(script) as server, cloud_box(tmp_path, config(server.url) | settings) as box:
        turn = await box.hear(UNKNOWN)
        await box.until(lambda: any(reply.outcome == "question" for reply in box.replies(turn)))
        assert tools(box) == ["water"]
        yes = await box.hear("yes")
        assert (await box.answered(yes)).text == "The plants are watered."
        assert [reply.outcome for reply in box.replies(turn)] == ["question"]
        # What the model would say to a tool's result that is none yet is not wanted.
        await box.until(lambda: "response.cancel" in server.kinds())


async def test_a_day_has_its_budget(tmp_path: Path) -> None:
    settings = config(OPEN, minutes_per_day=0.01)
    async with OpenAIServer() as server:
        settings["cloud"]["backends"][0]["url"] = server.url
        async with cloud_box(tmp_path, settings) as box:
            assert (await box.answered(await box.hear(UNKNOWN))).text == "All right."
            await box.quiet()
            assert (await box.answered(await box.hear(UNKNOWN))).text == SORRY
        # The day is not over because the box was started anew.
        async with cloud_box(tmp_path, settings) as box:
            assert (await box.answered(await box.hear(UNKNOWN))).text == SORRY


OPEN = "ws://127.0.0.1:1/"


async def test_a_written_turn_is_answered_in_writing(tmp_path: Path) -> None:
    async with OpenAIServer() as server, cloud_box(tmp_path, config(server.url)) as box:
        reply = await box.core.ask(UNKNOWN)
        assert reply is not None
        assert reply.text == "All right."
        assert box.states("speaking") == []
        assert server.sound == b""


async def test_a_session_that_the_vendor_closed_meanwhile_is_opened_again(tmp_path: Path) -> None:
    async with OpenAIServer() as server, cloud_box(tmp_path, config(server.url)) as box:
        await box.answered(await box.hear(UNKNOWN))
        await box.quiet()
        for client in list(server.clients):
            await client.close(1001)
        assert (await box.answered(await box.hear(UNKNOWN))).text == "All right."
        assert len(server.requests) == 2


async def test_nobody_stays_on_the_line_after_the_conversation(tmp_path: Path) -> None:
    async with OpenAIServer() as server, cloud_box(tmp_path, config(server.url, linger_s=0.1)) as box:
        await box.answered(await box.hear(UNKNOWN))
        await box.until(lambda: server.closes == [1000])


async def test_a_backend_that_is_back_is_found_by_a_probe(tmp_path: Path) -> None:
    async with OpenAIServer() as server, cloud_box(tmp_path, config(server.url)) as box:
        server.refuses = HTTPStatus.SERVICE_UNAVAILABLE
        assert (await box.answered(await box.hear(UNKNOWN))).text == CANNOT
        server.refuses = None
        await box.until(lambda: "back" in box.states("cloud"))
        assert (await box.answered(await box.hear(UNKNOWN))).text == "All right."
        assert "probe" in [row["reason"] for row in await box.egress()]


async def test_the_owner_chooses_by_voice_who_is_asked_and_the_box_remembers(tmp_path: Path) -> None:
    async with OpenAIServer() as first, OpenAIServer() as second:
        settings = config(first.url, second.url, policy="cloud_first")
        async with cloud_box(tmp_path, settings) as box:
            turn = await box.hear("use second")
            assert [reply.text for reply in box.replies(turn)] == ["From now on I ask second."]
            await box.answered(await box.hear(UNKNOWN))
            assert (len(first.requests), len(second.requests)) == (0, 1)
            turn = await box.hear("switch to local")
            assert [reply.text for reply in box.replies(turn)] == ["All right. Nothing leaves this box now."]
            turn = await box.hear(UNKNOWN)
            assert [reply.text for reply in box.replies(turn)] == ["Sorry, I did not understand that."]
            assert (len(first.requests), len(second.requests)) == (0, 1)
        assert (tmp_path / "settings.yaml").read_text() == "cloud:\n  use: local\n"


async def test_a_model_may_not_choose_who_is_asked(tmp_path: Path) -> None:
    def script(number: int, results: Sequence[Any]) -> Sequence[Step]:
        return [Say(str(results))] if results else [Call("use_second", {})]

    async with OpenAIServer(script) as server, cloud_box(tmp_path, config(server.url, nowhere())) as box:
        assert "error" in (await box.answered(await box.hear(UNKNOWN))).text
        assert not (tmp_path / "settings.yaml").exists()


async def test_when_the_network_changes_nobody_waits_for_a_probe(tmp_path: Path) -> None:
    async with OpenAIServer() as server, cloud_box(tmp_path, config(server.url)) as box:
        server.refuses = HTTPStatus.SERVICE_UNAVAILABLE
        await box.hear(UNKNOWN)
        server.refuses = None
        box.cloud.backends[0].health.retry_s = float("inf")
        box.cloud.reset()
        await box.until(lambda: "back" in box.states("cloud"))


async def test_after_stop_no_further_tool_is_run(tmp_path: Path) -> None:
    slow = {"name": "slow", "argv": ["sleep", "0.7"], "answer": "It is done at last."}
    settings = {
        "tools": {
            "command": {"enabled": True, "commands": [slow]},
            "policy": {"slow": {"cloud": "allow"}},
        }
    }

    def script(number: int, results: Sequence[Any]) -> Sequence[Step]:
        return [Say("Sure.", 3_000), Call("slow", {}, "call_1"), Call("start_timer", {"minutes": 5}, "call_2")]

    async with OpenAIServer(script) as server, cloud_box(tmp_path, config(server.url) | settings) as box:
        turn = await box.hear(UNKNOWN)
        await box.until(lambda: "started" in box.states("tool_call"))
        box.speaking.hush()
        await box.until(lambda: bool(box.replies(turn)))
        await asyncio.sleep(0.3)
        assert tools(box) == ["slow"]
        assert len(box.replies(turn)) == 1


async def test_a_reload_in_the_midst_of_an_answer_leaves_nothing_stuck(tmp_path: Path) -> None:
    script = lambda number, results: [Say("A long story.", 60_000)]  # noqa: E731
    async with OpenAIServer(script, piece_s=0.05) as server, cloud_box(tmp_path, config(server.url)) as box:
        turn = await box.hear(UNKNOWN)
        await box.until(lambda: box.speaking.heard)
        await box.core._close_models()
        await box.quiet(2.0)
        assert len(box.replies(turn)) == 1


async def test_a_backend_that_was_down_is_looked_at_when_it_is_chosen_again(tmp_path: Path) -> None:
    async with OpenAIServer() as server, cloud_box(tmp_path, config(server.url)) as box:
        server.refuses = HTTPStatus.SERVICE_UNAVAILABLE
        await box.hear(UNKNOWN)
        await box.hear("switch to local")
        server.refuses = None
        await asyncio.sleep(1.2)
        await box.hear("use first")
        await box.until(lambda: "back" in box.states("cloud"))


async def test_a_long_answer_is_waited_for_by_whoever_reads_it(tmp_path: Path) -> None:
    script = lambda number, results: [Say("A long story.", 6_000)]  # noqa: E731
    async with OpenAIServer(script, piece_s=0.08) as server, cloud_box(tmp_path, config(server.url)) as box:
        reply = await box.core.ask(UNKNOWN)
        assert reply is not None
        assert reply.text == "A long story."


async def test_a_session_that_is_refused_for_its_settings_is_not_tried_again(tmp_path: Path) -> None:
    async with OpenAIServer() as server, cloud_box(tmp_path, config(server.url)) as box:
        server.refuses = HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS
        for _ in range(3):
            await box.hear(UNKNOWN)
        await asyncio.sleep(1.5)
        assert len(server.requests) == 1
        assert box.states("notice") == ["cloud_settings"]


async def test_after_quiet_hours_those_that_were_down_are_looked_for(tmp_path: Path) -> None:
    async with OpenAIServer() as server, cloud_box(tmp_path, config(server.url)) as box:
        server.refuses = HTTPStatus.SERVICE_UNAVAILABLE
        await box.hear(UNKNOWN)
        box.cloud._clock = lambda: datetime(2026, 11, 22, 23, 0)  # noqa: DTZ001 - a clock on the wall
        box.cloud._config = msgspec.structs.replace(box.cloud._config, quiet_hours="22:00-07:00")
        server.refuses = None
        await box.until(lambda: box.cloud._tending is not None and box.cloud._tending.done())
        assert "probe" not in [row["reason"] for row in await box.egress()]
        box.cloud._clock = lambda: datetime(2026, 11, 23, 8, 0)  # noqa: DTZ001 - a clock on the wall
        await box.hear(UNKNOWN)
        await box.until(lambda: "back" in box.states("cloud"))


async def test_who_stops_an_answer_that_has_failed_has_had_it(tmp_path: Path) -> None:
    story = lambda number, results: [Say("A long story.", 60_000)]  # noqa: E731
    server = Dying("response.output_audio.delta", 60, script=story, piece_s=0.02)
    async with server, cloud_box(tmp_path, config(server.url, policy="cloud_first"), speed=4.0) as box:
        turn = await box.hear(KNOWN)
        await box.until(lambda: "cloud_closed" in box.states("cloud"))
        box.speaking.hush()
        await box.quiet()
        assert (await box.answered(turn)).text == "A long story."
        assert len(box.replies(turn)) == 1
        assert tools(box) == []
