"""What the machines are made of: a Debian tree, a wheelhouse, and layers of files over the tree. All of it is made once
and kept in `$AGENTBOX_TEST_TREE` (or `~/.cache/agentbox-test-tree`)."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]

PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "libnss-systemd"),
    # What deploy/install.sh and the Debian package ask for.
    *("python3", "python3-venv", "libportaudio2", "libasound2-plugins", "alsa-utils", "ca-certificates"),
)
SUITE = "bookworm"


def cache() -> Path:
    asked = os.environ.get("AGENTBOX_TEST_TREE")
    return Path(asked) if asked else Path.home() / ".cache" / "agentbox-test-tree"


def debian() -> Path:
    """A Debian with systemd and the system libraries; the first time it is fetched, which takes minutes."""
    return _made(f"{SUITE}-{_key(PACKAGES)}", _debootstrap)


def wheelhouse() -> Path:
    """Everything that pip needs to install the project on a machine without network."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [*project["build-system"]["requires"], *project["project"]["dependencies"]]

    def fill(folder: Path) -> None:
        # The machines have Debian's Python, which need not be the one that runs the tests.
        for python in ("/usr/bin/python3", sys.executable):
            command = [python, "-m", "pip", "wheel", "--quiet", f"--wheel-dir={folder}", *wanted]
            if subprocess.run(command, timeout=600, stdin=subprocess.DEVNULL).returncode == 0:
                return
        raise RuntimeError("pip could not fetch the packages")

    return _made(f"wheelhouse-{_key(wanted)}", fill)


CHECKOUT = ("agentbox", "deploy", "systemd", "docs", *("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md"))


def checkout(folder: Path, version: str, edits: Mapping[str, tuple[str, str]] | None = None) -> Path:
    """A copy of the project with another version number. `edits`: file -> (text, what takes its place)."""
    for name in (*CHECKOUT, "config.example.yaml"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    init = folder / "agentbox" / "__init__.py"
    init.write_text(re.sub(r'__version__ = ".*"', f'__version__ = "{version}"', init.read_text()))
    for name, (old, new) in (edits or {}).items():
        text = (folder / name).read_text()
        assert old in text, f"{name} has changed: {old!r} is not in it"
        (folder / name).write_text(text.replace(old, new))
    return folder


@contextlib.contextmanager
def layered(folder: Path, *lower: Path) -> Iterator[Path]:
    """A tree that shows the folders `lower`, the first on top; what is written goes to `folder`/upper, so that the
    folders themselves stay as they are."""
    for name in ("upper", "work", "tree"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    options = f"lowerdir={':'.join(map(str, lower))},upperdir={folder}/upper,workdir={folder}/work"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, f"{folder}/tree"], check=True)
    try:
        yield folder / "tree"
    finally:
        subprocess.run(["umount", "--lazy", f"{folder}/tree"], check=True)
        shutil.rmtree(folder / "work", ignore_errors=True)


def _debootstrap(folder: Path) -> None:
    command = ["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, str(folder)]
    subprocess.run(command, check=True, timeout=1500, stdout=subprocess.DEVNULL)
    shutil.rmtree(folder / "var" / "cache" / "apt" / "archives", ignore_errors=True)
    # Nobody mourns these machines: dpkg need not wait for the disk.
    (folder / "etc" / "dpkg" / "dpkg.cfg.d" / "quick").write_text("force-unsafe-io\n")


def _made(name: str, make: Callable[[Path], None]) -> Path:
    """The folder `name` of the cache; one that was left half made is made anew."""
    target = cache() / name
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            part = target.with_name(f"{name}.part")
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
            make(part)
            part.rename(target)
    return target


def _key(parts: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]
