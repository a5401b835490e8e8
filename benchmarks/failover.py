"""A cloud model that fails in every way while recorded commands are spoken: what is lost, what is doubled, how long the
owner waits.

    python -m benchmarks.failover --n 1000 --seed 1

Each utterance meets one fault, at a random point, between the box and the test server of the OpenAI protocol (which the
vendor's SDK is held to): the service refuses, asks for another key, is busy, hangs up, swallows everything, is two
seconds late, dies or talks nonsense at a random frame, hangs up or falls silent after its greeting, or goes silent
while the connection stands. Then the fault is mended, and the box is spoken to until the cloud answers again.

Counted: utterances without exactly one answer, tools that did not run exactly once, and the times from the end of the
owner's speech to the first of the answer, from the moment the box sees the fault to its own answer, and from the
mending to an answer of the cloud. The sound is that of recorded commands, recognised once by the default model; the
box is all of the daemon but its ears. Talks run in parallel, each with a box of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from websockets.asyncio.server import ServerConnection

from agentbox import paths
from agentbox.asr.load import load_engine
from agentbox.bench.box import percentile
from agentbox.bench.recordings import as_floats, read_sound
from agentbox.config import Config
from agentbox.messages import ToolResult
from tests.daemon.cloud_box import CloudBox, cloud_box
from tests.realtime.servers.base import KEY, Call, Say, Step
from tests.realtime.servers.openai import OpenAIServer, OpenAISession

FAULTS = (
    "none",
    "refused",
    "status_401",
    "status_429",
    "reset",
    "blackhole",
    "late_2s",
    "cut",
    "garbage",
    "closed_after_greeting",
    "silent_after_greeting",
    "half_open",
)
AT_FRAME = ("cut", "garbage", "half_open")
LAST_FRAME = 18
"""Frames that the server sends for a turn with a tool, about: a random one of them is where the fault strikes."""

PATIENCE_S = 10.0
SPEED = 8.0
"""The box's speaker plays so many times as fast as time passes."""


class Speech(NamedTuple):
    """A recorded command."""

    text: str
    pcm: np.ndarray[Any, np.dtype[np.int16]]


class Plan:
    """Which fault is on."""

    def __init__(self) -> None:
        self.fault = "none"
        self.frame = 0
        self.told = 0

    def set(self, fault: str, frame: int = 0) -> None:
        self.fault, self.frame, self.told = fault, frame, 0


class FaultySession(OpenAISession):
    """A session that goes wrong as the plan says."""

    def __init__(self, server: OpenAIServer, client: ServerConnection, plan: Plan) -> None:
        super().__init__(server, client)
        self._plan = plan
        self._dead = False

    async def tell(self, kind: str, **fields: Any) -> None:
        if self._dead:
            return
        await super().tell(kind, **fields)
        plan = self._plan
        plan.told += 1
        if plan.fault in AT_FRAME and plan.told == plan.frame:
            await self._strike(plan.fault)
        elif kind == "session.created" and plan.fault == "closed_after_greeting":
            await self.client.close(1000)
        elif kind == "session.created" and plan.fault == "silent_after_greeting":
            self._dead = True

    async def _strike(self, fault: str) -> None:
        if fault == "cut":
            self.client.transport.abort()
        elif fault == "garbage":
            await self.client.send("\x00{]garbage")
        else:
            self._dead = True


class FaultyServer(OpenAIServer):
    def __init__(self, plan: Plan) -> None:
        super().__init__(self.answered)
        self.plan = plan
        self.wanted: Sequence[Step] = [Say()]

    def answered(self, number: int, results: Sequence[Any]) -> Sequence[Step]:
        return [Say("It is done.", 800)] if results else self.wanted

    async def session(self, client: ServerConnection) -> None:
        await FaultySession(self, client, self.plan).run()


