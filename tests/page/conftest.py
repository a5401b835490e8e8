"""A daemon with its page, on loopback, and phones that pair with it. The daemon is the real one, in a process of its
own; what the tests of the page do not need (a microphone, a speaker) is left out."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from agentbox.control.client import Client
from agentbox.errors import ControlError
from tests import warm
from tests.models import folder_of_models

START_S = 60.0


class Daemon:
    """A box with a page at a free port. `new`: its owner was not yet led through the set-up. `environ`: a sound
    server's, at whose microphone it listens; without one it hears what is written to its standard input."""

    def __init__(self, state: Path, *, new: bool = False, environ: dict[str, str] | None = None, **config: Any) -> None:
        self.new = new
        self.environ = environ or {}
        self._source = ["--source", "-"] if environ is None else []
        self.state = state
        self.config = state / "config.yaml"
        state.mkdir(parents=True, exist_ok=True)
        page = {"port": 0, "mdns": False, **config.pop("page", {})}
        sections = {
            "asr": {"models_dir": str(folder_of_models())},
            "audio": {"sounds": False},
            "speech": {"verbosity": "sounds"},
            "activation": {"mode": "always"},
            "page": page,
            **config,
        }
        self.has_page = bool(page.get("enabled", True))
        self.config.write_text(yaml.safe_dump(sections))
        self.client = Client(state / "control.sock")
        self.process: subprocess.Popen[bytes] | None = None
        self.port = 0

    def start(self) -> None:
        warm.lend(self.state, folder_of_models())
        self.process = subprocess.Popen(
            [sys.executable, "-m", "agentbox", "run", *self._source, "--config", str(self.config)],
            env={**os.environ, "AGENTBOX_STATE": str(self.state), **self.environ},
            stdin=subprocess.PIPE,
            stdout=(self.state / "out").open("ab"),
            stderr=subprocess.STDOUT,
        )
        until_s = time.monotonic() + START_S
        sign = self.state / ("page.sock" if self.has_page else "control.sock")
        while not sign.exists() or not self.client.is_running():
            assert self.process.poll() is None, self.log()
            assert time.monotonic() < until_s, self.log()
            time.sleep(0.05)
        if not self.new:
            self.client.call("setup.finish")
        if self.has_page:
            self.find_port()

    def find_port(self) -> None:
        self.port = int(re.findall(r":(\d+)/", self.offer()["url"])[0])

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(20)
            self.process = None

    def offer(self, role: str = "owner") -> dict[str, Any]:
        found: dict[str, Any] = self.client.call("pair.start", {"role": role})
        return found

    def log(self) -> str:
        return (self.state / "out").read_text()

    @property
    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.state / "page" / "certificate.pem"))

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def browser(self, **headers: str) -> httpx.Client:
        """One that trusts the box's certificate, and has not paired."""
        return httpx.Client(base_url=self.url, verify=self.trust, headers=headers, timeout=20, trust_env=False)

    def phone(self, role: str = "owner", name: str = "phone") -> Phone:
        phone = Phone(self.browser())
        phone.pair(self.offer(role)["code"], name)
        return phone


class Phone:
    """A paired browser."""

    def __init__(self, browser: httpx.Client) -> None:
        self.browser = browser

    def pair(self, code: str, name: str) -> None:
        answer = self.browser.post("/pair", data={"code": code, "name": name})
        assert answer.status_code == 303, answer.text

    def see(self, place: str) -> str:
        answer = self.browser.get(place)
        assert answer.status_code == 200, answer.text
        return answer.text

    def form_key(self) -> str:
        return str(re.findall(r'name="form_key" value="([^"]+)"', self.see("/"))[0])

    def send(self, place: str, **form: str) -> httpx.Response:
        return self.browser.post(place, data={"form_key": self.form_key(), **form})

    @property
    def cookie(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.browser.cookies.items())


@pytest.fixture(scope="session")
def shared_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with running(tmp_path_factory.mktemp("page")) as daemon:
        yield daemon


@pytest.fixture
def daemon(shared_daemon: Daemon) -> Iterator[Daemon]:
    """One for all tests that leave it as it was. Their phones leave with them: a box takes 64."""
    yield shared_daemon
    for device in shared_daemon.client.call("devices.list"):
        shared_daemon.client.call("devices.revoke", {"id": device["id"]})


@contextlib.contextmanager
def running(state: Path, **config: Any) -> Iterator[Daemon]:
    daemon = Daemon(state, **config)
    daemon.start()
    try:
        yield daemon
    finally:
        daemon.stop()


def until_anew(daemon: Daemon, before: float) -> None:
    """Until the box answers, its page is open, and it has not run for longer than since `before` (of the monotonic
    clock)."""
    until_s = time.monotonic() + 60
    while time.monotonic() < until_s:
        time.sleep(0.1)
        with contextlib.suppress(ControlError):  # on its way down, or not yet up
            if daemon.client.call("status")["up_s"] < time.monotonic() - before:
                daemon.find_port()
                return
    raise AssertionError(daemon.log())


def until(true: Callable[[], bool], daemon: Daemon) -> None:
    until_s = time.monotonic() + 60
    while not true():
        assert time.monotonic() < until_s, daemon.log()
        time.sleep(0.1)


def settings_of(daemon: Daemon) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((daemon.state / "settings.yaml").read_text())
    return found


def audit_of(daemon: Daemon) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = daemon.client.call("audit.list", {"limit": 1000})
    return found
