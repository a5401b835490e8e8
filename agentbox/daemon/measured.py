"""What speech models cost on this machine: measured once (`agentbox models measure`), kept in the state folder."""

from __future__ import annotations

import contextlib
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from agentbox import caches, paths
from agentbox.asr.load import is_folder, whole_path
from agentbox.audio.files import read_file
from agentbox.config import Config
from agentbox.daemon.model_process import Decoded, ModelProcess, Wanted, opened
from agentbox.errors import ConfigError
from agentbox.files import replace_file
from agentbox.messages import SAMPLE_RATE_HZ

ROUNDS = 5
"""Each takes every number of threads in turn, so that other work on the machine is spread over them."""

WORTH = 0.85
"""More threads are taken where they need at most so much of the time: the rest of the box wants its processors too."""

MOST_THREADS = 8


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """What a model has to live with."""

    processor: str
    cores: int
    memory_mb: float

    @classmethod
    def here(cls) -> Machine:
        return cls(
            processor=_first(Path("/proc/cpuinfo"), ("model name", "Model", "Hardware")) or os.uname().machine,
            cores=len(os.sched_getaffinity(0)),
            memory_mb=float((_first(Path("/proc/meminfo"), ("MemTotal",)) or "0").split()[0]) / 1024,
        )

    def is_like(self, other: Machine) -> bool:
        """Whether what was measured on one holds on the other."""
        return (self.processor, self.cores) == (other.processor, other.cores)


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """Of one model. Times are medians."""

    stamp: str
    """Of its files: others may take another time."""
    machine: Machine
    at: float
    """Seconds since 1970."""
    threads: int
    """The number that was chosen."""
    command_ms: dict[int, float]
    """Time to write down a command of some 4 s, by the number of threads."""
    rtf: dict[int, float]
    """Seconds for a second of sound over a command and a longer piece of talk, by the number of threads."""
    load_s: float
    peak_mb: float
    """The most memory that it added to a process, at loading and decoding (RSS), on the chosen number of threads."""
    resting_mb: float
    """What it adds when it is loaded and at rest (PSS)."""


def pick_threads(command_ms: Mapping[int, float]) -> int:
    """The number of threads to take: the fewest, unless more are worth it (`WORTH`)."""
    numbers = sorted(command_ms)
    chosen = numbers[0]
    for number in numbers[1:]:
        if command_ms[number] <= WORTH * command_ms[chosen]:
            chosen = number
    return chosen


def thread_numbers(cores: int) -> list[int]:
    """What to try: 1, 2, 4 ... up to the number of cores, which is itself among them."""
    return sorted({min(cores, MOST_THREADS), *(n for n in (1, 2, 4, 8) if n <= cores)})


def measure(
    name: str,
    config: Config,
    clips: Sequence[NDArray[np.float32]],
    *,
    rounds: int = ROUNDS,
    progress: Callable[[str], None] = lambda _: None,
) -> Measured:
    """Load a model in processes of its own, one for each number of threads, and decode `clips` in turns (float32 [n],
    16 kHz; the first is the command). Takes a while; blocks. Raises what `opened` and `ModelProcess.decode` raise."""
    machine = Machine.here()
    with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as stack:
        file = Path(scratch) / "clips.npz"
        np.savez(file, *clips)
        processes: dict[int, ModelProcess] = {}
        for number in thread_numbers(machine.cores):
            if processes and _too_much(next(iter(processes.values()))):
                break
            progress(f"loading {name} for {number} thread{'s' if number > 1 else ''}")
            wanted = Wanted(
                model=name,
                language=config.language,
                models_dir=str(paths.models_dir(config)),
                threads=number,
                clips=str(file),
            )
            processes[number] = stack.enter_context(opened(wanted))
            processes[number].decode()  # warms up, and shows how much memory it takes
        seen: dict[int, list[Decoded]] = {number: [] for number in processes}
        for turn in range(rounds):
            progress(f"round {turn + 1} of {rounds}")
            order = list(processes) if turn % 2 == 0 else list(reversed(processes))
            for number in order:
                seen[number].append(processes[number].decode())
    audio_s = sum(clip.size for clip in clips) / SAMPLE_RATE_HZ
    command_ms = {number: 1000 * statistics.median(one.seconds[0] for one in found) for number, found in seen.items()}
    rtf = {number: statistics.median(sum(one.seconds) for one in found) / audio_s for number, found in seen.items()}
    threads = pick_threads(command_ms)
    return Measured(
        stamp=stamp(name, config),
        machine=machine,
        at=time.time(),
        threads=threads,
        command_ms=command_ms,
        rtf=rtf,
        load_s=processes[threads].loaded.load_s,
        peak_mb=max(one.peak_mb for one in seen[threads]),
        resting_mb=statistics.median(one.resting_mb for one in seen[threads]),
    )


