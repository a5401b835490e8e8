"""A driver that stands in for devices no test machine has."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from agentbox.audio.devices import Device


class Driver:
    """As much of sounddevice as `Microphone` and `Output` use. Opens only at `rate_hz` and `channels`."""

    class PortAudioError(Exception):
        pass

    def __init__(self, rate_hz: int, channels: int) -> None:
        self.works_at = (rate_hz, channels)
        self.tried: list[tuple[int, int]] = []
        self.callback: Any = None
        self.block_frames: int | None = None

    def RawInputStream(self, **settings: Any) -> Any:  # noqa: N802 - sounddevice's name
        return self._stream(settings)

    def RawOutputStream(self, **settings: Any) -> Any:  # noqa: N802 - sounddevice's name
        return self._stream(settings)

    def _stream(self, settings: dict[str, Any]) -> Any:
        wanted = (settings["samplerate"], settings["channels"])
        self.tried.append(wanted)
        if wanted != self.works_at:
            raise self.PortAudioError("Invalid sample rate")
        self.callback = settings["callback"]
        self.block_frames = settings.get("blocksize")
        return SimpleNamespace(start=lambda: None, abort=lambda **_: None, close=lambda **_: None)


def stand_in(monkeypatch: pytest.MonkeyPatch, module: str, driver: object, find: Callable[..., Device]) -> None:
    """Put `driver` in PortAudio's place for one module of the audio room, which finds its device by `find`."""
    for user in (module, "driver"):
        monkeypatch.setattr(f"agentbox.audio.{user}.portaudio", lambda: driver)
    monkeypatch.setattr(f"agentbox.audio.{module}.find_device", find)
