"""The speaker, on a real sound server: what it plays can be heard, and a machine without one is told once."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from agentbox.audio.playback import QUEUE_LENGTH, Speaker
from agentbox.audio.sounds import sound
from agentbox.messages import Notice
from tests.pulse import Pulse, running

PROGRAM = """
import sys
from agentbox.audio.playback import Speaker
speaker = Speaker("default", lambda notice: sys.exit(notice.what))
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
    speaker = Speaker("default", notices.append)
    for _ in range(3):
        assert speaker.play("done")
    speaker.close()
    assert [notice.code for notice in notices] == ["no_device"]


def test_a_stuck_device_does_not_pile_up_sounds(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    monkeypatch.setattr("agentbox.audio.playback.play", lambda *_: release.wait(10))
    speaker = Speaker("default", lambda notice: None)
    taken = [speaker.play("done") for _ in range(QUEUE_LENGTH + 3)]
    assert not all(taken)
    assert sum(taken) <= QUEUE_LENGTH + 1
    release.set()
    speaker.close()
