"""Our client of OpenAI's protocol against a server that is neither OpenAI's nor ours: the realtime layer of
huggingface/speech-to-speech, as its own tests start it, without models. docs/vendors.md tells how to have it here, and
what it does with a turn that the box ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import ProxyHandler, Request, build_opener

import pytest

from agentbox.realtime.backends import make_session
from agentbox.realtime.events import (
    AnswerDone,
    AnswerSound,
    AnswerStarted,
    AnswerText,
    Event,
    Failed,
    Heard,
    ToolCalled,
)
from agentbox.realtime.failures import CloudError, failure
from agentbox.realtime.link import Link
from agentbox.realtime.session import Account, Setup, ToolSpec
from tests.realtime.servers.base import KEY, tone
from tests.realtime.talks import of

FOLDER = os.environ.get("PEER_SERVER", "")

pytestmark = pytest.mark.skipif(not FOLDER, reason="PEER_SERVER names no speech-to-speech (docs/vendors.md)")

TURN = tone(500)
LOOKUP = ToolSpec("lookup", "Look something up.", {"type": "object", "properties": {"query": {"type": "string"}}})
LIMIT_S = 10.0


class Peer(NamedTuple):
    """One server; its pipeline is played by whoever calls `does`."""

    url: str
    http: str

    async def does(self, what: str) -> None:
        """Have its pipeline do something, by the names of `tests/openai_realtime/agents_sdk_server.py`."""
        await asyncio.to_thread(self._ask, what, "POST")

    async def state(self) -> dict[str, Any]:
        answer = await asyncio.to_thread(self._ask, "state", "GET")
        return dict(json.loads(answer))

    def _ask(self, what: str, method: str) -> bytes:
        request = Request(f"{self.http}/test/{what}", method=method)
        with build_opener(ProxyHandler({})).open(request, timeout=LIMIT_S) as answer:
            return bytes(answer.read())


@pytest.fixture
def peer() -> Iterator[Peer]:
    """A server for one session: without a pipeline behind it nobody tells it that one has ended."""
    folder = Path(FOLDER).absolute()
    command = [str(folder / ".venv" / "bin" / "python"), "-m", "tests.openai_realtime.agents_sdk_server"]
    environment = {**os.environ, "PYTHONPATH": str(folder / "src")}
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        try:
            where = json.loads(program.stdout.readline() or "{}")
            assert where, "the server did not start"
            yield Peer(where["ws"], where["http"])
        finally:
            program.kill()


@contextlib.asynccontextmanager
async def linked(peer: Peer, kind: str = "openai") -> AsyncIterator[Link]:
    account = Account(key=KEY, model="", url=peer.url)
    link = Link(make_session(kind, account, Setup("Be brief.", voice="marin", tools=(LOOKUP,))))
    await link.open()
    try:
        yield link
    finally:
        await link.close()


async def up_to(link: Link, kind: type[Event]) -> list[Event]:
    """The events up to the first of a kind."""
    seen: list[Event] = []
    while not seen or not isinstance(seen[-1], kind):
        seen.append(await link.next(LIMIT_S))
    return seen


async def ask(link: Link) -> str:
    """A turn that the box ends; gives the name of the answer to it."""
    link.send(TURN)
    link.dialog.commit()
    link.flush()
    return str(of(await up_to(link, AnswerStarted), AnswerStarted)[0].answer_id)


async def turn(link: Link, peer: Peer) -> None:
    """A turn and the whole answer to it."""
    answer_id = await ask(link)
    await peer.does("finish-response")
    seen = await up_to(link, AnswerDone)
    assert of(seen, AnswerText) == [AnswerText(answer_id, "Tool result received.")]
    # It makes 3,200 samples at 16 kHz, and gives them at the rate that we asked for.
    assert [len(event.pcm) for event in of(seen, AnswerSound)] == [3_200 * 2 * 24 // 16]
    assert seen[-1] == AnswerDone(answer_id, "completed")
    assert not of(seen, Failed)


async def test_a_session_is_set_up_and_holds_turn_after_turn(peer: Peer) -> None:
    async with linked(peer) as link:
        state = await peer.state()
        assert (state["instructions"], state["voice"], state["tools"]) == ("Be brief.", "marin", ["lookup"])
        assert (state["inputRate"], state["outputRate"], state["turnDetection"]) == (24_000, 24_000, None)
        await turn(link, peer)
        await turn(link, peer)
        # Chunks of 512 samples at 16 kHz, for its own ear.
        assert (await peer.state())["inputChunks"] == 2 * 8_000 // 512
        assert link.seconds_in == pytest.approx(0.4)
        assert link.is_fresh()


async def test_a_turn_that_it_ends_by_its_own_ear_is_told_as_any(peer: Peer) -> None:
    async with linked(peer) as link:
        await peer.does("voice")
        seen = await up_to(link, AnswerDone)
        assert of(seen, Heard) == [Heard("hello", final=True)]
        assert [event.more for event in of(seen, AnswerText)] == ["Hello from the compatibility test."]
        assert of(seen, AnswerSound)
        assert of(seen, AnswerDone)[0].status == "completed"


async def test_the_model_calls_a_tool_and_goes_on_with_its_result(peer: Peer) -> None:
    async with linked(peer) as link:
        await peer.does("tool")
        seen = await up_to(link, AnswerDone)
        [called] = of(seen, ToolCalled)
        assert (called.call_id, called.name, called.arguments) == ("call_agents_sdk", "lookup", {"query": "sdk"})
        assert seen[-1] == AnswerDone(called.answer_id, "completed", calls=True)
        link.dialog.tool_result(called.call_id, {"text": "found"})
        link.flush()
        [started] = await up_to(link, AnswerStarted)
        assert [json.loads(output) for output in (await peer.state())["toolOutputs"]] == [{"text": "found"}]
        await peer.does("finish-response")
        seen = await up_to(link, AnswerDone)
        assert [event.more for event in of(seen, AnswerText)] == ["Tool result received."]
        assert seen[-1] == AnswerDone(started.answer_id, "completed")  # type: ignore[union-attr]


async def test_an_interruption_stops_the_answer_and_the_next_turn_is_answered(peer: Peer) -> None:
    async with linked(peer) as link:
        await peer.does("start-audio")
        await up_to(link, AnswerSound)
        assert (await peer.state())["inResponse"]
        link.dialog.interrupt(120.0)
        link.flush()
        async with asyncio.timeout(LIMIT_S):
            while (await peer.state())["inResponse"]:
                await asyncio.sleep(0.01)
        await turn(link, peer)


async def test_an_answer_that_it_cancels_by_its_own_ear_ends_as_cancelled(peer: Peer) -> None:
    async with linked(peer) as link:
        await peer.does("start-audio")
        [sound] = of(await up_to(link, AnswerSound), AnswerSound)
        await peer.does("barge-in")
        assert (await up_to(link, AnswerDone))[-1] == AnswerDone(sound.answer_id, "cancelled")
        await turn(link, peer)


async def test_an_answer_that_it_began_by_itself_gives_way_to_the_one_that_is_asked_for(peer: Peer) -> None:
    async with linked(peer) as link:
        await peer.does("start-audio")
        await up_to(link, AnswerSound)
        await turn(link, peer)


async def test_an_answer_that_it_owes_already_is_taken_for_the_one_that_is_asked_for(peer: Peer) -> None:
    async with linked(peer) as link:
        # Its pipeline is asked for an answer to the turn that it heard, and tells another one meanwhile.
        await peer.does("voice")
        await up_to(link, AnswerDone)
        link.send(TURN)
        link.dialog.commit()
        link.flush()
        await peer.does("start-audio")
        seen = await up_to(link, AnswerSound)
        assert not of(seen, Failed)
        assert [event.more for event in of(seen, AnswerText)] == ["This response will be interrupted."]


async def test_what_it_refuses_costs_the_turn_and_not_the_session(peer: Peer) -> None:
    async with linked(peer) as link:
        link.dialog.append(TURN)
        link.dialog.discard()  # it knows no such event: that is no failure
        await turn(link, peer)
        link.dialog.commit()
        link.flush()
        seen = await up_to(link, Failed)
        assert seen[-1] == Failed(failure("cloud_refused", "input_audio_buffer_commit_empty"), session=False)
        # The answer that was asked for along with it comes nevertheless.
        await up_to(link, AnswerStarted)
        await peer.does("finish-response")
        await up_to(link, AnswerDone)
        assert link.is_fresh()


async def test_it_does_not_only_write_down(peer: Peer) -> None:
    with pytest.raises(CloudError) as caught:
        async with linked(peer, "openai_asr"):
            pass
    assert caught.value.failure == failure("cloud_settings", "invalid_session_type")