def sample() -> list[NDArray[np.float32]]:
    """What is decoded to measure: a command of 4 s and 12 s of talk, from the spoken sample that agentbox carries. Its
    words are English; to another language's model they are sounds that take about as long."""
    with resources.as_file(resources.files("agentbox") / "samples" / "commands.flac") as file:
        sound = np.concatenate(list(read_file(file))).astype(np.float32) / np.float32(32768)
    return [sound[first_s * SAMPLE_RATE_HZ : last_s * SAMPLE_RATE_HZ] for first_s, last_s in ((5, 9), (28, 40))]


def _too_much(first: ModelProcess) -> bool:
    """Whether the machine has no room for one more beside those that are loaded."""
    free_mb = float((_first(Path("/proc/meminfo"), ("MemAvailable",)) or "0").split()[0]) / 1024
    return first.decode().peak_mb * 1.5 > free_mb


def stamp(name: str, config: Config) -> str:
    """Tells the files of a model from others; empty where there are none."""
    folder = Path(os.path.expanduser(name)) if is_folder(name) else paths.models_dir(config) / name
    try:
        found = sorted((file.name, file.stat()) for file in folder.iterdir() if file.is_file())
    except OSError:
        return ""
    return caches.digest(*(f"{file} {status.st_size} {status.st_mtime_ns}" for file, status in found))


def keep(name: str, measured: Measured) -> None:
    """Write it down in place of what was known of the model. Raises `ConfigError` `config_unwritable`, `StorageError`
    `state_not_writable`."""
    file = paths.measured_file()
    known = _read() | {whole_path(name): measured}
    paths.prepare(file.parent)
    try:
        replace_file(file, msgspec.json.format(msgspec.json.encode(known)), mode=0o644)
    except OSError as error:
        raise ConfigError(
            "config_unwritable", f"{file} cannot be written: {error.strerror}.", "Check its folder's permissions."
        ) from error


def known(name: str, config: Config, machine: Machine | None = None) -> Measured | None:
    """What was measured of the model as it is now, on this machine; null where nobody did."""
    found = _read().get(whole_path(name))
    if found is None or found.stamp != stamp(name, config) or not found.machine.is_like(machine or Machine.here()):
        return None
    return found


def threads_of(config: Config, name: str | None = None) -> int:
    """How many threads the speech model gets: what the owner says, else what was measured, else one."""
    if config.asr.threads is not None:
        return config.asr.threads
    found = known(name or config.asr.model, config)
    return 1 if found is None else found.threads


def _read() -> dict[str, Measured]:
    try:
        return msgspec.json.decode(paths.measured_file().read_bytes(), type=dict[str, Measured])
    except (OSError, msgspec.MsgspecError):
        return {}  # it can be measured again


def _first(file: Path, names: Sequence[str]) -> str | None:
    """The value of the first of `names` that a file of `name: value` lines has."""
    with contextlib.suppress(OSError):
        lines = file.read_text(errors="replace").splitlines()
        for name in names:
            for line in lines:
                key, colon, value = line.partition(":")
                if colon and key.strip() == name:
                    return value.strip()
    return None
