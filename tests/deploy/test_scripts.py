"""The scripts a newcomer meets first, and those that install the service, are well-formed."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from agentbox.cli import main

ROOT = Path(__file__).parents[2]
SCRIPTS = [*sorted({*(ROOT / "deploy").glob("*.sh")} - {ROOT / "deploy" / "command.sh"}), ROOT / ".ci" / "run"]
SHELL = [*sorted((ROOT / "deploy" / "debian").glob("p*")), ROOT / "deploy" / "command.sh"]
"""For plain /bin/sh: they run where nothing of ours is installed yet."""

Command = Callable[..., str]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_bash_accepts_the_script(script: Path) -> None:
    subprocess.run(["bash", "-n", str(script)], check=True, timeout=60)
    if script.name != "lib.sh":
        assert script.stat().st_mode & 0o111 == 0o111, "it must be executable"
        assert "set -euo pipefail" in script.read_text()


@pytest.mark.parametrize("script", SHELL, ids=lambda path: path.name)
def test_sh_accepts_the_script(script: Path) -> None:
    subprocess.run(["sh", "-n", str(script)], check=True, timeout=60)
    assert script.stat().st_mode & 0o111 == 0o111, "it must be executable"
    assert script.read_text().startswith("#!/bin/sh\n")
    assert "\nset -e" in script.read_text()


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_shellcheck_finds_nothing() -> None:
    command = ["shellcheck", "--external-sources", *map(str, SCRIPTS + SHELL)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert result.returncode == 0, result.stdout


ANYBODYS = {"run", "transcribe", "recognize", "listen", "pair", "devices", "restart", "bench"}
"""Commands that read nothing of the service's, take files of the caller's, or only ask a service that runs."""

FILES = {"understand": "--sentences=/tmp/x", "say": "--out=/tmp/x", "config": "--config=/tmp/x", "sentences": "/tmp/x"}
"""How commands that read the service's settings are given a file of the caller's, which its user does not see."""

ALWAYS = {"transcripts", "models", "doctor", *FILES}


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Command]:
    """`deploy/command.sh` as root, beside a service that runs or not; prints as whom it runs what."""
    for name, text in {
        "agentbox": 'echo "root: $*"',
        "systemd-run": 'while [ "${1##*/}" != agentbox ]; do shift; done; shift; echo "service: $*"; tr a-z A-Z',
        "id": "echo 0",
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    (tmp_path / "run/agentbox").mkdir()
    script = (ROOT / "deploy" / "command.sh").read_text()
    script = script.replace("/opt/agentbox/current/bin/agentbox", str(tmp_path / "agentbox"))
    (tmp_path / "command.sh").write_text(script.replace("/run/", f"{tmp_path}/run/"))
    with socket.socket(socket.AF_UNIX) as control:

        def run(*words: str, running: bool = False, **environ: str) -> str:
            place = tmp_path / "run/agentbox/control.sock"
            if running and not place.exists():
                control.bind(str(place))
            done = subprocess.run(
                ["sh", str(tmp_path / "command.sh"), *words],
                env={"PATH": f"{tmp_path}:/usr/bin:/bin", **environ},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=60,
                check=True,
            )
            assert done.stderr == ""
            return done.stdout.strip()

        yield run


def test_root_does_as_the_service_what_is_the_services(command: Command) -> None:
    own = list(main.list_commands(click.Context(main)))
    assert set(own) >= ANYBODYS | ALWAYS
    for running in (False, True):
        for name in own:
            words = [name, "check"] if name == "sentences" else [name]
            as_service = name in ALWAYS or not (running or name in ANYBODYS)
            said = command(*words, running=running)
            assert said == f"{'service' if as_service else 'root'}: {' '.join(words)}", (name, running)


def test_files_of_the_callers_are_read_as_the_caller(command: Command) -> None:
    for name, words in FILES.items():
        assert command(name, "check", words) == f"root: {name} check {words}"
    assert command("transcripts", "list", AGENTBOX_STATE="/x") == "root: transcripts list"
    assert command("mute", AGENTBOX_SOCKET="/x") == "root: mute"


def test_a_backup_goes_through_a_pipe(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "my backup.zip"
    assert command("backup", "--config", "/etc/c", str(file), "--with-secrets") == ""
    assert file.read_text() == "service: backup --config /etc/c - --with-secrets\n"
    assert file.stat().st_mode & 0o777 == 0o600
    assert command("restore", str(file), "--yes").splitlines() == [
        "service: restore - --yes",
        file.read_text().upper().strip(),
    ]
    assert [one.name for one in tmp_path.glob(".*")] == []
    assert command("backup", str(file), running=True) == f"root: backup {file}"
