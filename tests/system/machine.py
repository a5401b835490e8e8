"""A machine of its own: a real systemd, booted in a container without network. Half a second a boot."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.system.trees import layered

_numbers = itertools.count()

_ENVIRON = ("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8")

MOUNTED = Path("/mnt")
"""Where a machine finds the folders and sockets that it was given: under their names."""


class Machine:
    """Made by `boot`. `tree` is its root folder as seen from outside: files may be read and written there."""

    def __init__(self, tree: Path, leader: int) -> None:
        self.tree = tree
        self._leader = leader

    def run(
        self, command: str, *, check: bool = True, input: str | None = None, timeout_s: float = 240
    ) -> subprocess.CompletedProcess[str]:
        """A shell command in the machine, as root. `check`: it must succeed; what it said is in the error."""
        done = subprocess.run(
            ["nsenter", "--target", str(self._leader), "--all", "env", "-i", *_ENVIRON, "sh", "-c", command],
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )
        if check and done.returncode != 0:
            log = self.run("journalctl --boot --lines=40 --output=cat --no-pager", check=False).stdout
            raise AssertionError(f"{command}: {done.returncode}\n{done.stdout}{done.stderr}\n{log}")
        return done

    def out(self, command: str) -> str:
        """What a command that must succeed prints."""
        return self.run(command).stdout.strip()

    def systemctl(self, *arguments: str, check: bool = True) -> str:
        return self.run(f"systemctl {' '.join(arguments)}", check=check).stdout.strip()

    def show(self, unit: str, *properties: str) -> dict[str, str]:
        """Properties of a unit, such as `NRestarts`."""
        lines = self.systemctl("show", unit, *(f"--property={name}" for name in properties)).splitlines()
        return dict(line.split("=", 1) for line in lines)

    def journal(self, unit: str) -> str:
        """What the unit and systemd said about it."""
        return self.run(f"journalctl --unit={unit} --output=cat --no-pager", check=False).stdout

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        write(self.tree, path, text, mode)

    def drop_in(self, unit: str, *lines: str) -> None:
        """Lines of a `[Service]` section laid over a unit; they count from its next start on."""
        self.write(f"/etc/systemd/system/{unit}.d/50-test.conf", "\n".join(("[Service]", *lines, "")))
        self.systemctl("daemon-reload")

    def until(self, command: str, wanted: str, timeout_s: float = 30) -> str:
        """Repeat a command until it prints `wanted`; what it printed then."""
        deadline = time.monotonic() + timeout_s
        while True:
            done = self.run(command, check=False)
            if wanted in done.stdout:
                return done.stdout
            if time.monotonic() > deadline:
                raise AssertionError(f"{command} never printed {wanted!r}:\n{done.stdout}{done.stderr}")
            time.sleep(0.1)


@contextlib.contextmanager
def boot(
    folder: Path,
    lower: Sequence[Path],
    given: Mapping[str, Path] | None = None,
    files: Mapping[str, str] | None = None,
) -> Iterator[Machine]:
    """A machine over the folders `lower` (trees.layered), ready when the block begins, powered off when it ends.

    `given`: folders and sockets of this machine that the other one finds as `/mnt/<name>`. `files`: path -> text, there
    before it starts. What it writes is in `folder`/upper afterwards.
    """
    with layered(folder, *lower) as tree:
        for name, text in (files or {}).items():
            write(tree, name, text)
        command = ["systemd-nspawn", f"--directory={tree}", f"--machine=agentbox-{os.getpid()}-{next(_numbers)}"]
        command += ["--register=no", "--keep-unit", "--boot", "--private-network", "--resolv-conf=off"]
        for name, path in (given or {}).items():
            place = tree / "mnt" / name
            if path.is_dir():
                place.mkdir(exist_ok=True)
                command.append(f"--bind-ro={path}:{MOUNTED / name}")
            else:
                place.touch()
                command.append(f"--bind={path}:{MOUNTED / name}")
        with (folder / "console").open("wb") as console:
            nspawn = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
                start_new_session=True,
            )
        try:
            machine = Machine(tree, _leader(nspawn, folder / "console"))
            machine.until("systemctl is-system-running || systemctl --failed --no-legend", "running", timeout_s=60)
            yield machine
            os.kill(machine._leader, signal.SIGRTMIN + 4)  # power off
            nspawn.wait(timeout=30)
        finally:
            if nspawn.poll() is None:
                nspawn.kill()
                nspawn.wait()


def write(tree: Path, path: str, text: str, mode: int = 0o644) -> None:
    file = tree / path.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(mode)


def _leader(nspawn: subprocess.Popen[bytes], console: Path) -> int:
    """The process that is number 1 in there."""
    deadline = time.monotonic() + 10
    children = Path(f"/proc/{nspawn.pid}/task/{nspawn.pid}/children")
    while nspawn.poll() is None and time.monotonic() < deadline:
        for child in map(int, children.read_text().split()):
            with contextlib.suppress(FileNotFoundError):  # one that was there a moment ago
                if Path(f"/proc/{child}/comm").read_text().strip() == "systemd":
                    return child
        time.sleep(0.02)
    raise RuntimeError(f"the machine did not start: {console.read_text(errors='replace')}")
