"""Secrets: looked up by name, never kept in the configuration, the journal, a log or an error."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import yaml

from agentbox.errors import ConfigError
from agentbox.files import replace_file

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")

MOST_LENGTH = 8192
"""Longer than any key or token; a vendor's service account in one line fits."""

SHORT = 8
"""Of a secret so short nothing is shown."""

_MASK = "••••"


def without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment for a program that has no business with the owner's secrets or with the service manager."""
    ours = ("CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC")
    return {
        name: value
        for name, value in environment.items()
        if name not in ours and not name.startswith("AGENTBOX_SECRET_")
    }


class Located(NamedTuple):
    """A secret and where it is: `environment`, `page`, `systemd` or `file`."""

    source: str
    value: str


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
        found = self.locate(name)
        return None if found is None else found.value

    def locate(self, name: str) -> Located | None:
        """As `find`, with where the secret is."""
        if not _NAME.fullmatch(name):
            raise _no_name(name)
        if value := self._environ.get(f"AGENTBOX_SECRET_{name.upper()}"):
            return Located("environment", value)
        if value := _read(self._folder / name).strip():
            return Located("page", value)
        directory = self._environ.get("CREDENTIALS_DIRECTORY")
        # systemd itself guards this folder; its files are 0400 or 0440 and may belong to root.
        if directory and (value := _read(Path(directory) / name, private=False).strip()):
            return Located("systemd", value)
        if self._file is not None and (value := _read_mapping(self._file).get(name)):
            return Located("file", value)
        return None

    def kept(self) -> list[str]:
        """The names of the secrets in the page's folder."""
        try:
            return sorted(file.name for file in self._folder.iterdir() if _NAME.fullmatch(file.name))
        except OSError:
            return []

    def keep(self, name: str, value: str) -> None:
        """Write a secret into the page's folder, where this user alone can read it; the old one is gone at once.

        Raises `ConfigError`: `secret_name`, `secret_value`, `secret_unwritable`.
        """
        value = value.strip()
        if not _NAME.fullmatch(name):
            raise _no_name(name)
        if not value or len(value) > MOST_LENGTH or not value.isprintable():
            raise ConfigError(
                "secret_value", f"That cannot be the secret {name}.", f"It is one line of {MOST_LENGTH} signs at most."
            )
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_file(self._folder / name, value.encode())
        except OSError as error:
            raise _unwritable(name, error) from None

    def forget(self, name: str) -> bool:
        """Delete a secret from the page's folder; whether it was there. Raises `ConfigError` as `keep`."""
        if not _NAME.fullmatch(name):
            raise _no_name(name)
        try:
            (self._folder / name).unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise _unwritable(name, error) from None
        return True


def masked(value: str) -> str:
    """What may be shown of a secret: enough of a long one to tell it from another."""
    return f"{_MASK}{value[-4:]}" if len(value) > SHORT else _MASK


def _no_name(name: str) -> ConfigError:
    return ConfigError("secret_name", f"{name[:64]!r} cannot be a secret's name.", "Use a-z, 0-9 and _.")


def _unwritable(name: str, error: OSError) -> ConfigError:
    reason = error.strerror or "the disk failed"
    return ConfigError("secret_unwritable", f"The secret {name} cannot be written: {reason}.", "Look at the disk.")


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
