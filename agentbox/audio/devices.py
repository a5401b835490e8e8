"""Sound devices by name, index or `default`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from agentbox.audio.driver import portaudio
from agentbox.errors import AudioError

Direction = Literal["input", "output"]


@dataclass(frozen=True, slots=True)
class Device:
    """A sound device as PortAudio lists it."""

    index: int
    name: str
    inputs: int
    outputs: int
    default_rate_hz: int
    default_input: bool
    default_output: bool


def list_devices() -> list[Device]:
    """All of them. Raises `AudioError` `device_failed`, `portaudio_missing`."""
    sounddevice = portaudio()
    try:
        found: list[dict[str, Any]] = list(sounddevice.query_devices())
        default_in, default_out = sounddevice.default.device
    except sounddevice.PortAudioError as error:
        raise AudioError(
            "device_failed", "The sound devices cannot be listed.", "agentbox doctor tells more."
        ) from error
    return [
        Device(
            index=index,
            name=device["name"],
            inputs=device["max_input_channels"],
            outputs=device["max_output_channels"],
            default_rate_hz=int(device["default_samplerate"]),
            default_input=index == default_in,
            default_output=index == default_out,
        )
        for index, device in enumerate(found)
    ]


def find_device(wanted: str | int, direction: Direction) -> Device:
    """The device that `wanted` means: `default`, an index, or (part of) a name in any letter case.

    Raises `AudioError`: `no_device`, `device_missing`, `device_ambiguous`.
    """
    everything = list_devices()
    devices = [device for device in everything if (device.inputs if direction == "input" else device.outputs)]
    kind = "microphone" if direction == "input" else "speaker"
    if not devices:
        raise AudioError("no_device", f"This machine has no {kind}.", f"Plug in a {kind}; agentbox devices lists them.")
    if wanted == "default":
        for device in devices:
            if device.default_input if direction == "input" else device.default_output:
                return device
        return devices[0]
    if isinstance(wanted, int) or wanted.isdigit():
        matching = [device for device in devices if device.index == int(wanted)]
    else:
        matching = [device for device in devices if device.name == wanted] or [
            device for device in devices if wanted.lower() in device.name.lower()
        ]
    if not matching:
        raise AudioError(
            "device_missing", f"There is no {kind} {wanted!r}.", "agentbox devices lists the names and numbers."
        )
    if len(matching) > 1:
        names = ", ".join(f"{device.index}: {device.name}" for device in matching)
        raise AudioError("device_ambiguous", f"{wanted!r} means more than one {kind} ({names}).", "Use its number.")
    return matching[0]
