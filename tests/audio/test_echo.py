"""The box does not hear itself, and hears others all the same: its own voice through a simulated room, the real
canceller, the real voice detector and the real model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from agentbox.asr.load import load_engine
from agentbox.audio.ear import Ear
from agentbox.audio.echo import LEARN_S, TAIL_MS, Echo, webrtc
from agentbox.audio.echo_delay import EchoDelay
from agentbox.audio.mixer import RATE_HZ
from agentbox.audio.segment import Samples, Started, Stirred
from agentbox.audio.vad import SileroVad
from agentbox.bench.echo import Room, heard, spaced
from agentbox.bench.speech import replies
from agentbox.config import Audio
from agentbox.messages import SAMPLE_RATE_HZ
from agentbox.tts.hibari import HibariVoice
from tests.daemon.conftest import SAMPLE

needs_canceller = pytest.mark.skipif(webrtc() is None, reason="pywebrtc-audio is not installed")


@pytest.fixture(scope="module")
def vad(models_dir: Path) -> SileroVad:
    return a_vad(models_dir)


def a_vad(models_dir: Path) -> SileroVad:
    return SileroVad(next(models_dir.glob("silero*/*.onnx")))


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Samples:
    """Three quarters of a minute of the box's own voice."""
    voice = HibariVoice(tmp_path_factory.mktemp("voices"))
    return spaced([voice.say(text) for text in replies(9)])


def energy(sound: Samples) -> float:
    return float(np.square(sound.astype(np.float64)).sum())


@needs_canceller
@pytest.mark.parametrize("room", [Room(0, -6), Room(60, -6, seed=2), Room(200, -6, seed=7)], ids=str)
def test_its_own_voice_is_not_taken_for_somebodys(room: Room, own: Samples, vad: SileroVad, models_dir: Path) -> None:
    """In the second room the delay is found late, in the third what the canceller leaves is loud: the box took itself
    for somebody there. That it falls silent once in a minute, and goes on, is what processors may differ by."""
    echo, ear, deaf = Echo(), Ear(Audio(), vad), Ear(Audio(), a_vad(models_dir))
    vad.reset()
    stirred, started, uncancelled, raw, clean = 0, 0, 0, 0.0, 0.0
    for sounds in heard(echo, room, own):
        events = ear.hear(sounds.words, sounds.presence)
        stirred += sum(isinstance(event, Stirred) for event in events)
        started += sum(isinstance(event, Started) for event in events)
        uncancelled += sum(isinstance(event, Stirred) for event in deaf.hear(sounds.raw))
        raw += energy(sounds.raw)
        clean += energy(sounds.presence)
    assert started == 0
    assert stirred <= 1
    assert uncancelled > 3
    assert 10 * np.log10(raw / clean) > 15  # what is left is the microphone's own noise


def test_without_the_package_most_of_the_echo_is_taken_out_all_the_same(own: Samples) -> None:
    echo = Echo(lambda: None)
    assert not echo.cancels
    energies = [(energy(sounds.raw), energy(sounds.words)) for sounds in heard(echo, Room(60, -6), own)]
    raw, left = np.sum(energies[-150:], axis=0)
    assert 10 * np.log10(raw / left) > 15