class Proxy:
    """Between the box and the server: what goes wrong below the WebSocket."""

    def __init__(self, plan: Plan, port: int) -> None:
        self._plan = plan
        self._port = port
        self._server: asyncio.Server | None = None
        self._pumps: set[asyncio.Task[None]] = set()
        self.port = 0

    async def listen(self) -> None:
        self._server = await asyncio.start_server(self._client, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Nobody listens any more."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def close(self) -> None:
        await self.refuse()
        for pump in self._pumps:
            pump.cancel()

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        fault = self._plan.fault
        if fault == "reset":
            writer.transport.abort()
            return
        if fault == "blackhole":
            with contextlib.suppress(OSError):
                while await reader.read(65536):
                    pass
            return
        if fault.startswith("status_"):
            status = HTTPStatus(int(fault.removeprefix("status_")))
            await reader.readuntil(b"\r\n\r\n")
            writer.write(f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Length: 0\r\n\r\n".encode())
            writer.close()
            return
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self._port)
        for source, sink in ((reader, inner_writer), (inner_reader, writer)):
            pump = asyncio.create_task(self._pump(source, sink))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                if self._plan.fault == "late_2s":
                    await asyncio.sleep(2.0)
                sink.write(data)
                await sink.drain()
        if sink.transport.is_closing() is False:
            sink.transport.abort()


class Score:
    """What came of all utterances."""

    def __init__(self) -> None:
        self.count: Counter[str] = Counter()
        self.by: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.unreachable = 0
        self.answer_s: dict[str, list[float]] = defaultdict(list)
        self.local_s: dict[str, list[float]] = defaultdict(list)
        self.back_s: dict[str, list[float]] = defaultdict(list)


class Talk:
    """One box, one server, and the faults between them."""

    def __init__(
        self, box: CloudBox, server: FaultyServer, proxy: Proxy, speech: Sequence[Speech], draw: random.Random
    ):
        self.box = box
        self.server = server
        self.proxy = proxy
        self.plan = server.plan
        self.speech = speech
        self.draw = draw

    async def utterance(self, number: int, score: Score) -> None:
        """Speak once under a fault; see what comes of it; mend the fault, and see when the cloud is back."""
        fault = FAULTS[number % len(FAULTS)]
        speech = self.draw.choice(self.speech)
        known = self.draw.random() < 0.7
        item = f"item {number}"
        text = f"add {item} to my shopping list" if known else speech.text
        self.server.wanted = [Call("add_item", {"item": item}, id=f"call_{number}")] if known else [Say("Well.", 1_200)]
        # Half of the talks go on over a connection that stands already.
        if self.draw.random() < 0.5:
            for backend in self.box.cloud.backends:
                await backend.close()
        self.plan.set(fault, self.draw.randint(1, LAST_FRAME))
        if fault == "refused":
            await self.proxy.refuse()
            for client in list(self.server.clients):
                client.transport.abort()
        begun_s = time.monotonic()
        seen = len(self.box.told)
        turn = await self.box.hear(text, pcm=speech.pcm)
        await self._complete(turn)
        told = self.box.told[seen:]
        self._judge(score, fault, turn, told, known, begun_s)
        await self._mend(score, fault)

    async def _complete(self, turn: str) -> None:
        with contextlib.suppress(TimeoutError):
            await self.box.answered(turn, PATIENCE_S)
            await self.box.quiet(PATIENCE_S)
        await asyncio.sleep(0.02)

    def _judge(self, score: Score, fault: str, turn: str, told: list[Any], known: bool, begun_s: float) -> None:
        score.count[fault] += 1
        replies = self.box.replies(turn)
        done = [one for one in told if isinstance(one.message, ToolResult) and one.utterance_id == turn]
        if len(replies) != 1:
            score.wrong.append(f"{fault} at frame {self.plan.frame}: {len(replies)} answers")
        # What only the cloud understands may stay undone; what the box knows may not.
        if len(done) != (1 if known else 0):
            score.wrong.append(f"{fault} at frame {self.plan.frame}: {len(done)} tool runs, known {known}")
        by_cloud = [one for one in told if (one.stage, one.state) == ("cloud", "answered")]
        seen = [one for one in told if one.stage == "cloud" and one.state not in ("answered", "back")]
        answers = [one for one in told if one.stage == "reply" and one.utterance_id == turn]
        first = min([*by_cloud, *answers], key=lambda one: one.monotonic_s, default=None)
        if first is not None:
            score.answer_s[fault].append(first.monotonic_s - begun_s)
        if seen and answers:
            score.local_s[fault].append(max(0.0, answers[-1].monotonic_s - seen[0].monotonic_s))
        score.by["cloud" if by_cloud and not seen else "box"] += 1
        score.unreachable += any(reply.outcome == "not_understood" for reply in replies)

    async def _mend(self, score: Score, fault: str) -> None:
        self.plan.set("none")
        if fault == "refused":
            await self.proxy.listen()
        if fault == "status_401":
            # Only the owner can mend a key; then the box is told to look again.
            for backend in self.box.cloud.backends:
                backend.health = type(backend.health)()
            return
        self.server.wanted = [Say("Yes.", 100)]
        mended_s = time.monotonic()
        while time.monotonic() - mended_s < 60:
            seen = len(self.box.told)
            turn = await self.box.hear("why is the sky blue", pcm=self.speech[0].pcm)
            await self._complete(turn)
            if any((one.stage, one.state) == ("cloud", "answered") for one in self.box.told[seen:]):
                score.back_s[fault].append(time.monotonic() - mended_s)
                return
            await asyncio.sleep(0.1)
        score.wrong.append(f"{fault}: the cloud was not used again within a minute")


@contextlib.asynccontextmanager
async def talks(folder: Path, speech: Sequence[Speech], seed: int) -> AsyncIterator[Talk]:
    plan = Plan()
    async with FaultyServer(plan) as server:
        proxy = Proxy(plan, int(server.url.split(":")[2].split("/")[0]))
        await proxy.listen()
        url = f"ws://127.0.0.1:{proxy.port}/v1/realtime"
        cloud = {"policy": "cloud_first", "backends": [{"name": "first", "kind": "openai", "url": url}]}
        try:
            async with cloud_box(folder, {"cloud": cloud}, speed=SPEED) as box:
                yield Talk(box, server, proxy, speech, random.Random(seed))
        finally:
            await proxy.close()


async def run(args: argparse.Namespace) -> Score:
    score = Score()
    speech = recorded(args.data)
    numbers = iter(range(args.n))

    async def worker(place: int, folder: Path) -> None:
        async with talks(folder, speech, args.seed * 1000 + place) as talk:
            for number in numbers:
                await talk.utterance(number, score)

    with tempfile.TemporaryDirectory() as folder:
        os.environ["AGENTBOX_STATE"] = folder
        os.environ["AGENTBOX_SECRET_FIRST"] = KEY
        places = [Path(folder) / str(place) for place in range(args.parallel)]
        for place in places:
            place.mkdir()
        await asyncio.gather(*(worker(number, place) for number, place in enumerate(places)))
    return score


def recorded(data: Path) -> list[Speech]:
    """Some recorded commands, as the default model understands them."""
    engine = load_engine("moonshine-tiny-en", "en", paths.models_dir(Config()))
    files = sorted((data / "commands" / "audio").glob("*"))[:24]
    found = []
    for file in files:
        samples = read_sound(file)
        heard = engine.transcribe(as_floats(samples), language="en")
        found.append(Speech(heard.text, samples))
    return found


def show(score: Score) -> None:
    total = sum(score.count.values())
    print(f"{total} utterances, {len(score.wrong)} wrong; answered by: {dict(score.by)}")
    print(f"told that the cloud cannot be reached: {score.unreachable}")
    for line in score.wrong:
        print("  wrong:", line)
    print("fault                    count   speech -> answer s      fault seen -> box's answer s   mended -> cloud s")
    print("                                 p50    p95    max       p50    p95    max              p50    p95")
    for fault in (*FAULTS, "all"):
        rows = [
            [second for each, times in part.items() if fault in (each, "all") for second in times]
            for part in (score.answer_s, score.local_s, score.back_s)
        ]
        answer, local, back = ([percentile(row, 50), percentile(row, 95), max(row)] if row else [] for row in rows)
        cells = [*(f"{one:6.2f}" for one in answer), "    ", *(f"{one:6.2f}" for one in local or [float("nan")] * 3)]
        count = total if fault == "all" else score.count[fault]
        print(f"{fault:24} {count:5}  {' '.join(cells)}          {' '.join(f'{one:6.2f}' for one in back[:2])}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--parallel", type=int, default=4)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    show(asyncio.run(run(parser.parse_args())))


if __name__ == "__main__":
    main()
