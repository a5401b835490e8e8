"""The daemon under its unit, on a sound card that the kernel makes: does it hear, and again after the card was away?

A container has no /dev/snd, and a sound server in between does not need the unit's DeviceAllow=; here systemd is the
first process of a kernel with snd-aloop, and nothing stands between the daemon and ALSA. guest/alsa.sh is what happens
there.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterable
from pathlib import Path

from benchmarks.vm import build
from benchmarks.vm.machine import Guest

PATIENCE_S = 1200.0

_STEPS = (
    ("unit started to READY", "starting", "ready"),
    ("READY to listening", "ready", "listening"),
    ("a command spoken to its deed in the list", "speaks first 1", "acted first"),
    ("card taken away to told", "unbinding", "device_lost"),
    ("card back to listening", "bound", "microphone_back"),
    ("a command spoken to its deed in the list", "speaks second 1", "acted second"),
)


_LOGGED = re.compile(r"\[ *(\d+\.\d+)\] .*\[(device_lost|microphone_back)\]")


def moments(lines: Iterable[str]) -> dict[str, float]:
    """What happened -> the guest's uptime in seconds: the first of each from lines "rig UPTIME WHAT", the last from the
    lines of the unit's log."""
    found: dict[str, float] = {}
    for line in lines:
        word, _, rest = line.partition(" ")
        uptime, _, what = rest.partition(" ")
        if word == "rig":
            found.setdefault(what, float(uptime))
        elif logged := _LOGGED.match(line):
            found[logged[2]] = float(logged[1])
    return found


def report(at: dict[str, float]) -> str:
    """How long each step took; "never" for one that did not end."""
    lines = []
    for name, start, end in _STEPS:
        took = f"{at[end] - at[start]:.1f} s" if start in at and end in at else "never"
        lines.append(f"{name:50} {took}")
    return "\n".join(lines)


def run(work: Path, unit: Path, log: Path | None) -> int:
    """Boot, and print what the guest says; 0 if it heard both times."""
    folder = build.build()
    build.project(work, unit)
    guest = Guest(folder, work / "console.log", ["rig.script=alsa.sh", "systemd.show_status=no"])
    said: list[str] = []
    until_s = time.monotonic() + PATIENCE_S
    while (left_s := until_s - time.monotonic()) > 0 and not guest.ended:
        line = guest.line(left_s)
        if line is not None:
            said.append(line)
            print(line, flush=True)
    guest.kill()
    if log is not None:
        log.write_text("\n".join(said) + "\n")
        shutil.copy(work / "console.log", log.with_suffix(".console"))
    at = moments(said)
    print(report(at))
    return 0 if {"acted first", "acted second", "microphone_back"} <= at.keys() else 1
