"""A microphone that goes away in every way a sound server knows, and comes back: the box hears again, and says so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from agentbox.audio.driver import portaudio, refresh
from agentbox.config import Audio
from agentbox.daemon.events import Events
from agentbox.daemon.mute import Mute
from agentbox.daemon.sources import MicrophoneSource
from agentbox.errors import AudioError
from agentbox.messages import StageEvent
from tests.daemon.conftest import Home, Running
from tests.pulse import Pulse
from tests.pulse import running as pulse_running

ALWAYS = {"activation": {"mode": "always"}}


def plug_in_another_rate(pulse: Pulse) -> None:
    pulse.plug_in("rate=44100", "channels=2")


FAULTS: dict[str, tuple[Callable[[Pulse], None], Callable[[Pulse], None]]] = {
    "unplugged": (Pulse.unplug, Pulse.plug_in),
    "another rate": (Pulse.unplug, plug_in_another_rate),
    "server killed": (Pulse.kill, Pulse.start),
    "server frozen": (Pulse.freeze, Pulse.thaw),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_it_hears_again(
    home: Home, start: Callable[..., Running], tmp_path: Path, spoken_timer: Path, fault: str
) -> None:
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
        pulse.play(spoken_timer)
        assert daemon.until("reply")["message"]["text"] == "Pizza timer set for 10 minutes."
        assert daemon.stop() == 0


def test_it_follows_the_default(home: Home, start: Callable[..., Running], tmp_path: Path, spoken_timer: Path) -> None:
    home.configure(ALWAYS)
    with pulse_running(tmp_path / "pulse") as pulse:
        home.environ = pulse.environ
        daemon = start()
        daemon.until("capture", "listening")
        pulse.another_default()
        pulse.play(spoken_timer)  # into a microphone that nobody listens to any more
        assert not any(turn["intent"] for turn in home.turns())
        pulse.default_again()
        pulse.play(spoken_timer)
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


async def test_a_sound_library_that_cannot_start_does_not_end_the_box(monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        sounddevice = portaudio()
    except AudioError as error:
        pytest.skip(error.what)
    tried = asyncio.Event()
    seen: list[StageEvent] = []
    attempts = 0

    def fail() -> None:
        nonlocal attempts
        attempts += 1
        if attempts == 3:
            asyncio.run_coroutine_threadsafe(_set(tried), loop)
        raise sounddevice.PortAudioError("Unanticipated host error")

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(sounddevice, "_initialize", fail)
    monkeypatch.setattr(sounddevice, "query_devices", fail)
    events = Events()
    events.subscribe(seen.append)
    source = MicrophoneSource(Audio(), events, mute=Mute(events), retry_s=(0.0,))
    monkeypatch.setattr("agentbox.daemon.sources.LOOK_S", 0.01)
    feeding = asyncio.create_task(source.feed(Nobody()))  # type: ignore[arg-type]
    try:
        await asyncio.wait_for(tried.wait(), 30)
        assert not feeding.done()
        assert source.state.startswith("no microphone")
        assert source.seen_to()
        assert [event.state for event in seen] == ["device_failed", "lost"]
    finally:
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)
        monkeypatch.undo()
        # As the driver does it, one at a time: a thread of the source may still be about to start PortAudio anew, and
        # two at once abort the process.
        refresh()


async def _set(event: asyncio.Event) -> None:
    event.set()


class Nobody:
    """Hearing that is told nothing but the end."""

    def finish(self, reason: str) -> None: ...
