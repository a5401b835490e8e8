"""Machines to install agentbox on: booted for each test, from a tree that is installed once."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.pulse import Pulse, running
from tests.system.machine import Machine, boot
from tests.system.trees import checkout, debian, wheelhouse

VERSION = "0.0.1"
"""Of what is installed; the tests' upgrades are newer ones."""

INSTALL = "{}/deploy/install.sh --wheelhouse /mnt/wheelhouse --models /mnt/models"
"""The installer of a checkout, on a machine without network."""

HEARS_ALL = "activation: {mode: always}\naudio: {sounds: false}\nspeech: {verbosity: sounds}\n"
"""A configuration by which everything said is for the box, and nothing that it plays is heard by itself."""

Boot = Callable[..., AbstractContextManager[Machine]]


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(600))


@dataclass(frozen=True)
class Installed:
    """What a tree with agentbox is made of, topmost first, and how it came to be."""

    lower: tuple[Path, ...]
    said: str


@pytest.fixture(scope="session")
def base() -> Path:
    """A Debian to boot; skips, with the reason, where none can be."""
    if os.geteuid() != 0:
        pytest.skip("a machine of its own can only be started by root")
    programs = {"systemd-nspawn": "systemd-container", "debootstrap": "debootstrap", "nsenter": "util-linux"}
    if missing := [package for program, package in programs.items() if shutil.which(program) is None]:
        pytest.skip(f"not installed: {', '.join(missing)}")
    if subprocess.run(["unshare", "--mount", "--pid", "--fork", "true"], capture_output=True).returncode != 0:
        pytest.skip("this container may not start another one")
    return debian()


@pytest.fixture(scope="session")
def supplies(base: Path, models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What machines are given: packages, the default models and a checkout."""
    models = tmp_path_factory.mktemp("models")
    for name in ("moonshine-tiny-en", "silero-vad-16k"):
        shutil.copytree(models_dir / name, models / name)
    source = checkout(tmp_path_factory.mktemp("checkout") / "agentbox", VERSION)
    return {"wheelhouse": wheelhouse(), "models": models, "checkout": source}


@pytest.fixture(scope="session")
def installed(base: Path, supplies: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """A tree on which the checkout's installer has run."""
    folder = tmp_path_factory.mktemp("installed")
    with boot(folder, [base], supplies) as machine:
        said = machine.run(INSTALL.format("/mnt/checkout")).stderr
    return Installed((folder / "upper", base), said)


@pytest.fixture
def start(installed: Installed, supplies: dict[str, Path], tmp_path: Path) -> Boot:
    """Boots a machine with agentbox: `with start(given={...}, files={...}) as machine`. When the block begins the
    service is ready."""

    @contextlib.contextmanager
    def begin(given: dict[str, Path] | None = None, files: dict[str, str] | None = None) -> Iterator[Machine]:
        folder = tmp_path / f"machine-{len(list(tmp_path.iterdir()))}"
        with boot(folder, installed.lower, {**supplies, **(given or {})}, files) as machine:
            yield machine

    return begin


@pytest.fixture
def machine(start: Boot) -> Iterator[Machine]:
    """A machine with agentbox as it is after the installation: no microphone, no network."""
    with start() as machine:
        yield machine


@pytest.fixture
def pulse(tmp_path: Path) -> Iterator[Pulse]:
    """A virtual microphone; `hearing` brings it into a machine."""
    with running(tmp_path / "pulse") as server:
        yield server


@pytest.fixture
def hearing(start: Boot, pulse: Pulse) -> Iterator[Machine]:
    """A machine whose sandboxed service listens to `pulse`, and takes everything for a command."""
    sound = "[Service]\nEnvironment=PULSE_SERVER=unix:/mnt/pulse XDG_RUNTIME_DIR=/tmp HOME=/tmp\n"
    files = {
        "/etc/systemd/system/agentbox.service.d/50-sound.conf": sound,
        "/etc/agentbox/config.yaml": HEARS_ALL,
    }
    with start({"pulse": pulse.folder / "native"}, files) as machine:
        machine.until("agentbox status", "listening")
        yield machine
