"""The speaker, on a real sound server: what it plays can be heard, and a machine without one is told once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import numpy as np
import pytest

from agentbox.audio.devices import Device
from agentbox.audio.mixer import RATE_HZ, State, Track
from agentbox.audio.output import MOST_WAITING, Output
from agentbox.audio.sounds import sound
from agentbox.errors import AudioError
from agentbox.messages import Notice
from tests.audio.stand_in import Driver, stand_in
from tests.pulse import Pulse, running

PROGRAM = """
import sys
from agentbox.audio.output import Output
speaker = Output("default", lambda notice: sys.exit(notice.what))
for name in ("heard", "done"):
    assert speaker.play(name)
speaker.close()
"""


@pytest.fixture
def pulse(tmp_path: Path) -> Iterator[Pulse]:
    with running(tmp_path / "pulse") as server:
        yield server


def test_what_it_plays_is_heard(pulse: Pulse, tmp_path: Path) -> None:
    recorded = tmp_path / "heard.raw"
    environ = {**os.environ, **pulse.environ}
    with pulse.recording(recorded):
        subprocess.run([sys.executable, "-c", PROGRAM], env=environ, check=True, timeout=60)
    samples = np.frombuffer(recorded.read_bytes(), dtype=np.int16)
    spectrum = np.abs(np.fft.rfft(samples.astype(np.float64)))
    frequencies = np.fft.rfftfreq(samples.size, 1 / 16_000)
    # "heard" is 880 Hz, "done" is 660 and 880 Hz.
    for wanted_hz in (660.0, 880.0):
        near = spectrum[np.abs(frequencies - wanted_hz) < 8].max()
        assert near > 20 * np.median(spectrum[(frequencies > 1500) & (frequencies < 6000)]) + 1
    assert np.abs(samples).max() > 0.5 * np.abs(sound("done")).max()


def test_a_machine_without_a_speaker_is_told_of_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentbox.audio.devices.list_devices", list)
    notices: list[Notice] = []
    speaker = Output("default", notices.append)
    for _ in range(3):
        assert speaker.play("done")
    speaker.close()
    assert [notice.code for notice in notices] == ["no_device"]


def test_a_stuck_device_does_not_pile_up_sounds(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    monkeypatch.setattr("agentbox.audio.output.find_device", lambda *_: release.wait(10) and _no_device())
    notices: list[Notice] = []
    speaker = Output("default", notices.append)
    taken = [speaker.play("done") for _ in range(MOST_WAITING + 3)]
    assert sum(taken) == MOST_WAITING
    assert speaker.play("timer", "alert"), "another lane has room of its own"
    release.set()
    speaker.close()
    assert [notice.code for notice in notices] == ["no_device"]


def _no_device() -> NoReturn:
    raise AudioError("no_device", "This machine has no speaker.", "Plug one in.")


def test_what_nobody_could_hear_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentbox.audio.output.find_device", lambda *_: _no_device())
    monkeypatch.setattr("agentbox.audio.output.RETRY_S", 0.05)
    monkeypatch.setattr("agentbox.audio.output.STALE_S", 0.2)
    ended: list[Track] = []
    speaker = Output("default", lambda notice: None, on_end=ended.append)
    track = speaker.open("speech")
    track.add(sound("done"))
    deadline = time.monotonic() + 10
    while not ended and time.monotonic() < deadline:
        time.sleep(0.02)
    assert (ended, track.state, track.played_frames) == ([track], State.STOPPED, 0)
    speaker.close()


def test_a_device_that_cannot_do_24_khz_mono_is_played_to_as_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = Driver(44_100, 2)
    device = Device(0, "USB", 0, 2, 44_100, False, True)
    stand_in(monkeypatch, "output", driver, lambda *_: device)
    heard: list[int] = []
    speaker = Output(
        "default", lambda notice: pytest.fail(notice.what), on_block=lambda block, _, speech: heard.append(block.size)
    )
    track = speaker.open("speech")
    tone = (8_000 * np.sin(2 * np.pi * 440 * np.arange(RATE_HZ) / RATE_HZ)).astype(np.int16)
    track.add(tone, last=True)
    while driver.callback is None:
        time.sleep(0.01)
    out = bytearray()
    while not track.over:
        block = bytearray(4 * 441)
        driver.callback(memoryview(block), 441, SimpleNamespace(outputBufferDacTime=1.01, currentTime=1.0), None)
        out += block
    assert driver.tried == [(24_000, 1), (44_100, 1), (44_100, 2)]
    # Longer than what a sound server takes at once for other programs (25 ms): else it runs dry at the beginning.
    assert driver.block_frames is not None
    assert driver.block_frames > 0.025 * 44_100
    left, right = np.frombuffer(out, dtype=np.int16).reshape(-1, 2).T
    np.testing.assert_array_equal(left, right)
    assert left.size == pytest.approx(44_100, abs=1_000)
    expected = 8_000 * np.sin(2 * np.pi * 440 * np.arange(44_100) / 44_100)
    begin = int(np.flatnonzero(np.abs(left) > 100)[0])
    shifted = max(np.corrcoef(left[begin : begin + 20_000], expected[at : at + 20_000])[0, 1] for at in range(101))
    assert shifted > 0.999
    assert sum(heard) >= RATE_HZ
    assert track.played_frames == RATE_HZ
    assert speaker.heard_ms(track) <= 1_000.0
    speaker.close()


class Probe:
    """The output in a process of its own, and what it tells."""

    def __init__(self, pulse: Pulse, *arguments: str) -> None:
        command = [sys.executable, "-m", "tests.audio.output_probe", *arguments]
        environ = {**os.environ, **pulse.environ, "HOME": str(pulse.folder)}
        self.process = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True)

    def next(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        told: dict[str, Any] = json.loads(self.process.stdout.readline())
        return told

    def rest(self) -> list[dict[str, Any]]:
        out, _ = self.process.communicate(timeout=60)
        return [json.loads(line) for line in out.splitlines()]


def loud_ms(recorded: Path) -> float:
    """How long something was heard."""
    samples = np.fromfile(recorded, dtype=np.int16)
    pieces = samples[: samples.size // 160 * 160].reshape(-1, 160)
    return 10.0 * int((np.abs(pieces).max(axis=1) > 2_000).sum())


@pytest.mark.parametrize("stop", [(), ("stop-after", "1.0")])
def test_it_knows_how_much_was_heard(stop: tuple[str, ...], pulse: Pulse, tmp_path: Path) -> None:
    for _ in range(5):
        with pulse.recording(tmp_path / "heard.raw"):
            over, closed = Probe(pulse, "2.0", *stop).rest()[1:]
        if not closed["underruns"]:
            break
    else:
        pytest.skip("this machine is too busy to play two seconds without a gap")
    assert over["state"] == ("stopped" if stop else "done")
    assert over["heard_ms"] <= over["played_ms"]
    assert closed["heard_in_the_end_ms"] == pytest.approx(over["played_ms"], abs=1)
    # Within the 20 ms of a fade and the 10 ms of the measure.
    assert loud_ms(tmp_path / "heard.raw") == pytest.approx(over["played_ms"], abs=30)
    if not stop:
        assert over["played_ms"] == 2_000.0


def test_a_speaker_that_goes_away_is_found_again_and_the_talk_goes_on(pulse: Pulse, tmp_path: Path) -> None:
    probe = Probe(pulse, "4.0")
    assert probe.next() == {"begun": True}
    time.sleep(0.5)
    pulse.kill()
    assert probe.next() == {"notice": "speaker_lost"}
    pulse.start()
    with pulse.recording(tmp_path / "heard.raw"):
        assert probe.next() == {"notice": "speaker_back"}
        over, _ = probe.rest()
    assert (over["state"], over["played_ms"]) == ("done", 4_000.0)
    assert loud_ms(tmp_path / "heard.raw") > 500
