"""Files of figures that can be worked out again: read where they fit, written when they do not, never relied on."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from agentbox import __version__

T = TypeVar("T")

_KEPT = 4
"""Files of one kind that are kept; those that were read or written last."""

_SEAL_BYTES = 32
"""A file begins with the SHA-256 of the rest: a damaged one may decode and mean something else."""

_UNFINISHED = ".part-"


def digest(*parts: bytes | str) -> str:
    """A name for what a file was made from: the content itself, and the release that made it."""
    sha = hashlib.sha256(__version__.encode())
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        sha.update(len(data).to_bytes(8, "big") + data)
    return sha.hexdigest()[:32]


def read(folder: Path, kind: str, name: str, type: type[T]) -> T | None:
    """What was written as `kind` and `name`; null where it was not, or is damaged: then it goes."""
    path = folder / f"{kind}-{name}.msgpack"
    try:
        data = path.read_bytes()
        found = _unsealed(data, type)
        if found is None:
            path.unlink()
        else:
            os.utime(path)  # the files that are read are those to keep
    except OSError:
        return None
    return found


def write(folder: Path, kind: str, name: str, value: object) -> None:
    """Keep `value`, as far as the disk allows. Nobody else can read it: sentences may hold names."""
    with contextlib.suppress(OSError):
        with whole(folder / f"{kind}-{name}.msgpack") as part:
            part.write_bytes(_sealed(value))
        _tidy(folder, kind)


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A new file beside `path`, to be written in the block, that takes its place when the block ends well; else it is
    gone. What a crash leaves of it is tidied away after a day. Raises `OSError`."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    number, name = tempfile.mkstemp(dir=path.parent, prefix=_UNFINISHED)
    os.close(number)
    part = Path(name)
    try:
        yield part
        part.replace(path)
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def _tidy(folder: Path, kind: str) -> None:
    """Delete the oldest files of a kind, and what a crash left half written."""
    known = sorted(folder.glob(f"{kind}-*.msgpack"), key=lambda path: path.stat().st_mtime)
    a_day_ago = time.time() - 86_400
    left = [path for path in folder.glob(f"{_UNFINISHED}*") if path.stat().st_mtime < a_day_ago]
    for path in [*known[:-_KEPT], *left]:
        path.unlink(missing_ok=True)


def _sealed(value: object) -> bytes:
    data = msgspec.msgpack.encode(value)
    return hashlib.sha256(data).digest() + data


def _unsealed(sealed: bytes, type: type[T]) -> T | None:
    seal, data = sealed[:_SEAL_BYTES], sealed[_SEAL_BYTES:]
    if hashlib.sha256(data).digest() != seal:
        return None
    try:
        return msgspec.msgpack.decode(data, type=type)
    except msgspec.DecodeError:
        return None
