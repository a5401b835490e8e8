"""Benchmarks of the whole daemon, run as its own process the way its owner runs it.

Memory is PSS (proportional set size: shared pages counted by share), CPU is the time the kernel charged.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import yaml

from agentbox.audio.files import read_file
from agentbox.audio.segment import Samples
from agentbox.daemon.figures import memory_bytes
from agentbox.messages import SAMPLE_RATE_HZ

DAY_S = 86_400.0
REST_S = 30.0
"""After a first start the box works out what it will need; later ones find it on disk."""

GAP_S = 1.2
"""Quiet between two clips: longer than the longest endpoint wait."""


@dataclass(frozen=True, slots=True)
class Idle:
    """What the daemon costs while nobody speaks."""

    sound: str
    seconds: float
    cpu_percent: float
    pss_mb: float
    written_mb_a_day: float
    """To the disk, by the kernel's account of the process (proc(5), io)."""
    transcripts: int


@dataclass(frozen=True, slots=True)
class Latency:
    """End of speech to tool call over many commands, milliseconds."""

    clips: int
    total_ms: list[float]
    silence_ms: list[float]

    @property
    def commands(self) -> int:
        """How many were understood."""
        return len(self.total_ms)

    @property
    def added_ms(self) -> list[float]:
        """What is left without the silence wait: blocks, decoding that was not ready, understanding, the journal."""
        return [total - silence for total, silence in zip(self.total_ms, self.silence_ms, strict=True)]


