"""Files that are replaced: by the whole of what is new or not at all, also where the power fails."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path

_UNFINISHED = ".new"


def replace_file(file: Path, data: bytes, mode: int = 0o600, *, check: Callable[[Path], object] | None = None) -> None:
    """Put `data` in the place of `file`, for good once this returns: a loss of power leaves the former or the new.

    At no moment may more users read it than `mode` says. `check` is shown the new one, beside the other, first; what
    it raises changes nothing. The folder must be there. Raises `OSError`.
    """
    written = file.with_name(f".{file.name}.{secrets.token_hex(4)}{_UNFINISHED}")
    number = os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(number, "wb") as out:
            out.write(data)
            out.flush()
            os.fchmod(number, mode)
            os.fsync(number)
        if check is not None:
            check(written)
        written.replace(file)
    except BaseException:
        with contextlib.suppress(OSError):
            written.unlink(missing_ok=True)
        raise
    with contextlib.suppress(OSError):  # the new one is there; some file systems cannot do this
        _settle(file.parent)
        _tidy(file)


def _tidy(file: Path) -> None:
    """Delete what a loss of power left half written."""
    a_day_ago = time.time() - 86_400
    for left in file.parent.iterdir():
        ours = left.name.startswith(f".{file.name}.") and left.name.endswith(_UNFINISHED)
        if ours and left.lstat().st_mtime < a_day_ago:
            left.unlink(missing_ok=True)


def _settle(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
