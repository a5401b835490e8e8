"""Random faults of the sound while commands are spoken: how soon the box hears again, and what is lost.

    python -m benchmarks.faults --n 300 --seed 1

A daemon of its own listens to the virtual microphone of a private PulseAudio server (needs Debian's pulseaudio and
pulseaudio-utils), started anew when it ends, as systemd would. Each round breaks something, mends it after 0.2 to 5 s,
waits until the box says that it hears, and speaks a command. Counted: the time from the mending to hearing again; a
command that was spoken while the box said that it heard, and did nothing; and a deed that the box told of and the
journal does not hold.
"""

from __future__ import annotations

import argparse
import json
import queue
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from agentbox import paths
from agentbox.audio.files import read_file
from agentbox.bench.box import percentile
from agentbox.config import Config
from tests.daemon.conftest import SAMPLE, Home
from tests.pulse import Pulse, running

PATIENCE_S = 30.0
UNNOTICED_S = 2.5
"""What the box has not noticed by then it will not notice any more."""

COMMAND_S = (3, 8)
"""Where in the spoken sample "set a pizza timer for ten minutes" stands."""


class Daemon:
    """The daemon under test, and its events by a thread that reads them."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self.events: queue.Queue[dict[str, Any]] = queue.Queue()
        self.starts = 0
        self.start()

    def start(self) -> None:
        self.starts += 1
        self.process = subprocess.Popen(
            self._home.command("run", "--json"),
            env=self._home.env(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        threading.Thread(target=self._read, args=(self.process,), daemon=True).start()

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self.events.put(json.loads(line))

    def until(self, stage: str, state: str | None, limit_s: float = PATIENCE_S) -> dict[str, Any] | None:
        """The next event of a kind; null when there is none in time. A daemon that has ended is started anew."""
        deadline = time.monotonic() + limit_s
        while (left_s := deadline - time.monotonic()) > 0:
            if self.process.poll() is not None and self.events.empty():
                self.start()
            try:
                event = self.events.get(timeout=min(left_s, 0.2))
            except queue.Empty:
                continue
            if event["stage"] == stage and state in (None, event["state"]):
                return event
        return None

    def forget(self) -> Counter[str]:
        """Take away all events so far; how many of each kind of capture event they were."""
        seen: Counter[str] = Counter()
        while not self.events.empty():
            event = self.events.get()
            if event["stage"] == "capture":
                seen[event["state"]] += 1
        return seen


Fault = tuple[Callable[[Pulse, Daemon], None], Callable[[Pulse, Daemon], None]]


def _kill_the_box(_pulse: Pulse, daemon: Daemon) -> None:
    daemon.process.kill()
    daemon.process.wait()


def _start_before_the_server(pulse: Pulse, daemon: Daemon) -> None:
    pulse.kill()
    daemon.process.terminate()
    daemon.process.wait()
    daemon.start()


FAULTS: dict[str, Fault] = {
    "source removed": (lambda pulse, _: pulse.unplug(), lambda pulse, _: pulse.plug_in()),
    "sample rate changed": (
        lambda pulse, _: pulse.unplug(),
        lambda pulse, _: pulse.plug_in("rate=44100", "channels=2"),
    ),
    "server killed": (lambda pulse, _: pulse.kill(), lambda pulse, _: pulse.start()),
    "server frozen": (lambda pulse, _: pulse.freeze(), lambda pulse, _: pulse.thaw()),
    "default changed": (lambda pulse, _: pulse.another_default(), lambda pulse, _: pulse.default_again()),
    "no device at start": (_start_before_the_server, lambda pulse, _: pulse.start()),
    "box killed": (_kill_the_box, lambda _, daemon: daemon.start()),
}


class Run:
    """Some rounds of faults, and what came of them."""

    def __init__(self, pulse: Pulse, daemon: Daemon, command: Path, seed: int) -> None:
        self._pulse = pulse
        self._daemon = daemon
        self._command = command
        self._draw = random.Random(seed)
        self.hearing_s: dict[str, list[float]] = {}
        self.lost: Counter[str] = Counter()
        self.deaf: Counter[str] = Counter()
        self.told = 0
        """Deeds that the box told of."""
        self._started = daemon.starts

    def round(self) -> None:
        name = self._draw.choice(sorted(FAULTS))
        breaks, mends = FAULTS[name]
        self._daemon.forget()
        self._started = self._daemon.starts
        breaks(self._pulse, self._daemon)
        time.sleep(self._draw.uniform(0.2, 5.0))
        stopped = self._daemon.forget()
        mends(self._pulse, self._daemon)
        mended_s = time.monotonic()
        took_s = self._hears_again(stopped, mended_s)
        if took_s is None:
            self.deaf[name] += 1
            return
        self.hearing_s.setdefault(name, []).append(took_s)
        self._pulse.play(self._command)
        done = self._daemon.until("tool_result", "ok", 10.0)
        if done is None:
            self.lost[name] += 1
        else:
            self.told += 1

    def _hears_again(self, before: Counter[str], mended_s: float) -> float | None:
        """Seconds from the mending to the first block of sound; 0 where hearing never stopped, or was back before.

        `before`: the capture events between the breaking and the mending. Null: it never hears again.
        """
        if before["lost"] and before["listening"] >= before["lost"]:
            return 0.0
        noticed = before["lost"] > 0 or self._daemon.starts > self._started
        # A short fault may go by unnoticed: then nothing tells of it.
        event = self._daemon.until("capture", None, PATIENCE_S if noticed else UNNOTICED_S)
        if event is None:
            return None if noticed else 0.0
        while event is not None and event["state"] != "listening":
            event = self._daemon.until("capture", None)
        return None if event is None else max(0.0, event["monotonic_s"] - mended_s)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--n", type=int, default=300, help="how many faults")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name, running(Path(name) / "pulse") as pulse:
        folder = Path(name)
        home = Home(folder, paths.models_dir(Config()))
        # Else the timers that it sets ring into its own microphone ten minutes later.
        home.configure(
            {"activation": {"mode": "always"}, "audio": {"sounds": False}, "speech": {"verbosity": "sounds"}}
        )
        home.environ = pulse.environ
        sound = np.concatenate(list(read_file(SAMPLE)))
        soundfile.write(folder / "command.wav", sound[COMMAND_S[0] * 16_000 : COMMAND_S[1] * 16_000], 16_000)
        daemon = Daemon(home)
        try:
            if daemon.until("capture", "listening") is None:
                print("the box does not listen at all", file=sys.stderr)
                return 1
            run = Run(pulse, daemon, folder / "command.wav", options.seed)
            for _ in range(options.n):
                run.round()
        finally:
            daemon.process.terminate()
            daemon.process.wait()
        kept = sum(turn["intent"] == "HassStartTimer" for turn in home.json("transcripts", "list", "--limit", "10000"))
    print(f"{'fault':22} {'count':>5} {'p50':>6} {'p95':>6} {'max':>6}  commands lost, never heard again")
    for fault, took in sorted(run.hearing_s.items()):
        figures = f"{percentile(took, 50):6.2f} {percentile(took, 95):6.2f} {max(took):6.2f}"
        print(f"{fault:22} {len(took):5} {figures}  {run.lost[fault]}, {run.deaf[fault]}")
    every = [value for took in run.hearing_s.values() for value in took]
    print(f"{'all':22} {len(every):5} {percentile(every, 50):6.2f} {percentile(every, 95):6.2f} {max(every):6.2f}")
    print(f"deeds told of {run.told}, in the journal {kept}; the box was started {daemon.starts} times")
    return 0


if __name__ == "__main__":
    sys.exit(main())
