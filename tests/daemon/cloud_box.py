"""A box without ears and with a loudspeaker, whose turns may go to the cloud: for the tests of the switch, and for
benchmarks/failover.py."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import msgspec
import numpy as np

from agentbox.asr.engine import Recognition
from agentbox.audio.output import Output
from agentbox.config import Config
from agentbox.daemon.cloud import Cloud
from agentbox.daemon.core import Core, open_core
from agentbox.daemon.events import Events
from agentbox.daemon.hearing import Heard
from agentbox.daemon.making_cloud import make_models
from agentbox.daemon.speaking import Speaking
from agentbox.messages import SAMPLE_RATE_HZ, ActivatedBy, Reply, StageEvent, Transcript, Utterance, new_id
from agentbox.settings import Loaded
from agentbox.tts.engine import Samples
from tests.daemon.test_speaking import BLOCK_MS, Speaker, Tone


class CloudBox:
    """`hear` words; `replies` and `told` are what came of it."""

    def __init__(
        self,
        core: Core,
        speaking: Speaking,
        speaker: Speaker,
        cloud: Cloud | None,
        told: list[StageEvent],
        voice: Tone,
    ) -> None:
        self.core = core
        self.voice = voice
        """The box's own."""
        self.speaking = speaking
        self.speaker = speaker
        self._cloud = cloud
        self.told = told

    @property
    def cloud(self) -> Cloud:
        assert self._cloud is not None
        return self._cloud

    async def hear(
        self,
        text: str,
        seconds: float = 1.0,
        pcm: Samples | None = None,
        by: ActivatedBy | None = "push_to_talk",
        emotion: str | None = None,
        sound_event: str | None = None,
    ) -> str:
        """The owner says something; the turn's id. Returns when the box may be spoken to again. `by`: see `Heard`."""
        sound = np.full(int(seconds * SAMPLE_RATE_HZ), 1_000, np.int16) if pcm is None else pcm
        utterance = Utterance(
            id=new_id(),
            started_at=time.time(),
            first_sample=0,
            pcm=sound.tobytes(),
            speech_ms=sound.size * 1000 // SAMPLE_RATE_HZ,
            silence_ms=0,
            end_reason="silence",
        )
        transcript = Transcript(
            utterance_id=utterance.id,
            text=text,
            engine="none",
            language="en",
            emotion=emotion,
            sound_event=sound_event,
        )
        heard = Heard(utterance, transcript, by, time.monotonic(), {}, Recognition(text))
        async with self.core.turn_lock:
            await self.core.turns.heard(heard)
        return utterance.id

    def replies(self, turn: str) -> list[Reply]:
        """What a turn was answered with."""
        return [one.message for one in self.told if one.utterance_id == turn and isinstance(one.message, Reply)]

    async def answered(self, turn: str, within_s: float = 10.0) -> Reply:
        """The answer to a turn, once it is complete."""
        await self.until(lambda: bool(self.replies(turn)), within_s)
        return self.replies(turn)[0]

    async def quiet(self, within_s: float = 10.0) -> None:
        """Nothing is said, or about to be, any more."""
        await self.until(lambda: not self.speaking.saying, within_s)

    async def until(self, come: Callable[[], bool], within_s: float = 10.0) -> None:
        async with asyncio.timeout(within_s):
            while not come():
                await asyncio.sleep(0.002)

    def states(self, stage: str) -> list[str]:
        return [event.state for event in self.told if event.stage == stage]

    async def egress(self) -> list[dict[str, Any]]:
        """What left the box, oldest first."""
        assert await self.core.journal.settled(5.0)
        return self.core.journal.egress()[::-1]

    async def egress_settled(self) -> list[dict[str, Any]]:
        """The same, once what became of each use is written down: that follows its last sound."""
        async with asyncio.timeout(10.0):
            rows = await self.egress()
            while not all(row["outcome"] for row in rows):
                await asyncio.sleep(0.01)
                rows = await self.egress()
        return rows


@asynccontextmanager
async def cloud_box(
    folder: Path, config: dict[str, Any], speed: float = 8.0, output: Output | None = None
) -> AsyncIterator[CloudBox]:
    """The speaker plays `speed` times as fast as time passes; or `output` is a real one. `AGENTBOX_STATE` must be set
    to `folder`."""
    checked = msgspec.convert({"storage": {"path": str(folder / "box.db")}, **config}, Config)
    events = Events()
    told: list[StageEvent] = []
    events.subscribe(told.append)
    speaker = Speaker()
    voice = Tone()
    speaking = Speaking(checked, output or cast(Output, speaker), events, cache=None, load=lambda *_: voice)
    events.subscribe(speaking)

    async def play() -> None:
        begun, played = time.monotonic(), 0
        while True:
            while played < (time.monotonic() - begun) * speed * 1000 / BLOCK_MS:
                speaker.mixer.mix(24 * BLOCK_MS)
                played += 1
            await asyncio.sleep(0.002)

    playing = asyncio.create_task(play())
    try:
        async with open_core(Loaded(checked, None, None, {}), events, services=False) as core:
            models = make_models(checked, events, core.journal, speaking, core.turn_lock, core._mind)
            await core._close_models()
            core._use_models(models)
            cloud, speaking.elsewhere = models.cloud, models.voice
            yield CloudBox(core, speaking, speaker, cloud, told, voice)
            await speaking.close()
    finally:
        playing.cancel()
