"""Secrets: looked up by name, never kept in the configuration, the journal, a log or an error."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

import yaml

from agentbox.errors import ConfigError

_NAME = re.compile(r"^[a-z][a-z0-9_]{0,63}$")


class Credentials:
    """Finds a secret by its name, in this order: the environment (`AGENTBOX_SECRET_<NAME>`), the page's folder
    (`<state>/secrets/<name>`, 0600), systemd's credentials (`$CREDENTIALS_DIRECTORY/<name>`), the owner's
    `storage.secrets_file` (a YAML mapping, 0600).

    Values are read anew at each use, so that a revoked secret stops working at once.
    """

    def __init__(self, folder: Path, file: Path | None = None, environ: Mapping[str, str] | None = None) -> None:
        self._folder = folder
        self._file = file
        self._environ = os.environ if environ is None else environ

    def get(self, name: str) -> str:
        """The secret's value. Raises `ConfigError`: `secret_name`, `secret_missing`, `secret_readable_by_others`."""
        value = self.find(name)
        if value is None:
            raise ConfigError(
                "secret_missing",
                f"The secret {name} is set nowhere.",
                f"Set AGENTBOX_SECRET_{name.upper()}, or add it to the file that storage.secrets_file names.",
            )
        return value

    def find(self, name: str) -> str | None:
        """As `get`, but null where no source has the secret."""
        if not _NAME.match(name):
            raise ConfigError("secret_name", f"{name!r} cannot be a secret's name.", "Use a-z, 0-9 and _.")
        if value := self._environ.get(f"AGENTBOX_SECRET_{name.upper()}"):
            return value
        if (value := _read_private(self._folder / name)) is not None:
            return value
        if directory := self._environ.get("CREDENTIALS_DIRECTORY"):
            # systemd itself guards this folder; its files are 0400 and may belong to root.
            path = Path(directory) / name
            if path.is_file():
                return path.read_text().strip()
        if self._file is not None and (text := _read_private(self._file)) is not None:
            values = yaml.safe_load(text)
            if isinstance(values, dict) and name in values:
                return str(values[name])
        return None


def _read_private(path: Path) -> str | None:
    try:
        mode = path.stat().st_mode
        if stat.S_IMODE(mode) & 0o077:
            raise ConfigError(
                "secret_readable_by_others",
                f"{path} may be read by other users of this machine.",
                f"Run: chmod 600 {path}",
            )
        return path.read_text().strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(
            "secret_unreadable",
            f"{path} cannot be read: {error.strerror}.",
            "Give this user the right to read it.",
        ) from error