@needs_canceller
def test_who_speaks_meanwhile_is_heard(own: Samples, vad: SileroVad, models_dir: Path) -> None:
    from agentbox.audio.files import read_file

    sample = np.concatenate(list(read_file(SAMPLE)))[SAMPLE_RATE_HZ * 3 : SAMPLE_RATE_HZ * 8].astype(np.float32)
    echo = Echo()
    at = 20 * SAMPLE_RATE_HZ
    others = np.zeros(own.size * SAMPLE_RATE_HZ // RATE_HZ, dtype=np.float32)
    others[at : at + sample.size] = sample
    clean = np.concatenate([sounds.words for sounds in heard(echo, Room(60, -10), own, others)])
    engine = load_engine("moonshine-tiny-en", "en", models_dir)
    said = clean[at - 1600 : at + sample.size].astype(np.float32) / 32768.0
    assert "timer for ten minutes" in engine.transcribe(said, language="en").text.lower().replace("10", "ten")


@needs_canceller
def test_nothing_is_listened_to_until_the_room_is_learnt(own: Samples) -> None:
    echo = Echo()
    loud = 0.0
    for sounds in heard(echo, Room(20, -6), own[: int(RATE_HZ * LEARN_S)]):
        loud = max(loud, float(np.abs(sounds.words).max(initial=0)))
    assert loud <= 60  # the microphone's own noise, before the first sound


@given(st.lists(st.integers(0, 4000), min_size=1, max_size=40), st.booleans())
@settings(max_examples=30, deadline=None)
def test_no_sample_is_lost_or_made_up(sizes: list[int], plays: bool) -> None:
    """Blocks of any size, with the box silent or not."""
    echo = Echo(lambda: Through())
    draw = np.random.default_rng(1)
    at, given_blocks, got_blocks = 0, [], []
    for number, size in enumerate(sizes):
        if plays and number % 3 == 1:
            echo.played(np.full(480, 1000, dtype=np.int16), at / SAMPLE_RATE_HZ + 0.05)
        block = draw.integers(-9000, 9000, size).astype(np.int16)
        at += size
        given_blocks.append(block)
        got_blocks.append(echo.cleaned(block, at / SAMPLE_RATE_HZ).presence)
    got, whole = np.concatenate(got_blocks), np.concatenate(given_blocks)
    assert whole.size - got.size < SAMPLE_RATE_HZ // 100
    listened = got != 0  # until the room is learnt, it is silence
    assert (got[listened] == whole[: got.size][listened]).all()


class Through:
    """A canceller that leaves all as it is."""

    def process(self, near: object, far: object) -> object:
        return near


def test_it_is_known_when_the_box_may_be_heard() -> None:
    echo = Echo(lambda: None)
    assert not echo.cancels
    assert not echo.audible(1.0)
    echo.played(np.full(RATE_HZ, 1000, dtype=np.int16), 11.0)
    assert echo.audible(10.5)
    assert echo.audible(11.0 + TAIL_MS / 1000 - 0.01)
    assert not echo.audible(11.0 + TAIL_MS / 1000 + 0.01)
    # Silence that is played is not heard.
    echo.played(np.zeros(RATE_HZ, dtype=np.int16), 12.0)
    assert not echo.audible(11.9)


def test_a_device_that_was_closed_meanwhile_plays_on_at_the_right_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentbox.audio.echo.NO_ECHO_S", 0.0)
    shown: list[np.ndarray[tuple[int], np.dtype[np.float32]]] = []

    class Listens(Through):
        def process(self, near: object, far: object) -> object:
            assert isinstance(far, np.ndarray)
            shown.append(far.copy())
            return near

    echo = Echo(lambda: Listens())
    tone = np.full(RATE_HZ // 50, 9000, dtype=np.int16)
    for begin_s in (1.0, 31.0):
        shown.clear()
        for number in range(20):
            echo.played(tone, begin_s + (number + 1) / 50)
        for number in range(300):
            echo.cleaned(np.zeros(1600, dtype=np.int16), begin_s + (number + 1) / 10)
        far = np.concatenate(shown)
        # From the first block on until 30 ms before the end of the fifth; then the room sounds on, and that is all.
        loud = np.flatnonzero(np.abs(far) > 0.1)
        assert loud[0] <= 160
        assert loud[-1] == pytest.approx(SAMPLE_RATE_HZ * 0.37, abs=700)
        assert far.size <= SAMPLE_RATE_HZ


@pytest.mark.parametrize("delay_ms", [-30, 0, 45, 200, 350])
@pytest.mark.parametrize("level_db", [-6, -25])
def test_the_delay_is_told_by_the_sounds(delay_ms: int, level_db: int, own: Samples) -> None:
    far = soxr.resample(own.astype(np.float32) / 32768.0, RATE_HZ, SAMPLE_RATE_HZ)[: 20 * SAMPLE_RATE_HZ]
    near = Room(max(delay_ms, 0), level_db).echo(own)[: far.size]
    near = (near + np.random.default_rng(1).normal(0, 10, near.size).astype(np.float32)) / 32768.0
    late = max(-delay_ms, 0) * SAMPLE_RATE_HZ // 1000
    far = np.concatenate([np.zeros(late, dtype=np.float32), far])[: near.size]
    delay = EchoDelay()
    for first in range(0, near.size, 1600):
        delay.feed(near[first : first + 1600], far[first : first + 1600])
    assert delay.samples == pytest.approx(delay_ms * SAMPLE_RATE_HZ / 1000, abs=16)


def test_where_nothing_comes_back_there_is_no_delay(own: Samples) -> None:
    far = soxr.resample(own.astype(np.float32) / 32768.0, RATE_HZ, SAMPLE_RATE_HZ)
    near = np.random.default_rng(2).normal(0, 0.01, far.size).astype(np.float32)
    delay = EchoDelay()
    for first in range(0, far.size, 1600):
        delay.feed(near[first : first + 1600], far[first : first + 1600])
    assert delay.samples is None
    assert delay.looked_s > 10


@needs_canceller
def test_with_a_headset_it_listens_while_it_speaks(own: Samples) -> None:
    """Nothing comes back: after a while it is believed."""
    loud = [
        float(np.abs(sounds.words).max(initial=0))
        for sounds in heard(Echo(), Room(0, -200), own, np.full(own.size, 500, dtype=np.float32))
    ]
    assert max(loud[-100:]) > 0


@needs_canceller
def test_a_box_that_was_moved_learns_its_new_place(own: Samples, vad: SileroVad) -> None:
    echo, ear = Echo(), Ear(Audio(), vad)
    twice = np.concatenate([own, own])
    near = Room(10, -10).echo(twice)
    near[near.size // 2 :] = Room(150, -10, seed=3).echo(twice)[near.size // 2 :]

    class Moved(Room):
        def echo(self, played: Samples) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
            return near.copy()

    starts = [
        ear.position / SAMPLE_RATE_HZ - own.size / RATE_HZ
        for sounds in heard(echo, Moved(0, 0), twice)
        for event in ear.hear(sounds.words, sounds.presence)
        if isinstance(event, Started)
    ]
    # It is misled for some seconds at most.
    assert all(0 < start < 12 for start in starts)


def test_a_short_sound_costs_no_word_that_follows_it() -> None:
    """A sign that the box listens is no speech: what is said after it is heard, though the room is not learnt yet."""
    echo = Echo()
    for number in range(60):
        begin_s = 1.0 + number
        echo.played(np.full(RATE_HZ // 14, 9000, dtype=np.int16), begin_s + 1 / 14, speech=False)
        for block in range(10):
            heard_now = echo.cleaned(np.full(1600, 700, dtype=np.int16), begin_s + (block + 1) / 10)
            assert (heard_now.words == 700).all()
            assert heard_now.presence.any()
