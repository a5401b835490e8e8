"""The machine's mixer, by the programs that come with its sound system: `pactl` for PulseAudio (and PipeWire's stand-in
for it), `wpctl` for PipeWire, `amixer` for ALSA alone. Which of them answers is looked at for each call, since sound
servers come and go."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from agentbox.errors import ToolError
from agentbox.tools.process import run_program

TIMEOUT_S = 3.0
_MAX_OUTPUT_BYTES = 64 << 10

_SIMPLE_CONTROLS = ("Master", "PCM", "Speaker", "Headphone", "Digital", "HDMI")
"""ALSA controls that turn the volume, the likeliest first; small boards have no `Master`."""


class Level(NamedTuple):
    percent: int
    muted: bool


@dataclass(frozen=True)
class Mixer:
    """One way to turn the volume: the arguments of its program, and how to read what it prints."""

    program: str
    get: list[list[str]]
    """Print volume and mute state, in one or two calls."""
    set: Callable[[int], list[str]]
    mute: Callable[[bool], list[str]]
    percent: re.Pattern[str]
    muted: re.Pattern[str]
    scale: float = 1.0
    """What its number is multiplied by to be percent."""

    async def read(self) -> Level:
        """Raises `ToolError` `mixer_failed`."""
        return self.level("\n".join([await _run(self.program, *arguments) for arguments in self.get]))

    def level(self, text: str) -> Level:
        """What the program printed, read. Raises `ToolError` `mixer_failed`."""
        found = self.percent.search(text)
        if found is None:
            raise ToolError("mixer_failed", f"{self.program} told no volume.", "Try it in a terminal.")
        return Level(round(float(found.group(1)) * self.scale), bool(self.muted.search(text)))

    async def set_percent(self, percent: int) -> None:
        await _run(self.program, *self.set(percent))

    async def set_muted(self, muted: bool) -> None:
        await _run(self.program, *self.mute(muted))


def pactl(sink: str = "@DEFAULT_SINK@") -> Mixer:
    return Mixer(
        program="pactl",
        get=[["get-sink-volume", sink], ["get-sink-mute", sink]],
        set=lambda percent: ["set-sink-volume", sink, f"{percent}%"],
        mute=lambda muted: ["set-sink-mute", sink, str(int(muted))],
        percent=re.compile(r"(\d+)%"),  # Volume: front-left: 32768 /  50% / -18.06 dB, ...
        muted=re.compile(r"^Mute: yes$", re.MULTILINE),
    )


def wpctl(sink: str = "@DEFAULT_AUDIO_SINK@") -> Mixer:
    return Mixer(
        program="wpctl",
        get=[["get-volume", sink]],
        set=lambda percent: ["set-volume", sink, f"{percent / 100:.2f}"],
        mute=lambda muted: ["set-mute", sink, str(int(muted))],
        percent=re.compile(r"Volume: ([\d.]+)"),  # Volume: 0.40 [MUTED]
        muted=re.compile(r"\[MUTED\]"),
        scale=100.0,
    )


def amixer(control: str, card: str | None = None) -> Mixer:
    where = ["-M", *(["-c", card] if card else [])]  # -M: percent as heard, as alsamixer shows it
    return Mixer(
        program="amixer",
        get=[[*where, "sget", control]],
        set=lambda percent: [*where, "-q", "sset", control, f"{percent}%"],
        mute=lambda muted: [*where, "-q", "sset", control, "mute" if muted else "unmute"],
        percent=re.compile(r"\[(\d+)%\]"),  # Front Left: Playback 32768 [50%] [on]
        muted=re.compile(r"\[off\]"),
    )


async def find_mixer(control: str | None = None, card: str | None = None) -> Mixer:
    """The mixer that answers. `control`, `card`: for ALSA, what to turn and where, if it is not the usual.

    Raises `ToolError` `mixer_missing`.
    """
    for candidate, asks in ((pactl(), ["info"]), (wpctl(), ["status"])):
        if shutil.which(candidate.program) and await _answers(candidate.program, *asks):
            return candidate
    if shutil.which("amixer"):
        for name in [control] if control else _SIMPLE_CONTROLS:
            candidate = amixer(name, card)
            if await _answers("amixer", *candidate.get[0]):
                return candidate
    raise ToolError(
        "mixer_missing",
        "No mixer answers: no PulseAudio or PipeWire server, and no ALSA control.",
        "Install pulseaudio-utils or alsa-utils, or name the control under tools.options.volume.",
    )


async def _answers(program: str, *arguments: str) -> bool:
    try:
        await _run(program, *arguments)
    except ToolError:
        return False
    return True


async def _run(program: str, *arguments: str) -> str:
    """What the program prints. Raises `ToolError` `mixer_failed`."""
    # It has to find the sound server (XDG_RUNTIME_DIR, PULSE_SERVER, ...), and must not translate what it prints.
    environ = {**os.environ, "LC_ALL": "C"}
    try:
        ended = await run_program(
            [program, *arguments], environ=environ, timeout_s=TIMEOUT_S, max_bytes=_MAX_OUTPUT_BYTES
        )
    except (TimeoutError, OSError) as error:
        raise ToolError("mixer_failed", f"{program} did not answer.", "Try it in a terminal.") from error
    if ended.exit_code != 0:
        raise ToolError("mixer_failed", f"{program} ended with exit code {ended.exit_code}.", "Try it in a terminal.")
    return ended.output.decode("utf-8", "replace")
