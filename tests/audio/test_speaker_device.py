"""The speaker's threads, on a device that stands in for those no test machine has: slow, stuck, coming and going."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from agentbox.audio.devices import Device
from agentbox.audio.mixer import RATE_HZ, State, Track
from agentbox.audio.output import Output
from agentbox.errors import AudioError
from agentbox.messages import Notice
from tests.audio.stand_in import stand_in

BLOCK = RATE_HZ // 100


class FakeStream:
    """Asks for 10 ms every 2 ms, in a thread of its own, until it is aborted."""

    def __init__(self, driver: FakeDriver, callback: Callable[..., None], finished: Callable[[], None]) -> None:
        self._driver = driver
        self._callback = callback
        self._finished = finished
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        time.sleep(self._driver.start_s)
        self._thread.start()

    def _run(self) -> None:
        while not self._over.wait(0.002):
            if self._driver.asks:
                block = bytearray(2 * BLOCK)
                times = SimpleNamespace(outputBufferDacTime=1.0 + self._driver.delay_s, currentTime=1.0)
                self._callback(memoryview(block), BLOCK, times, None)
                self._driver.heard += int(np.count_nonzero(np.frombuffer(block, np.int16)))

    def abort(self, ignore_errors: bool = False) -> None:
        time.sleep(self._driver.abort_s)
        self._over.set()
        self._finished()

    def close(self, ignore_errors: bool = False) -> None:
        self._over.set()


class FakeDriver:
    """As much of sounddevice as `Output` uses."""

    class PortAudioError(Exception):
        pass

    def __init__(self) -> None:
        self.start_s = self.abort_s = self.delay_s = 0.0
        self.asks = self.there = True
        self.heard = 0
        """Samples that were not silent."""
        self.opened = 0

    def RawOutputStream(self, **settings: Any) -> FakeStream:  # noqa: N802 - sounddevice's name
        self.opened += 1
        return FakeStream(self, settings["callback"], settings["finished_callback"])

    def find(self, *_: object) -> Device:
        if not self.there:
            raise AudioError("no_device", "This machine has no speaker.", "Plug one in.")
        return Device(0, "Fake", 0, 1, RATE_HZ, False, True)


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> FakeDriver:
    made = FakeDriver()
    stand_in(monkeypatch, "output", made, made.find)
    monkeypatch.setattr("agentbox.audio.output.refresh", lambda _: True)
    for name, seconds in (("LINGER_S", 0.05), ("RETRY_S", 0.05), ("_LOOK_S", 0.01), ("LOST_AFTER_S", 0.3)):
        monkeypatch.setattr(f"agentbox.audio.output.{name}", seconds)
    return made


@pytest.fixture
def notices() -> list[str]:
    return []


@pytest.fixture
def speaker(driver: FakeDriver, notices: list[str]) -> Iterator[Output]:
    made = Output("default", lambda notice: notices.append(notice.code))
    yield made
    made.close()
    assert not made._thread.is_alive()
    assert not made.mixer.busy


def loud(seconds: float) -> Any:
    return np.full(int(seconds * RATE_HZ), 1_000, dtype=np.int16)


def until(met: Callable[[], bool], limit_s: float = 10.0) -> None:
    deadline = time.monotonic() + limit_s
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_what_was_heard_stays_heard(speaker: Output, driver: FakeDriver) -> None:
    driver.delay_s = 0.1
    track = speaker.open("speech")
    track.add(loud(1.0))
    until(lambda: track.left_frames == 0)
    assert speaker.heard_ms(track) < 1_000
    track.pause()
    until(lambda: speaker.heard_ms(track) == 1_000)
    until(lambda: driver.opened == 1 and not speaker._blocks)
    assert speaker.heard_ms(track) == track.played_ms == 1_000
    track.resume()
    track.add(loud(0.5), last=True)
    until(lambda: track.over)
    until(lambda: speaker.heard_ms(track) == 1_500)


def test_a_talk_that_was_cut_off_is_not_old_because_it_is_long(
    speaker: Output, driver: FakeDriver, notices: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agentbox.audio.output.STALE_S", 0.6)
    track = speaker.open("speech")
    track.add(loud(60.0), last=True)
    time.sleep(0.8)
    driver.there = driver.asks = False
    until(lambda: notices == ["speaker_lost"])
    time.sleep(0.2)
    assert not track.over
    driver.there = driver.asks = True
    until(lambda: notices == ["speaker_lost", "speaker_back"])
    driver.there = driver.asks = False
    until(lambda: track.state is State.STOPPED)


def test_a_device_that_opens_slowly_is_no_lost_one(speaker: Output, driver: FakeDriver, notices: list[str]) -> None:
    driver.start_s = 0.5
    track = speaker.open("speech")
    track.add(loud(0.2), last=True)
    until(lambda: track.state is State.DONE)
    assert notices == []
    assert driver.opened == 1


def test_a_device_that_never_asks_is_told_of_once(speaker: Output, driver: FakeDriver, notices: list[str]) -> None:
    driver.asks = False
    speaker.open("speech").add(loud(0.1), last=True)
    until(lambda: driver.opened >= 3)
    assert notices == ["speaker_lost"]


def test_silence_holds_no_device_whatever_waits(speaker: Output, driver: FakeDriver) -> None:
    track = speaker.open("speech")
    track.add(loud(0.05))
    until(lambda: track.played_frames > 0)
    for again in range(2):
        until(lambda: not speaker._blocks)
        time.sleep(0.1)
        heard = driver.heard
        track.add(loud(0.05), last=bool(again))
        until(lambda: driver.heard > heard)  # noqa: B023 (asked at once)
    until(lambda: track.over)
    assert driver.opened == 3


@pytest.mark.parametrize("abort_s", [0.0, 0.05])
def test_nothing_is_lost_when_it_comes_while_the_device_is_closed(
    abort_s: float, speaker: Output, driver: FakeDriver
) -> None:
    driver.abort_s = abort_s
    draw = random.Random(1)
    tracks: list[Track] = []
    for _ in range(40):
        tracks.append(track := speaker.open("sound"))
        track.add(loud(0.02), last=True)
        time.sleep(draw.uniform(0.04, 0.12))
    until(lambda: all(track.over for track in tracks))
    until(lambda: not speaker._blocks)
    assert all(track.state is State.DONE for track in tracks)
    assert driver.heard == sum(track.played_frames for track in tracks) == 40 * int(0.02 * RATE_HZ)


def test_close_ends_what_would_never_end(driver: FakeDriver) -> None:
    ended: list[Track] = []
    speaker = Output("default", lambda notice: None, on_end=ended.append)
    unfinished, held, long, short = (speaker.open(lane) for lane in ("speech", "speech", "alert", "sound"))
    unfinished.add(loud(0.1))
    held.pause()
    long.add(loud(30.0), last=True)
    short.add(loud(0.05), last=True)
    speaker.close()
    assert long.played_frames < 20 * RATE_HZ, "nobody waits for its end"
    assert {track.state for track in (unfinished, held, long)} == {State.STOPPED}
    assert short.state is State.DONE
    assert len(ended) == 4
    late = speaker.open("sound")
    late.add(loud(0.1), last=True)
    assert late.left_frames == 0
    driver.there = False
    other = Output("default", lambda notice: None)
    track = other.open("sound")
    track.add(loud(0.1), last=True)
    until(lambda: other._failed_s is not None)
    other.close()
    assert track.state is State.STOPPED


def test_a_stream_that_was_given_up_takes_nothing_more(
    speaker: Output, driver: FakeDriver, notices: list[Notice]
) -> None:
    driver.abort_s = 0.3
    first = speaker.open("speech")
    first.add(loud(0.05), last=True)
    until(lambda: first.over)
    until(lambda: not speaker._blocks)
    second = speaker.open("speech")
    second.add(loud(3.0), last=True)
    until(lambda: second.over and not speaker._blocks)
    # The old stream still asked for a while, beside the new one.
    assert driver.heard == int(0.05 * RATE_HZ) + 3 * RATE_HZ
    assert notices == []