class Daemon:
    """`agentbox run` on a sound file, in a state directory of its own, its events read as they come."""

    def __init__(self, models_dir: Path, state: Path, source: Path, config: dict[str, Any]) -> None:
        file = state / "bench.yaml"
        # As a service that nobody looks at, though its events are read here: nothing is decoded to be shown.
        asr = {"models_dir": str(models_dir), "partials": False}
        file.write_text(
            yaml.safe_dump({"asr": asr, "audio": {"sounds": False}, "speech": {"verbosity": "sounds"}} | config)
        )
        command = [sys.executable, "-P", "-m", "agentbox", "run", "--config", str(file), "--json", "--exit-when-done"]
        self.started_s = time.monotonic()
        self.process = subprocess.Popen(
            [*command, "--source", str(source)],
            env={**os.environ, "AGENTBOX_STATE": str(state)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )

    def events(self) -> Iterator[dict[str, Any]]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            yield json.loads(line)

    def cpu_s(self) -> float:
        return cpu_s(self.process.pid)

    def written_mb(self) -> float:
        lines = Path(f"/proc/{self.process.pid}/io").read_text().splitlines()
        return int(next(line.split()[1] for line in lines if line.startswith("write_bytes:"))) / 1e6

    def pss_mb(self) -> float:
        return (memory_bytes(self.process.pid) or 0) / (1 << 20)


def cpu_s(pid: int) -> float:
    """What a process has worked so far, all threads (proc(5): utime and stime, the 14th and 15th field of stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def quiet(seconds: float) -> Samples:
    """A quiet room: noise at -80 dBFS, not digital zero."""
    return np.random.default_rng(1).normal(0, 3, int(seconds * SAMPLE_RATE_HZ)).astype(np.int16)


def steady_noise(seconds: float) -> Samples:
    """A fan: noise at -40 dBFS with more low than high frequencies."""
    white = np.random.default_rng(2).normal(0, 1, int(seconds * SAMPLE_RATE_HZ) + 64)
    brown = np.convolve(white, np.hanning(64), mode="valid")
    sound: Samples = (brown / brown.std() * 328).astype(np.int16)
    return sound


def idle(models_dir: Path, seconds: float = 60.0) -> list[Idle]:
    """CPU, PSS and what is written over `seconds` of quiet and of steady noise, in real time, once the box is at
    rest."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, make in (("quiet room", quiet), ("steady noise", steady_noise)):
            source = Path(folder) / "sound.wav"
            soundfile.write(source, make(REST_S + seconds + 2), SAMPLE_RATE_HZ)
            daemon = Daemon(models_dir, Path(folder), source, {"activation": {"mode": "always"}})
            transcripts = 0
            for event in daemon.events():
                if event["stage"] == "box" and event["state"] == "started":
                    time.sleep(REST_S)
                    before_s, began_s, written_mb = daemon.cpu_s(), time.monotonic(), daemon.written_mb()
                    time.sleep(seconds)
                    spent, lasted_s, pss_mb = daemon.cpu_s() - before_s, time.monotonic() - began_s, daemon.pss_mb()
                    written_mb = (daemon.written_mb() - written_mb) * DAY_S / lasted_s
                transcripts += event["stage"] == "transcript"
            daemon.process.wait()
            rows.append(Idle(name, lasted_s, 100 * spent / lasted_s, pss_mb, written_mb, transcripts))
    return rows


def latency(models_dir: Path, data: Path, clips: int = 120, seed: int = 1, rounds: int = 1) -> list[Latency]:
    """Real recorded commands, one after the other in real time, through the whole daemon to a tool call, once the box
    is at rest; `rounds` times all of them, as an owner's commands are mostly said again.

    `data`: a folder with `audio/`, and `sentences.yaml` in the owner's format.
    """
    data = data.resolve()
    files = sorted((data / "audio").glob("*.flac"))
    chosen = random.Random(seed).sample(files, min(clips, len(files)))
    intent = next(iter(yaml.safe_load((data / "sentences.yaml").read_text())["intents"]))
    config = {
        "activation": {"mode": "always"},
        "intents": {"sentences": [str(data / "sentences.yaml")]},
        "tools": {
            "command": {"enabled": True, "commands": [{"name": "bench", "argv": ["true"], "intent": intent}]},
            "policy": {"bench": {"speech": "allow"}},
        },
    }
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "sound.wav"
        with soundfile.SoundFile(source, "w", SAMPLE_RATE_HZ, 1) as out:
            out.write(quiet(REST_S))
            for file in chosen * rounds:
                for block in read_file(file):
                    out.write(block)
                out.write(quiet(GAP_S))
            round_s = (out.tell() / SAMPLE_RATE_HZ - REST_S) / rounds
        daemon = Daemon(models_dir, Path(folder), source, config)
        silences: dict[str, float] = {}
        measured = [Latency(len(chosen), [], []) for _ in range(rounds)]
        began_s = 0.0
        for event in daemon.events():
            if (event["stage"], event["state"]) == ("box", "started"):
                began_s = event["monotonic_s"]
            elif event["stage"] == "utterance" and event["state"] == "ended":
                silences[event["utterance_id"]] = event["timings"]["silence_ms"]
            elif event["stage"] == "tool_call":
                # The last deed of a round may come when the next one has begun, but not when its first clip is over.
                passed_s = max(event["monotonic_s"] - began_s - REST_S - GAP_S, 0.0)
                now = measured[min(int(passed_s / round_s), rounds - 1)]
                now.total_ms.append(event["timings"]["since_speech_end_ms"])
                now.silence_ms.append(silences[event["utterance_id"]])
        daemon.process.wait()
    return measured


def start_up(models_dir: Path, runs: int = 5) -> list[float]:
    """Seconds from the start of the process to listening, per run; the first, with cold files, is left out."""
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "sound.wav"
        soundfile.write(source, quiet(1.0), SAMPLE_RATE_HZ)
        for _ in range(runs + 1):
            daemon = Daemon(models_dir, Path(folder), source, {})
            for event in daemon.events():
                if event["stage"] == "box" and event["state"] == "started":
                    seconds += [time.monotonic() - daemon.started_s]
            daemon.process.wait()
    return seconds[1:]


def percentile(values: Sequence[float], percent: float) -> float:
    """The percentile by linear interpolation; not a number when there are no values."""
    return float(np.percentile(values, percent)) if values else float("nan")


def median(values: Sequence[float]) -> float:
    return statistics.median(values) if values else float("nan")
