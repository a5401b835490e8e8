"""A daemon in a process of its own, in a state directory of its own, run the way its owner runs it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import yaml

from agentbox.audio.files import read_file
from tests import warm

SAMPLE = Path(__file__).parents[2] / "agentbox" / "samples" / "commands.flac"
DATA = Path(__file__).parents[3] / "shared" / "data"


class Home:
    """A state directory, its configuration, and commands run with both."""

    def __init__(self, folder: Path, models_dir: Path) -> None:
        self.state = folder / "state"
        self.state.mkdir(mode=0o700)
        self.config_file = folder / "config.yaml"
        self.models_dir = models_dir
        self.environ: dict[str, str] = {}
        self.program = [sys.executable, "-m", "agentbox"]
        self.configure({})

    def configure(self, config: dict[str, Any]) -> None:
        """Write the configuration: `config`, with the tests' models, without sounds and speech."""
        base: dict[str, Any] = {
            "asr": {"models_dir": str(self.models_dir)},
            "audio": {"sounds": False},
            "speech": {"verbosity": "sounds"},
        }
        self.config_file.write_text(yaml.safe_dump(base | config))

    @property
    def database(self) -> Path:
        return self.state / "agentbox.db"

    def command(self, *arguments: str) -> list[str]:
        if arguments[0] == "run":
            warm.lend(self.state, self.models_dir)
        return [*self.program, *arguments, "--config", str(self.config_file)]

    def env(self) -> dict[str, str]:
        return {**os.environ, "AGENTBOX_STATE": str(self.state), "TZ": "UTC", **self.environ}

    def run(self, *arguments: str, input: bytes | None = None) -> subprocess.CompletedProcess[str]:
        """A command to its end."""
        done = subprocess.run(
            self.command(*arguments),
            env=self.env(),
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            timeout=100,
        )
        return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())

    def json(self, *arguments: str) -> list[dict[str, Any]]:
        """A command's JSON lines. It must succeed."""
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def hear(self, source: Path, *options: str) -> list[dict[str, Any]]:
        """The stage events of a daemon that hears a file as fast as it can."""
        return self.json("run", "--source", str(source), "--fast", "--exit-when-done", *options)

    def turns(self) -> list[dict[str, Any]]:
        """What the journal holds, newest first."""
        return self.json("transcripts", "list", "--limit", "100")


class Running:
    """A daemon that runs until it is stopped; its events are read one by one."""

    def __init__(self, home: Home, *options: str) -> None:
        self.process = subprocess.Popen(
            home.command("run", "--json", *options),
            env=home.env(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.seen: list[dict[str, Any]] = []
        self.until("box", "started")

    def until(self, stage: str, state: str | None = None) -> dict[str, Any]:
        """Read on to the next event of this kind."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            event: dict[str, Any] = json.loads(line)
            self.seen.append(event)
            if event["stage"] == stage and state in (None, event["state"]):
                return event
        assert self.process.stderr is not None
        raise AssertionError(f"the daemon ended before {stage} {state}: {self.process.stderr.read()}")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            self.process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise
        return self.process.returncode


@pytest.fixture
def spoken_timer(tmp_path: Path) -> Path:
    """ "Set a pizza timer for ten minutes", from the sample."""
    sound = np.concatenate(list(read_file(SAMPLE)))
    soundfile.write(tmp_path / "timer.wav", sound[16000 * 3 : 16000 * 8], 16000)
    return tmp_path / "timer.wav"


@pytest.fixture
def home(tmp_path: Path, models_dir: Path) -> Home:
    return Home(tmp_path, models_dir)


@pytest.fixture
def start(home: Home) -> Iterator[Callable[..., Running]]:
    """Starts daemons of `home`; whatever still runs at the end is killed."""
    started: list[Running] = []

    def begin(*options: str) -> Running:
        daemon = Running(home, *options)
        started.append(daemon)
        return daemon

    yield begin
    for daemon in started:
        if daemon.process.poll() is None:
            daemon.process.kill()
        daemon.process.communicate()


@pytest.fixture
def data() -> Path:
    """Real recordings that are not part of the project."""
    if not DATA.is_dir():
        pytest.skip(f"the recordings are not here ({DATA.parent.name}/{DATA.name} beside the project)")
    return DATA
