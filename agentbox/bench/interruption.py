"""Benchmark of being interrupted: how soon the box is silent when somebody speaks, and whether it goes on where it was.

The voice, the speaker, the voice detector and the daemon's own wiring are the real ones; what is said to the box is a
recording that is given to it as a microphone gives it, block by block, in real time, so that its first sample is known.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from agentbox.audio.ear import Ear
from agentbox.audio.mixer import FADE_MS, RATE_HZ
from agentbox.audio.output import Output
from agentbox.audio.segment import Ended, Samples, Started, Stirred
from agentbox.audio.vad import SileroVad
from agentbox.config import Audio, Config
from agentbox.daemon.events import Events
from agentbox.daemon.interruption import Interruption
from agentbox.daemon.speaking import Speaking
from agentbox.errors import AudioError
from agentbox.messages import SAMPLE_RATE_HZ, Notice, Reply, StageEvent

TEXT = "On your shopping list: milk, two dozen eggs, sourdough bread, olive oil, a birthday card, and many batteries."
BLOCK_MS = 96
NOISE = 10.0
"""Of a quiet microphone, amplitude of int16."""

ONSET = 300
"""Amplitude of int16 (-41 dBFS) from which a recording speaks."""

LONGEST_S = 30.0


class Silenced(NamedTuple):
    """One interruption."""

    after_decision_ms: float
    """From the voice detector's decision until nothing leaves the speaker."""
    after_onset_ms: float
    """From the first sound of the voice."""
    whole: bool
    """All of the reply was heard in the end, each sample once."""


@dataclass(slots=True)
class Watch:
    """What left the speaker, and when."""

    blocks: list[tuple[Samples, float]] = field(default_factory=list)

    def __call__(self, block: Samples, heard_s: float, speech: bool) -> None:
        self.blocks.append((block, heard_s))

    @property
    def heard(self) -> Samples:
        """All of it, from the first sound to the last."""
        heard = np.concatenate([block for block, _ in self.blocks])
        loud = np.flatnonzero(heard)
        return heard[loud[0] : loud[-1] + 1]

    def silent_s(self, since_s: float) -> float:
        """When the sound that was heard at `since_s` was over."""
        end_s = since_s
        for block, heard_s in list(self.blocks):
            loud = np.flatnonzero(block)
            if heard_s < since_s:
                continue
            if not loud.size:
                break
            end_s = heard_s - (block.size - 1 - int(loud[-1])) / RATE_HZ
            if loud[-1] < block.size - 1:
                break
        return end_s


async def silenced(config: Config, vad: SileroVad, spoken: Sequence[Samples], cache: Path) -> list[Silenced]:
    """Each of `spoken` (16 kHz) interrupts the same reply once. Raises `AudioError` where there is no speaker."""
    events, watch, failures = Events(), Watch(), list[Notice]()
    told: list[StageEvent] = []
    events.subscribe(told.append)
    output = Output(config.audio.output_device, failures.append, on_block=watch)
    speaking = Speaking(config, output, events, cache=cache)
    events.subscribe(Interruption(speaking))
    draw = random.Random(1)
    found = []
    try:
        await _reply(speaking, events, told, watch, failures)
        await _until(told, "ended", failures)
        whole = watch.heard
        for number, sound in enumerate(spoken):
            await _reply(speaking, events, told, watch, failures)
            await asyncio.sleep(draw.uniform(0.5, 2.0))
            decided_s, onset_s = await say_to(sound, Ear(Audio(), vad), events, str(number))
            await asyncio.sleep(0.5)
            silent_s = watch.silent_s(decided_s)
            events.emit("transcript", "not_activated", utterance_id=str(number))
            await _until(told, "ended", failures)
            after_decision_ms, after_onset_ms = ((silent_s - since_s) * 1000 for since_s in (decided_s, onset_s))
            found.append(Silenced(after_decision_ms, after_onset_ms, _is_whole(watch.heard, whole)))
    finally:
        await speaking.close()
        await asyncio.to_thread(output.close)
    return found


async def _reply(
    speaking: Speaking, events: Events, told: list[StageEvent], watch: Watch, failures: list[Notice]
) -> None:
    """Have the box say `TEXT`; returns when it is heard."""
    told.clear()
    watch.blocks.clear()
    speaking(events.emit("reply", "done", message=Reply(utterance_id="", text=TEXT, sound=None, outcome="done")))
    await _until(told, "started", failures)


def _is_whole(heard: Samples, whole: Samples) -> bool:
    """Whether `heard` is `whole` with one pause in it, faded out and in, and not a sample less or more."""
    size = min(heard.size, whole.size)
    same = int(np.argmin(heard[:size] == whole[:size]))
    rest = whole.size - same - 3 * FADE_MS * RATE_HZ // 1000
    return heard.size > whole.size and bool(np.array_equal(heard[-rest:], whole[-rest:]))


async def _until(told: list[StageEvent], state: str, failures: list[Notice]) -> StageEvent:
    for _ in range(int(LONGEST_S / 0.01)):
        for event in told:
            if (event.stage, event.state) == ("speaking", state):
                return event
        if failures:
            raise AudioError(failures[0].code, failures[0].what, failures[0].todo)
        await asyncio.sleep(0.01)
    raise AudioError("device_failed", "The speaker plays nothing.", "agentbox doctor tells more.")


async def say_to(sound: Samples, ear: Ear, events: Events, name: str) -> tuple[float, float]:
    """Give a recording to the ear in real time: when speech was decided on, and when it began."""
    size = BLOCK_MS * SAMPLE_RATE_HZ // 1000
    quiet = np.random.default_rng(1).normal(0, NOISE, 8 * size).astype(np.int16)
    heard = np.concatenate([quiet, sound, quiet])
    onset = quiet.size + int(np.argmax(np.abs(sound.astype(np.int32)) > ONSET))
    began_s = time.monotonic()
    decided_s = 0.0
    for first in range(0, heard.size - size + 1, size):
        await asyncio.sleep(max(0.0, began_s + (first + size) / SAMPLE_RATE_HZ - time.monotonic()))
        for event in ear.hear(heard[first : first + size]):
            if isinstance(event, Stirred) and not decided_s:
                decided_s = time.monotonic()
                events.emit("speech", "stirred")
            if isinstance(event, Started):
                events.emit("speech", "started", utterance_id=name)
    return decided_s, began_s + onset / SAMPLE_RATE_HZ


def utterances(sounds: Iterable[Samples], vad: SileroVad) -> list[Samples]:
    """What is said in recordings, one by one."""
    found = []
    for sound in sounds:
        ear = Ear(Audio(), vad)
        events = [*ear.hear(sound), *ear.finish()]
        found += [event.samples for event in events if isinstance(event, Ended)]
    return found


def starts_in(sounds: Iterable[Samples], vad: SileroVad) -> tuple[float, int]:
    """Hours of noise, and how often it would silence the box."""
    samples = starts = 0
    for sound in sounds:
        ear = Ear(Audio(), vad)
        samples += sound.size
        starts += sum(isinstance(event, Stirred) for event in [*ear.hear(sound), *ear.finish()])
    return samples / SAMPLE_RATE_HZ / 3600, starts
