"""Files of figures that can be worked out again: read where they fit, written when they do not, never relied on."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import TypeVar

import msgspec

from agentbox import __version__

T = TypeVar("T")

_KEPT = 4
"""Files of one kind that are kept; the oldest go."""


def digest(*parts: bytes | str) -> str:
    """A name for what a file was made from: the content itself, and the release that made it."""
    sha = hashlib.sha256(__version__.encode())
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        sha.update(len(data).to_bytes(8, "big") + data)
    return sha.hexdigest()[:32]


def read(folder: Path, kind: str, name: str, type: type[T]) -> T | None:
    """What was written as `kind` and `name`; null where it was not, or cannot be read."""
    try:
        return msgspec.msgpack.decode((folder / f"{kind}-{name}.msgpack").read_bytes(), type=type)
    except (OSError, msgspec.DecodeError):
        return None


def write(folder: Path, kind: str, name: str, value: object) -> None:
    """Keep `value`, as far as the disk allows. Nobody else can read it: sentences may hold names."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=f".{kind}", delete=False) as file:
            file.write(msgspec.msgpack.encode(value))
        os.replace(file.name, folder / f"{kind}-{name}.msgpack")
        known = sorted(folder.glob(f"{kind}-*.msgpack"), key=lambda path: path.stat().st_mtime)
        for old in known[:-_KEPT]:
            old.unlink(missing_ok=True)
    except OSError:
        return
