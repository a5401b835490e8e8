"""Secrets: looked up by name, never kept in the configuration, the journal, a log or an error."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

import yaml

from agentbox.errors import ConfigError

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


class Credentials:
    """Finds a secret by its name, in this order: the environment (`AGENTBOX_SECRET_<NAME>`), the page's folder
    (`<state>/secrets/<name>`, 0600), systemd's credentials (`$CREDENTIALS_DIRECTORY/<name>`), the owner's
    `storage.secrets_file` (a YAML mapping, 0600; values are text as written, so that a PIN of 0123 stays one).

    Values are read anew at each use, so that a revoked secret stops working at once. An empty value is none.
    No error holds a value, nor has a cause that does.
    """

    def __init__(self, folder: Path, file: Path | None = None, environ: Mapping[str, str] | None = None) -> None:
        self._folder = folder
        self._file = file
        self._environ = os.environ if environ is None else environ

    def get(self, name: str) -> str:
        """The secret's value.

        Raises `ConfigError`: `secret_name`, `secret_missing`, `secret_readable_by_others`, `secret_unreadable`,
        `secrets_file_invalid`.
        """
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
        if not _NAME.fullmatch(name):
            raise ConfigError("secret_name", f"{name!r} cannot be a secret's name.", "Use a-z, 0-9 and _.")
        if value := self._environ.get(f"AGENTBOX_SECRET_{name.upper()}"):
            return value
        if value := _read(self._folder / name).strip():
            return value
        directory = self._environ.get("CREDENTIALS_DIRECTORY")
        # systemd itself guards this folder; its files are 0400 or 0440 and may belong to root.
        if directory and (value := _read(Path(directory) / name, private=False).strip()):
            return value
        if self._file is not None and (value := _read_mapping(self._file).get(name)):
            return value
        return None


def _read(path: Path, private: bool = True) -> str:
    """The text of a file, empty where there is none. `private`: refuse one that other users may read."""
    try:
        if private and stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise ConfigError(
                "secret_readable_by_others",
                f"{path} may be read by other users of this machine.",
                f"Run: chmod 600 {path}",
            )
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(
            "secret_unreadable", f"{path} cannot be read: {reason}.", "Give this user a file that it can read."
        ) from None


def _read_mapping(path: Path) -> dict[str, str]:
    try:
        values = yaml.load(_read(path), Loader=yaml.BaseLoader) or {}  # noqa: S506  it builds text, lists and mappings
    except (yaml.YAMLError, RecursionError):
        values = None  # the error would quote the file
    if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
        raise ConfigError(
            "secrets_file_invalid", f"{path} is not a list of names and values.", "Write one `name: value` a line."
        )
    return values
