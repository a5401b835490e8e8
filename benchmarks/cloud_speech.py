"""What the box adds to a cloud model's answer, and how soon it is silent when the owner speaks over one.

    python -m benchmarks.cloud_speech --n 20
    python -m benchmarks.cloud_speech --first --n 20 --handshake-ms 300

A virtual sound card (needs PulseAudio), the real voice detector, mixer and speaker, and the test server of the OpenAI
protocol, which answers at once. *Added*: from the last of the turn's sound reaching the server to the first of the
answer leaving the speaker, without the server's own time in between. *Silent*: from the voice detector's decision, and
from the first sound of the owner's voice, until nothing leaves the speaker. *Told*: what the vendor is told was heard,
against what left the speaker. *First*: from the end of the owner's words to the first of the answer where no session
stands, with a service that takes `--handshake-ms` to acknowledge one: without, and with a wake phrase noticed a second
before the end.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from websockets.asyncio.server import ServerConnection

from agentbox import paths
from agentbox.asr.catalogue import Catalogue
from agentbox.asr.pull import ensure
from agentbox.audio.ear import Ear
from agentbox.audio.mixer import RATE_HZ
from agentbox.audio.output import Output
from agentbox.audio.vad import SileroVad
from agentbox.bench.box import percentile
from agentbox.bench.interruption import Watch, say_to, utterances
from agentbox.bench.recordings import read_sound
from agentbox.config import Audio, Config
from agentbox.daemon.box import VAD_MODEL
from agentbox.daemon.interruption import Interruption
from agentbox.messages import Notice
from tests.daemon.cloud_box import CloudBox, cloud_box
from tests.pulse import running
from tests.realtime.servers.base import KEY, Say, Step
from tests.realtime.servers.openai import OpenAIServer, OpenAISession

TEXT = "why is the sky blue"


class Timed(OpenAISession):
    """A session that notes when the last sound came in and the first went out."""

    async def on_input_audio_buffer_append(self, message: dict[str, Any]) -> None:
        self.server.last_sound_s = time.monotonic()  # type: ignore[attr-defined]

    async def say(self, step: Say, item_id: str, place: dict[str, Any]) -> dict[str, Any]:
        self.server.first_sound_s = time.monotonic()  # type: ignore[attr-defined]
        return await super().say(step, item_id, place)


class TimedServer(OpenAIServer):
    last_sound_s = first_sound_s = handshake_s = 0.0

    async def session(self, client: ServerConnection) -> None:
        await asyncio.sleep(self.handshake_s)
        await Timed(self, client).run()


async def added(box: CloudBox, server: TimedServer, watch: Watch) -> float:
    """Milliseconds that the box adds to one answer."""
    watch.blocks.clear()
    server.wanted_ms = 400  # type: ignore[attr-defined]
    sent_s = time.monotonic()
    await box.hear(TEXT)
    await box.until(lambda: box.speaking.heard)
    await box.quiet()
    first_s = next(heard_s - (len(block) - _first(block)) / RATE_HZ for block, heard_s in watch.blocks if block.any())
    outwards_s = server.last_sound_s - sent_s
    return (first_s - server.first_sound_s + outwards_s) * 1000


def _first(block: Any) -> int:
    return int((block != 0).argmax())


async def first(box: CloudBox, server: TimedServer, *, noticed: bool) -> float:
    """Milliseconds to the first of an answer, where no session stood when the owner began to speak."""
    server.wanted_ms = 100  # type: ignore[attr-defined]
    box.cloud.backends[0].abandon()
    await box.until(lambda: not server.clients)
    if noticed:
        box.core.events.emit("activation", "noticed", utterance_id="first")
    await asyncio.sleep(1.0)  # the owner goes on to speak
    turn = await box.hear(TEXT)
    await box.quiet()
    told = (one for one in box.told if (one.stage, one.state, one.utterance_id) == ("cloud", "answered", turn))
    return next(told).timings["since_speech_end_ms"]


async def measure_first(n: int, folder: Path, handshake_ms: float) -> None:
    os.environ["AGENTBOX_SECRET_FIRST"] = KEY
    os.environ["AGENTBOX_STATE"] = str(folder)
    server = TimedServer(lambda number, results: [Say("It is.", server.wanted_ms)])  # type: ignore[attr-defined]
    server.handshake_s = handshake_ms / 1000
    async with server:
        backend = {"name": "first", "kind": "openai", "url": server.url}
        async with cloud_box(folder, {"cloud": {"policy": "cloud_first", "backends": [backend]}}) as box:
            for noticed in (False, True):
                times = [await first(box, server, noticed=noticed) for _ in range(n)]
                print(f"first answer, {'called ahead' if noticed else 'not called ahead'}, {n}: {_spread(times)} ms")


async def interrupted(
    box: CloudBox, server: TimedServer, watch: Watch, vad: SileroVad, sound: Any, draw: random.Random
) -> tuple[float, float, float]:
    """Speak over a long answer: milliseconds after the decision, after the onset, and by which the vendor is wrong."""
    watch.blocks.clear()
    server.frames.clear()
    server.wanted_ms = 30_000  # type: ignore[attr-defined]
    await box.hear(TEXT)
    await box.until(lambda: box.speaking.heard)
    await asyncio.sleep(draw.uniform(0.5, 2.0))
    decided_s, onset_s = await say_to(sound, Ear(Audio(), vad), box.core.events, "over")
    silent_s = watch.silent_s(decided_s)
    server.wanted_ms = 100  # type: ignore[attr-defined]
    for stage, state in (("utterance", "ended"), ("activation", "opened")):
        box.core.events.emit(stage, state, utterance_id="over")  # type: ignore[arg-type]
    await box.hear(TEXT)
    await box.until(lambda: any(frame["type"] == "conversation.item.truncate" for frame in server.frames))
    played_ms = sum(np.count_nonzero(block) for block, _ in list(watch.blocks)) * 1000 / RATE_HZ
    told_ms = next(frame["audio_end_ms"] for frame in server.frames if frame["type"] == "conversation.item.truncate")
    await box.quiet()
    return (silent_s - decided_s) * 1000, (silent_s - onset_s) * 1000, abs(told_ms - played_ms)


async def measure(n: int, data: Path, folder: Path) -> None:
    os.environ["AGENTBOX_SECRET_FIRST"] = KEY
    models = paths.models_dir(Config())
    model = Catalogue.load().get(VAD_MODEL)
    vad = SileroVad(ensure(model, models) / next(iter(model.files)))
    sounds = [read_sound(file) for file in sorted((data / "commands" / "audio").glob("*"))[:n]]
    spoken = utterances(sounds, vad)[:n]
    os.environ["AGENTBOX_STATE"] = str(folder)
    watch, failures = Watch(), list[Notice]()
    output = Output("default", failures.append, on_block=watch)
    draw = random.Random(1)

    def script(number: int, results: Sequence[Any]) -> Sequence[Step]:
        return [Say("It is.", server.wanted_ms)]  # type: ignore[attr-defined]

    server = TimedServer(script)
    async with server:
        config = {
            "cloud": {"policy": "local_first", "backends": [{"name": "first", "kind": "openai", "url": server.url}]}
        }
        async with cloud_box(folder, config, output=output) as box:
            box.core.events.subscribe(Interruption(box.speaking))
            await added(box, server, watch)  # connects, and opens the speaker
            times = [await added(box, server, watch) for _ in range(n)]
            cuts = [await interrupted(box, server, watch, vad, sound, draw) for sound in spoken]
    await asyncio.to_thread(output.close)
    print(f"added by the box, {len(times)} answers: {_spread(times)} ms")
    for name, place in (("silent after the decision", 0), ("silent after the onset", 1), ("told wrongly by", 2)):
        print(f"{name}, {len(cuts)} interruptions: {_spread([cut[place] for cut in cuts])} ms")
    if failures:
        print("the speaker failed:", {one.code for one in failures})


def _spread(times: Sequence[float]) -> str:
    return f"p50 {percentile(times, 50):.0f}, p95 {percentile(times, 95):.0f}, most {max(times):.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=20)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--first", action="store_true", help="the first turn of a talk, and nothing else")
    parser.add_argument("--handshake-ms", type=float, default=300.0)
    parser.add_argument("--inner", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.first:
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(measure_first(args.n, Path(folder), args.handshake_ms))
        return
    if args.inner is not None:
        asyncio.run(measure(args.n, args.data, args.inner))
        return
    with tempfile.TemporaryDirectory() as folder, running(Path(folder) / "pulse") as pulse:
        inner = ["-m", "benchmarks.cloud_speech", "--n", str(args.n), "--data", str(args.data), "--inner", folder]
        subprocess.run([sys.executable, *inner], env=os.environ | pulse.environ, check=True)


if __name__ == "__main__":
    main()
