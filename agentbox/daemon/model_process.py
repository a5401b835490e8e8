"""A speech model in a process of its own: to see whether it can be loaded at all, and what it costs.

A damaged graph may end the process that loads it, and the memory of a process is only its own where nothing else is in
it. One line of JSON comes for each thing asked (`python -m agentbox.daemon.model_process`).
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import numpy as np

from agentbox.asr.load import load_engine
from agentbox.credentials import without_secrets
from agentbox.daemon.figures import memory_bytes
from agentbox.errors import AgentboxError, ConfigError, InputError, ModelError

LIMIT_S = 300.0
"""A model that takes longer to load, or for one round, hangs."""

Process: TypeAlias = "subprocess.Popen[str]"

_KINDS = {kind.__name__: kind for kind in (ConfigError, InputError, ModelError)}


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be loaded."""

    model: str
    language: str
    models_dir: str
    threads: int = 1
    clips: str | None = None
    """A file of numpy arrays (`.npz`), float32 [n], 16 kHz, -1..1: what `decode` decodes."""


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """It is loaded, and past its self-test."""

    load_s: float
    peak_mb: float
    """The most that it has added so far to the process (RSS)."""


class Decoded(msgspec.Struct, frozen=True, kw_only=True):
    """One round over all clips."""

    seconds: list[float]
    """Time for each."""
    peak_mb: float
    resting_mb: float
    """What it adds at rest (PSS); as `peak_mb` where the kernel does not tell."""


class ModelProcess:
    """Made by `opened`."""

    def __init__(self, process: Process, name: str) -> None:
        self._process = process
        self._name = name
        self.loaded = msgspec.convert(self._answer(), Loaded)

    def decode(self) -> Decoded:
        """Raises `ModelError`: `model_failed`, `model_damaged` where the process ended."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # how it ended is told next
            self._process.stdin.write("\n")
            self._process.stdin.flush()
        return msgspec.convert(self._answer(), Decoded)

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        watch = threading.Timer(LIMIT_S, self._process.kill)
        watch.start()
        try:
            line = self._process.stdout.readline()
        finally:
            watch.cancel()
        if not line.endswith("\n"):
            code = self._process.wait()
            raise ModelError(
                "model_damaged",
                f"The process that tried the model {self._name} ended with {code}.",
                "Its files are damaged, or this machine has too little memory for it. Run: agentbox models verify",
            )
        answer = json.loads(line)
        if "error" in answer:
            error = answer["error"]
            raise _KINDS[error["kind"]](error["code"], error["what"], error["todo"])
        return answer


@contextlib.contextmanager
def opened(wanted: Wanted, begun: Callable[[Process], None] = lambda _: None) -> Iterator[ModelProcess]:
    """A process that has loaded the model; it ends with the block. Blocks; `begun` is given the process before, so that
    another thread can end that.

    Raises what `load_engine` raises without fetching, and `ModelError`: `model_damaged` where the process ended,
    `model_failed` where there could be none.
    """
    command = [sys.executable, "-P", "-m", __name__, msgspec.json.encode(wanted).decode()]
    plain = without_secrets(os.environ)
    try:
        process = subprocess.Popen(  # noqa: S603 - this very module, by the interpreter that runs it
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=plain
        )
    except OSError as error:
        what = f"No process could be started to try the model {wanted.model}: {error.strerror}."
        raise ModelError("model_failed", what, "This machine has too little memory, or too many processes.") from error
    try:
        begun(process)
        yield ModelProcess(process, wanted.model)
    finally:
        process.kill()
        process.communicate()


def _serve(wanted: Wanted) -> None:
    clips: list[Any] = []
    if wanted.clips is not None:
        with np.load(wanted.clips) as file:
            clips = [file[name] for name in file.files]
    rss_mb, pss_mb = _status_mb("VmRSS"), _pss_mb()
    began = time.perf_counter()
    engine = load_engine(wanted.model, wanted.language, Path(wanted.models_dir), wanted.threads, fetch_missing=False)
    _say(Loaded(load_s=time.perf_counter() - began, peak_mb=_status_mb("VmHWM") - rss_mb))
    for _ in sys.stdin:
        seconds = []
        for clip in clips:
            began = time.perf_counter()
            engine.transcribe(clip, language=wanted.language)
            seconds.append(time.perf_counter() - began)
        engine.rest()
        peak_mb, resting_mb = _status_mb("VmHWM") - rss_mb, _pss_mb()
        resting = peak_mb if resting_mb is None or pss_mb is None else resting_mb - pss_mb
        _say(Decoded(seconds=seconds, peak_mb=peak_mb, resting_mb=resting))


def _say(answer: object) -> None:
    print(msgspec.json.encode(answer).decode(), flush=True)


def _status_mb(name: str) -> float:
    """A line of /proc/self/status. (`ru_maxrss` would count the parent's memory in.)"""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    return 0.0


def _pss_mb() -> float | None:
    found = memory_bytes()
    return None if found is None else found / (1 << 20)


if __name__ == "__main__":
    try:
        _serve(msgspec.json.decode(sys.argv[1], type=Wanted))
    except AgentboxError as error:
        kind = next((name for name, kind in _KINDS.items() if isinstance(error, kind)), "ModelError")
        _say({"error": {"kind": kind, "code": error.code, "what": error.what, "todo": error.todo}})
