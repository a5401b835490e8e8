"""The microphone, with a real sound server and a virtual microphone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from agentbox.audio.devices import Device, find_device
from agentbox.errors import AudioError
from tests.pulse import Pulse, running

PROBE = Path(__file__).with_name("capture_probe.py")


@pytest.fixture(scope="module")
def pulse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pulse]:
    with running(tmp_path_factory.mktemp("pulse")) as server:
        yield server


class Probe:
    def __init__(self, pulse: Pulse, out: Path, device: str = "default") -> None:
        self.out = out
        self.process = subprocess.Popen(
            [sys.executable, str(PROBE), str(out), device],
            env={**os.environ, **pulse.environ},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def line(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def end(self) -> dict[str, object]:
        output, _ = self.process.communicate(timeout=30)
        return json.loads(output.splitlines()[-1])  # type: ignore[no-any-return]


def test_what_is_played_is_what_is_captured(pulse: Pulse, tmp_path: Path) -> None:
    original = np.random.default_rng(3).integers(-8000, 8000, 32_000, dtype=np.int16)
    soundfile.write(tmp_path / "noise.wav", original, 16000)
    probe = Probe(pulse, tmp_path / "got.npy")
    assert probe.line() == "open"
    assert probe.line() == "hearing"
    pulse.play(tmp_path / "noise.wav")
    pulse.play(tmp_path / "noise.wav")  # time for the tail of the first to arrive
    report = probe.end()
    assert report["code"] == ""
    assert report["closed"] is True
    assert report["lost"] == 0
    captured = np.load(tmp_path / "got.npy")
    starts = np.flatnonzero(captured == original[0])
    assert any(np.array_equal(captured[start : start + original.size], original) for start in starts)


def test_a_microphone_that_stops_is_noticed_and_let_go(pulse: Pulse, tmp_path: Path) -> None:
    probe = Probe(pulse, tmp_path / "got.npy")
    assert probe.line() == "open"
    assert probe.line() == "hearing"
    pulse.pactl("suspend-source", "vmic", "1")
    pulse.pactl("suspend-sink", "spk", "1")
    try:
        report = probe.end()
    finally:
        pulse.pactl("suspend-sink", "spk", "0")
        pulse.pactl("suspend-source", "vmic", "0")
    assert report["code"] == "device_lost"
    assert report["closed"] is True


def test_a_device_that_does_not_exist_has_its_code(pulse: Pulse, tmp_path: Path) -> None:
    assert Probe(pulse, tmp_path / "x.npy", device="no such microphone").end() == {"code": "device_missing"}


DEVICES = [
    Device(0, "HDA Intel: ALC (hw:0,0)", 0, 2, 48000, False, True),
    Device(1, "USB PnP Sound Device: Audio (hw:1,0)", 1, 0, 44100, False, False),
    Device(2, "USB Camera: Audio (hw:2,0)", 2, 0, 48000, False, False),
    Device(3, "pulse", 32, 32, 44100, True, False),
]


@pytest.mark.parametrize(
    ("wanted", "index"), [("default", 3), (1, 1), ("2", 2), ("pnp", 1), ("pulse", 3), ("USB Camera: Audio (hw:2,0)", 2)]
)
def test_a_device_is_found_by_name_index_or_default(
    monkeypatch: pytest.MonkeyPatch, wanted: str | int, index: int
) -> None:
    monkeypatch.setattr("agentbox.audio.devices.list_devices", lambda: DEVICES)
    assert find_device(wanted, "input").index == index


@pytest.mark.parametrize(
    ("wanted", "code"),
    [("usb", "device_ambiguous"), ("none", "device_missing"), (9, "device_missing"), (0, "device_missing")],
)
def test_a_device_that_is_not_clear_is_refused(monkeypatch: pytest.MonkeyPatch, wanted: str | int, code: str) -> None:
    monkeypatch.setattr("agentbox.audio.devices.list_devices", lambda: DEVICES)
    with pytest.raises(AudioError) as caught:
        find_device(wanted, "input")
    assert caught.value.code == code


def test_no_device_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentbox.audio.devices.list_devices", list)
    with pytest.raises(AudioError) as caught:
        find_device("default", "output")
    assert caught.value.code == "no_device"
