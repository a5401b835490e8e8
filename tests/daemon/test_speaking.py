"""The box's voice: replies said one after the other, held, gone on with, and hushed; on the real mixer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import cast

import msgspec
import numpy as np
import pytest

from agentbox.audio.mixer import RATE_HZ, Lane, Mixer, State, Track
from agentbox.audio.output import Output
from agentbox.config import ActivationConfig, Audio, Config, Speech
from agentbox.daemon.checks import _voice
from agentbox.daemon.events import Events
from agentbox.daemon.speaking import Speaking
from agentbox.errors import ModelError
from agentbox.messages import Notice, Reply, SoundName, StageEvent
from agentbox.tts.engine import Samples, Voice
from agentbox.tts.load import voice_of

LETTER_MS = 20
BLOCK_MS = 10


class Tone:
    """A voice that says each letter as so much sound."""

    name = "tone"
    languages: tuple[str, ...] = ("en",)
    sample_rate_hz = RATE_HZ

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str, pace: float = 1.0) -> Samples:
        self.said.append(text)
        return np.full(len(text) * LETTER_MS * RATE_HZ // 1000, 1000, dtype=np.int16)

    def close(self) -> None:
        """Nothing is held."""


class Speaker:
    """As much of `Output` as speaking uses, with a device that plays as fast as the test lets it."""

    def __init__(self) -> None:
        self.mixer = Mixer()
        self.sounds: list[tuple[SoundName, Lane, float]] = []
        self.heard = np.zeros(0, dtype=np.int16)

    def play(self, name: SoundName, lane: Lane = "sound", volume: float = 1.0) -> bool:
        self.sounds.append((name, lane, volume))
        return True

    def open(self, lane: Lane, volume: float = 1.0) -> Track:
        return self.mixer.open(lane, 0.0, volume)

    def heard_ms(self, track: Track) -> float:
        return track.played_ms

    async def pump(self, until: Callable[[], bool], most_ms: int = 60_000) -> None:
        """Play until something has come about."""
        for _ in range(most_ms // BLOCK_MS):
            if until():
                return
            block = self.mixer.mix(RATE_HZ * BLOCK_MS // 1000)
            self.heard = np.concatenate([self.heard, block])
            await asyncio.sleep(0.001)
        raise AssertionError("it did not come about")


class Box:
    def __init__(self, config: Config, load: Callable[..., Voice]) -> None:
        self.events = Events()
        self.told: list[StageEvent] = []
        self.events.subscribe(self.told.append)
        self.speaker = Speaker()
        self.ended: list[tuple[str, bool]] = []
        self.speaking = Speaking(
            config,
            cast(Output, self.speaker),
            self.events,
            cache=None,
            ended=lambda reply, whole: self.ended.append((reply.text, whole)),
            load=load,
            clock=lambda: datetime(2026, 11, 22, 12, 0),  # noqa: DTZ001 - a clock on the wall
        )
        self.events.subscribe(self.speaking)

    def reply(self, text: str, turn: str = "1", **fields: object) -> None:
        reply = msgspec.convert(
            {"utterance_id": turn, "text": text, "sound": "done", "outcome": "done", **fields, "type": "Reply"}, Reply
        )
        self.events.emit("reply", reply.outcome, utterance_id=turn, message=reply)

    @property
    def states(self) -> list[str]:
        return [event.state for event in self.told if event.stage == "speaking"]

    async def until(self, state: str, count: int = 1) -> None:
        await self.speaker.pump(lambda: self.states.count(state) >= count)


@asynccontextmanager
async def box(config: Config | None = None, load: Callable[..., Voice] | None = None) -> AsyncIterator[Box]:
    made = Box(config or Config(), load or (lambda *_: Tone()))
    try:
        yield made
    finally:
        await made.speaking.close()


async def test_a_reply_is_said_and_told_of() -> None:
    async with box() as made:
        made.reply("It is noon.")
        assert made.speaking.saying
        await made.until("ended")
        assert made.states == ["started", "ended"]
        assert made.speaker.sounds == []
        [ended] = [event for event in made.told if event.state == "ended"]
        assert ended.timings["heard_ms"] == pytest.approx(len("It is noon.") * LETTER_MS, abs=BLOCK_MS)
        await made.speaker.pump(lambda: bool(made.ended))
        assert made.ended == [("It is noon.", True)]
        assert not made.speaking.saying


async def test_it_goes_on_with_the_very_sample_it_was_held_at() -> None:
    async with box() as made:
        made.reply("It is noon, and there is more to say.")
        await made.until("started")
        assert made.speaking.hold()
        assert not made.speaking.hold()
        assert made.speaking.held
        assert not made.speaking.audible
        held = made.speaker.mixer.tracks("speech")[0]
        await made.speaker.pump(lambda: held.state is State.PAUSED)
        at = held.played_frames
        await made.speaker.pump(lambda: made.speaker.heard.size > 40 * RATE_HZ // 1000, 200)
        assert held.played_frames == at
        made.speaking.go_on()
        await made.until("ended")
        assert held.played_ms == len("It is noon, and there is more to say.") * LETTER_MS
        assert made.states == ["started", "paused", "resumed", "ended"]


async def test_stop_is_the_end_of_all_that_was_to_be_said() -> None:
    async with box() as made:
        assert not made.speaking.hush()
        made.reply("There is much to be said.", turn="")
        made.reply("And even more.", turn="")
        await made.until("started")
        assert made.speaking.hush()
        await made.until("stopped")
        await asyncio.sleep(0.05)
        assert made.states == ["started", "stopped"]
        assert made.ended == [("There is much to be said.", False)]


async def test_it_can_be_stopped_before_its_first_sound() -> None:
    gate = asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow(*_: object) -> Voice:
        asyncio.run_coroutine_threadsafe(gate.wait(), loop).result()
        return Tone()

    async with box(load=slow) as made:
        made.reply("It is noon.")
        await asyncio.sleep(0.01)
        assert made.speaking.hush()
        gate.set()
        made.reply("It is one.", turn="2")
        await made.until("ended")
        await made.speaker.pump(lambda: bool(made.ended))
        assert made.ended == [("It is one.", True)]


async def test_an_answer_takes_the_place_of_the_one_before_but_what_rings_is_told() -> None:
    async with box() as made:
        made.reply("The first answer.")
        await made.until("started")
        made.reply("Your timer is done.", turn="", outcome="alert", sound="timer")
        made.reply("The second answer.", turn="2")
        await made.until("ended", 2)
        await made.speaker.pump(lambda: len(made.ended) == 3)
        assert made.ended == [("The first answer.", False), ("Your timer is done.", True), ("The second answer.", True)]
        assert made.speaker.sounds == [("timer", "alert", 1.0)]


async def test_long_texts_are_not_made_long_before_they_are_heard() -> None:
    voice = Tone()
    async with box(load=lambda *_: voice) as made:
        made.reply(" ".join(f"This is sentence number {number} of very many." for number in range(60)))
        await made.until("started")
        await asyncio.sleep(0.2)
        assert len(voice.said) < 15
        made.speaking.hush()
        await made.until("stopped")


async def test_a_voice_that_cannot_be_had_leaves_the_sounds() -> None:
    def none(*_: object) -> Voice:
        raise ModelError("voice_missing", "There is no voice.", "Install one.")

    async with box(load=none) as made:
        made.reply("It is noon.")
        await made.speaker.pump(lambda: bool(made.speaker.sounds))
        assert made.speaker.sounds == [("done", "sound", 1.0)]
        assert [event.state for event in made.told if event.stage == "notice"] == ["voice_missing"]
        assert made.states == []


async def test_a_voice_with_a_fault_as_it_loads_leaves_the_sounds_and_is_told_once() -> None:
    def faulty(*_: object) -> Voice:
        raise KeyError("no such table")

    async with box(load=faulty) as made:
        for turn in ("1", "2"):
            made.reply("It is noon.", turn=turn)
            await made.speaker.pump(lambda turn=turn: len(made.ended) == int(turn))  # type: ignore[misc]
        assert made.speaker.sounds == [("done", "sound", 1.0)] * 2
        [told] = [event.message for event in made.told if event.stage == "notice"]
        assert isinstance(told, Notice)
        assert told.code == "voice_failed"
        # What the package says may hold anything; its kind is enough.
        assert "KeyError" in told.what
        assert "no such table" not in told.what


def test_doctor_tells_of_a_voice_that_does_not_load(monkeypatch: pytest.MonkeyPatch) -> None:
    def faulty(speech: Speech, language: str, cache: Path | None) -> Voice:
        raise KeyError("no such table")

    monkeypatch.setattr(
        "agentbox.daemon.checks.voice_of", lambda speech, language, cache: voice_of(speech, language, cache, faulty)
    )
    found = _voice(Config())
    assert (found.state, found.what.endswith("[voice_failed]")) == ("warn", True)
    assert _voice(Config(speech=Speech(verbosity="sounds"))).state == "ok"


async def test_a_voice_that_fails_ends_what_it_said() -> None:
    class Broken(Tone):
        def say(self, text: str, pace: float = 1.0) -> Samples:
            if self.said:
                raise ModelError("voice_failed", "It broke.", "")
            return super().say(text, pace)

    async with box(load=lambda *_: Broken()) as made:
        made.reply("The first sentence of it. The second sentence of it.")
        await made.until("ended")
        assert [event.state for event in made.told if event.stage == "notice"] == ["voice_failed"]


@pytest.mark.real_time
async def test_it_knows_what_it_said_when() -> None:
    async with box() as made:
        made.reply("It is noon.")
        await made.until("started")
        [began] = [event.monotonic_s for event in made.told if event.state == "started"]
        assert made.speaking.said(began - 1.0, began + 0.01) == "It is noon."
        assert made.speaking.said(began - 2.0, began - 1.0) == ""
        await made.until("ended")
        [over] = [event.monotonic_s for event in made.told if event.state == "ended"]
        assert made.speaking.said(over - 0.001, over + 9.0) == "It is noon."
        assert made.speaking.said(over + 0.01, over + 9.0) == ""


@pytest.mark.parametrize(
    ("feedback", "signs"), [("pause", {"awaited"}), ("at_once", {"noticed"}), ("none", set[str]())]
)
async def test_it_shows_once_that_it_listens(feedback: str, signs: set[str]) -> None:
    config = Config(activation=ActivationConfig(feedback=feedback))  # type: ignore[arg-type]
    async with box(config) as made:
        for state in ("noticed", "awaited"):
            made.events.emit("activation", state, utterance_id="1")
            assert made.speaker.sounds == ([("heard", "sound", 1.0)] if state in signs or made.speaker.sounds else [])
        # The phrase stood alone: a sign that was given is not given again, and one is given at last.
        made.reply("", sound="heard", outcome="attention")
        assert made.speaker.sounds == [("heard", "sound", 1.0)]


async def test_without_sounds_and_words_nothing_is_played() -> None:
    config = Config(audio=Audio(sounds=False), speech=Speech(verbosity="sounds"))
    async with box(config, lambda *_: pytest.fail("no voice is wanted")) as made:
        made.reply("It is noon.")
        made.events.emit("activation", "awaited", utterance_id="1")
        await asyncio.sleep(0.02)
        assert made.speaker.sounds == []
        assert made.ended == [("It is noon.", True)]
        made.speaking.configure(msgspec.structs.replace(config, speech=Speech(verbosity="sounds", pace=2.0)))


async def test_a_new_configuration_counts_from_the_next_reply_on() -> None:
    paces: list[float] = []

    class Paced(Tone):
        def say(self, text: str, pace: float = 1.0) -> Samples:
            paces.append(pace)
            return super().say(text, pace)

    async with box(load=lambda *_: Paced()) as made:
        made.reply("It is noon.")
        await made.until("ended")
        made.speaking.configure(Config(speech=Speech(pace=1.5)))
        made.reply("It is one.", turn="2")
        await made.until("ended", 2)
    assert paces == [1.0, 1.5]


async def test_a_new_configuration_does_not_cut_off_what_is_being_said() -> None:
    async with box() as made:
        made.reply("This is said to its very end, whatever comes meanwhile. And this as well, for it is the same.")
        await made.until("started")
        made.speaking.configure(Config(speech=Speech(pace=1.5)))
        await made.until("ended")
        [ended] = [event for event in made.told if event.state == "ended"]
        # (The space between the sentences is not said.)
        assert ended.timings["heard_ms"] == pytest.approx(92 * LETTER_MS, abs=2 * LETTER_MS)


async def test_a_voice_with_a_fault_does_not_make_it_mute() -> None:
    class Faulty(Tone):
        def say(self, text: str, pace: float = 1.0) -> Samples:
            if "odd" in text:
                raise KeyError(text)
            return super().say(text, pace)

    async with box(load=lambda *_: Faulty()) as made:
        made.reply("This is an odd text.")
        await made.until("stopped")
        await asyncio.sleep(0.01)
        made.reply("This is not.", turn="2")
        await made.until("ended")
        await made.speaker.pump(lambda: made.ended[-1][0] == "This is not.")
        assert made.ended[-1] == ("This is not.", True)


async def test_what_rings_is_told_after_an_interruption() -> None:
    async with box() as made:
        made.reply("The answer to a question.")
        await made.until("started")
        made.speaking.hold()
        made.reply("Take your pills.", turn="", outcome="alert", sound="timer")
        made.speaking.outdate()
        await made.until("ended")
        await made.speaker.pump(lambda: len(made.ended) == 2)
        assert made.ended == [("The answer to a question.", False), ("Take your pills.", True)]


async def test_the_voice_is_made_ready_when_the_ears_are() -> None:
    loaded: list[bool] = []

    def load(*_: object) -> Voice:
        loaded.append(True)
        return Tone()

    async with box(load=load) as made:
        await asyncio.sleep(0.02)
        assert loaded == []
        made.events.emit("box", "started")
        await made.speaker.pump(lambda: bool(loaded))
        made.reply("It is noon.")
        await made.until("ended")
        assert loaded == [True]
