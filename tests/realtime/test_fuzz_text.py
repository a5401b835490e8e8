"""Whatever a service streams, cut and mangled anywhere: words, or an error of ours, and nothing else."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from typing import Any, get_args

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentbox.messages import JSON
from agentbox.realtime.anthropic_messages import AnthropicMessages, MessageReader
from agentbox.realtime.brain import Brain
from agentbox.realtime.chat_completions import ChatCompletions, ChatReader
from agentbox.realtime.event_stream import EventStreams
from agentbox.realtime.events import AnswerDone, Event, Failed, ToolCalled
from agentbox.realtime.failures import CloudError
from agentbox.realtime.session import Account
from agentbox.realtime.text_model import Conversation, Request, ToolGarbled
from tests.realtime.servers.anthropic import AnthropicServer
from tests.realtime.servers.base import KEY, Call, Say, Step
from tests.realtime.servers.chat import ChatServer
from tests.realtime.servers.http import MODEL, Posted, RefusedError, TextServer
from tests.realtime.talks import WEATHER
from tests.realtime.test_fuzz import mangled, mutated

CHUNKS = 50_000
"""For each service."""

CHUNKS_A_STREAM = 30
"""Or so."""

ACCOUNT = Account(KEY, MODEL, "http://127.0.0.1:1/v1")
STEPS: list[Step] = [
    Say("It is sünny in Köln today."),
    Call("get_weather", {"town": "Bonn"}, "call_a"),
    Call("get_weather", {"town": "Köln"}, "call_b"),
]
SERVICES: dict[str, tuple[Any, Callable[[], TextServer], Any]] = {
    "chat": (ChatCompletions(ACCOUNT), ChatServer, lambda: ChatReader(keeps_thoughts=True)),
    "anthropic": (AnthropicMessages(ACCOUNT), AnthropicServer, MessageReader),
}


def events_of(name: str, steps: Sequence[Step] = STEPS) -> list[bytes]:
    server = SERVICES[name][1]()
    server.thinks = True  # type: ignore[attr-defined]
    error = {"type": "overloaded_error", "message": "Overloaded"}
    whole = list(server.events(0, steps))
    server.error_in_stream = error
    return [*whole, list(server.events(0, []))[-1]]


def data_of(event: bytes) -> str:
    return event.partition(b"data: ")[2].strip().decode()


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_no_event_breaks_a_reader(name: str) -> None:
    samples = [data for event in events_of(name) if (data := data_of(event)) != "[DONE]"]

    @settings(max_examples=400, deadline=None, database=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(st.integers(0, 2**32))
    def run(seed: int) -> None:
        draw = random.Random(seed)
        reader = SERVICES[name][2]()
        ended = 0
        for _ in range(100):
            ended += look_at(reader.receive(str(mutated(draw, draw.choice(samples)))))
            if draw.random() < 0.01:
                ended += look_at(reader.receive("[DONE]"))
        ended += look_at(reader.closed())
        assert ended == 1
        assert reader.receive(samples[0]) == []

    run()


def look_at(events: Sequence[Any]) -> int:
    """How many of them end the answer; each must be one, and be able to go back."""
    for event in events:
        assert isinstance(event, (*get_args(Event), ToolGarbled))
        if isinstance(event, ToolCalled):
            json.dumps(event.arguments, allow_nan=False)
            event.name.encode()
    return sum(isinstance(event, AnswerDone | Failed) for event in events)


class Broken(httpx.AsyncBaseTransport):
    """Answers every request with a stream that is damaged on its way, in chunks of any size."""

    def __init__(self, name: str, draw: random.Random) -> None:
        self.name, self.draw = name, draw
        self.chunks = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        server = SERVICES[self.name][1]()
        posted = Posted("POST", "", dict(request.headers), json.loads(await request.aread()))
        try:
            results = server.check(posted)
        except RefusedError as refused:
            # Whatever came before: what we send is right.
            raise AssertionError(str(refused)) from refused
        return httpx.Response(
            200, headers={"Content-Type": "text/event-stream"}, stream=_Stream(self, STEPS[:1] if results else STEPS)
        )


class _Stream(httpx.AsyncByteStream):
    def __init__(self, broken: Broken, steps: Sequence[Step]) -> None:
        self.broken, self.steps = broken, steps

    async def __aiter__(self) -> AsyncIterator[bytes]:
        draw = self.broken.draw
        samples = events_of(self.broken.name, self.steps)
        events = samples[:-1] if draw.random() < 0.9 else [draw.choice(samples) for _ in samples]
        whole = b"".join(damaged(draw, event) if draw.random() < 0.1 else event for event in events)
        if draw.random() < 0.2:
            whole = whole[: draw.randrange(len(whole) + 1)]
        at = 0
        most = max(1, 2 * len(whole) // CHUNKS_A_STREAM)
        while at < len(whole):
            if draw.random() < 0.002:
                raise draw.choice([httpx.ReadError, httpx.ReadTimeout, httpx.RemoteProtocolError])("gone")
            size = draw.randint(1, most)
            self.broken.chunks += 1
            yield whole[at : at + size]
            at += size


def damaged(draw: random.Random, event: bytes) -> bytes:
    way = draw.random()
    if way < 0.5 and b"{" in event:
        head, data = event.partition(b"data: ")[0], data_of(event)
        return head + b"data: " + str(mutated(draw, data)).encode("utf-8", "replace") + b"\n\n"
    if way < 0.7:
        return mangled(draw, event)
    if way < 0.9:
        return event.replace(b"\n", draw.choice([b"\r", b"\r\n", b"\n\n", b"\n: hm\nid: 7\nretry: x\n"]))
    return draw.choice(
        [b"", b"\xef\xbb\xbf", b"\0\n\n", b"data\n\n", b"data: [DONE]\n\n", event * 2, b"\xff" * 50 + b"\n\n"]
    )


@pytest.mark.parametrize("name", sorted(SERVICES))
async def test_no_stream_breaks_a_conversation(name: str) -> None:
    """One conversation that goes on for ever: each turn's streams are damaged, and each request is checked."""
    draw = random.Random(name)
    broken = Broken(name, draw)
    streams = EventStreams()
    streams._client, streams._is_local = httpx.AsyncClient(transport=broken), True
    brain = Brain(SERVICES[name][0], streams)
    conversation = Conversation(most_turns=4)
    ran = answered = failed = 0

    async def run_tool(call: ToolCalled) -> JSON:
        nonlocal ran
        ran += 1
        return {"text": "sunny"}

    while broken.chunks < CHUNKS:
        conversation.say("What is the weather?")
        words = ""
        try:
            async with aclosing(brain.answer(conversation, [WEATHER], run_tool)) as answer:
                async for more in answer:
                    words += more
                    if draw.random() < 0.005:
                        break
            answered += 1
        except CloudError:
            failed += 1
        if draw.random() < 0.2:
            conversation.heard(words[: draw.randrange(len(words) + 1)])
    await streams.close()
    assert ran > 100
    assert answered > 100
    assert failed > 100


@given(st.binary(max_size=400), st.integers(1, 20))
async def test_any_bytes_are_words_or_an_error(stream: bytes, size: int) -> None:
    class Bytes(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            for at in range(0, len(stream), size):
                yield stream[at : at + size]

    def respond(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"Content-Type": "text/event-stream"}, stream=Bytes())

    streams = EventStreams()
    streams._client, streams._is_local = httpx.AsyncClient(transport=httpx.MockTransport(respond)), True
    told = [data async for data in streams.post(Request("http://127.0.0.1:1", {}, b""))]
    assert all(told)
    await streams.close()
