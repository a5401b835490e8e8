"""A private PulseAudio server with a virtual speaker and a virtual microphone: what is played into the one is heard by
the other, sample for sample. Tests that need it skip, with the reason, where PulseAudio is not installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

CONFIG = """
load-module module-native-protocol-unix auth-anonymous=1 socket={folder}/native
load-module module-null-sink sink_name=spk rate=16000 channels=1 format=s16le
load-module module-remap-source source_name=vmic master=spk.monitor source_properties=device.description=VirtualMic
set-default-source vmic
set-default-sink spk
"""


class Pulse:
    """A running server. `environ` makes a program use it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environ = {
            "PULSE_SERVER": f"unix:{folder}/native",
            "PULSE_COOKIE": f"{folder}/cookie",
            "XDG_RUNTIME_DIR": str(folder),
        }
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        config = self.folder / "pa.conf"
        config.write_text(CONFIG.format(folder=self.folder))
        command = ["pulseaudio", "-n", "-F", str(config), "--daemonize=no", "--exit-idle-time=-1", "--disable-shm=yes"]
        command += ["--use-pid-file=no", "--realtime=no", f"--log-target=file:{self.folder}/log"]
        self._spawn(command)
        deadline = time.monotonic() + 10
        while not (self.folder / "native").exists():
            if time.monotonic() > deadline:
                raise RuntimeError((self.folder / "log").read_text())
            time.sleep(0.05)
        # A null sink that nobody reads falls asleep and takes up to 2 s to wake: keep it awake.
        self._spawn(["parec", "--latency-msec=20", "-d", "spk.monitor"])

    def play(self, file: Path) -> None:
        """Play a sound file into the virtual microphone; returns when it has been played."""
        subprocess.run(["paplay", "--device=spk", str(file)], env=self._env(), check=True, timeout=120)

    def pactl(self, *arguments: str) -> str:
        return subprocess.run(
            ["pactl", *arguments], env=self._env(), check=True, timeout=20, capture_output=True, text=True
        ).stdout

    def stop(self) -> None:
        for process in reversed(self._processes):
            process.kill()
            process.wait()

    def _env(self) -> dict[str, str]:
        return {**os.environ, "HOME": str(self.folder), **self.environ}

    def _spawn(self, command: list[str]) -> None:
        self._processes.append(
            subprocess.Popen(
                command, env=self._env(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
        )


@contextmanager
def running(folder: Path) -> Iterator[Pulse]:
    """A server that is gone when the block ends."""
    missing = [name for name in ("pulseaudio", "parec", "paplay", "pactl") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"PulseAudio is not installed ({', '.join(missing)} missing)")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    server = Pulse(folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
