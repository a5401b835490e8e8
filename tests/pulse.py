"""A private PulseAudio server with a virtual speaker and a virtual microphone: what is played into the one is heard by
the other, sample for sample. Tests that need it skip, with the reason, where PulseAudio is not installed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

CONFIG = """
load-module module-native-protocol-unix auth-anonymous=1 socket={folder}/native
"""
SPK = ("module-null-sink", "sink_name=spk", "rate=16000", "channels=1", "format=s16le")
VMIC = (
    "module-remap-source",
    "source_name=vmic",
    "master=spk.monitor",
    "source_properties=device.description=VirtualMic",
)


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
        self.plug_in()

    def play(self, file: Path) -> None:
        """Play a sound file into the virtual microphone; returns when it has been played."""
        subprocess.run(["paplay", "--device=spk", str(file)], env=self._env(), check=True, timeout=120)

    @contextmanager
    def playing(self, file: Path) -> Iterator[None]:
        """A sound file is played meanwhile; cut off at the end."""
        player = subprocess.Popen(["paplay", "--device=spk", str(file)], env=self._env())
        try:
            yield
        finally:
            player.terminate()
            player.wait()

    @contextmanager
    def recording(self, file: Path) -> Iterator[None]:
        """What is played within the block, in `file`: 16 kHz mono int16 without a header."""
        command = ["parec", "--latency-msec=20", "-d", "spk.monitor", "--rate=16000", "--channels=1", "--format=s16le"]
        with file.open("wb") as out:
            recorder = subprocess.Popen(command, env=self._env(), stdout=out)
            try:
                while file.stat().st_size == 0:
                    assert recorder.poll() is None
                    time.sleep(0.01)
                yield
                time.sleep(0.5)  # the tail is still on its way through the server
            finally:
                recorder.terminate()
                recorder.wait()

    def pactl(self, *arguments: str) -> str:
        return subprocess.run(
            ["pactl", *arguments], env=self._env(), check=True, timeout=20, capture_output=True, text=True
        ).stdout

    def stop(self) -> None:
        self.kill()

    def kill(self) -> None:
        """Kill the server where it stands; `start` begins a new one."""
        for process in reversed(self._processes):
            process.kill()
            process.wait()
        self._processes.clear()
        (self.folder / "native").unlink(missing_ok=True)

    def freeze(self) -> None:
        """The server stops answering, until `thaw`."""
        self._processes[0].send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._processes[0].send_signal(signal.SIGCONT)

    def unplug(self) -> None:
        """The microphone is gone, and with it the speaker, whose monitor would take its place; until `plug_in`."""
        self.pactl("unload-module", "module-remap-source")
        self.pactl("unload-module", self._module("sink_name=spk"))
        keeps_awake = self._processes.pop()
        keeps_awake.kill()
        keeps_awake.wait()

    def another_default(self) -> None:
        """Another microphone, on which nothing is heard, becomes the default, until `default_again`."""
        self.pactl("load-module", "module-null-sink", "sink_name=other", "rate=48000")
        self.pactl("set-default-source", "other.monitor")

    def echo(self, delay_ms: int, volume: str) -> None:
        """A speaker of its own becomes the default; what is played there is heard by the microphone as well, later and
        at `volume` (as pactl's)."""
        self.pactl("load-module", "module-null-sink", "sink_name=out", "rate=48000", "channels=2")
        self.pactl("set-default-sink", "out")
        self.pactl("load-module", "module-loopback", "source=out.monitor", "sink=spk", f"latency_msec={delay_ms}")
        [played] = self.pactl("list", "short", "sink-inputs").splitlines()
        self.pactl("set-sink-input-volume", played.split("\t")[0], volume)

    def default_again(self) -> None:
        self.pactl("set-default-source", "vmic")
        self.pactl("unload-module", self._module("sink_name=other"))

    def _module(self, arguments: str) -> str:
        lines = self.pactl("list", "short", "modules").splitlines()
        return next(line.split("\t")[0] for line in lines if arguments in line)

    def plug_in(self, *options: str) -> None:
        """Plug the microphone in and make it the default; `options` as pactl's (`rate=48000 channels=2`)."""
        self.pactl("load-module", *SPK)
        self.pactl("set-default-sink", "spk")
        self.pactl("load-module", *VMIC, *options)
        self.pactl("set-default-source", "vmic")
        # A null sink that nobody reads falls asleep and takes up to 2 s to wake: keep it awake.
        self._spawn(["parec", "--latency-msec=20", "-d", "spk.monitor"])

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
