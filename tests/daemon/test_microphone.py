"""A microphone that goes away in every way a sound server knows, and comes back: the box hears again, and says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from agentbox.audio.files import read_file
from tests.daemon.conftest import SAMPLE, Home, Running
from tests.pulse import Pulse
from tests.pulse import running as pulse_running

ALWAYS = {"activation": {"mode": "always"}}


def kill(pulse: Pulse) -> None:
    pulse.kill()


def plug_in_another_rate(pulse: Pulse) -> None:
    pulse.plug_in("rate=44100", "channels=2")


FAULTS: dict[str, tuple[Callable[[Pulse], None], Callable[[Pulse], None]]] = {
    "unplugged": (Pulse.unplug, Pulse.plug_in),
    "another rate": (Pulse.unplug, plug_in_another_rate),
    "server killed": (Pulse.kill, Pulse.start),
    "server frozen": (Pulse.freeze, Pulse.thaw),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_it_hears_again(home: Home, start: Callable[..., Running], tmp_path: Path, fault: str) -> None:
    blocks = np.concatenate(list(read_file(SAMPLE)))
    soundfile.write(tmp_path / "one.wav", blocks[16000 * 3 : 16000 * 8], 16000)
    home.configure(ALWAYS)
    breaks, mends = FAULTS[fault]
    with pulse_running(tmp_path / "pulse") as pulse:
        home.environ = pulse.environ
        daemon = start()
        daemon.until("capture", "listening")
        breaks(pulse)
        try:
            daemon.until("capture", "lost")
            [state] = home.json("status")
            assert state["sound"].startswith("no microphone")
            [turn] = home.json("ask", "what time is it")
            assert turn["ok"]
        finally:
            mends(pulse)
        back = daemon.until("capture", "listening")
        assert back["timings"]["gone_s"] > 0
        pulse.play(tmp_path / "one.wav")
        assert daemon.until("reply")["message"]["text"] == "Pizza timer set for 10 minutes."
        assert daemon.stop() == 0


def test_it_follows_the_default(home: Home, start: Callable[..., Running], tmp_path: Path) -> None:
    blocks = np.concatenate(list(read_file(SAMPLE)))
    soundfile.write(tmp_path / "one.wav", blocks[16000 * 3 : 16000 * 8], 16000)
    home.configure(ALWAYS)
    with pulse_running(tmp_path / "pulse") as pulse:
        home.environ = pulse.environ
        daemon = start()
        daemon.until("capture", "listening")
        pulse.another_default()
        pulse.play(tmp_path / "one.wav")  # into a microphone that nobody listens to any more
        assert not any(turn["intent"] for turn in home.turns())
        pulse.default_again()
        pulse.play(tmp_path / "one.wav")
        assert daemon.until("reply")["message"]["text"] == "Pizza timer set for 10 minutes."
        assert daemon.stop() == 0


def test_a_box_that_starts_before_its_sound_server_hears_later(
    home: Home, start: Callable[..., Running], tmp_path: Path
) -> None:
    with pulse_running(tmp_path / "pulse") as pulse:
        home.environ = pulse.environ
        pulse.kill()
        daemon = start()
        daemon.until("capture", "lost")
        pulse.start()
        daemon.until("capture", "listening")
        assert daemon.stop() == 0
