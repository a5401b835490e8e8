"""What the owner chose by command, voice or page: written down over their own configuration, and kept over restarts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import yaml

from agentbox import paths, settings
from agentbox.errors import AgentboxError, ConfigError
from agentbox.messages import JSON


def remember(dotted: str, value: JSON, settings_file: Path | None = None) -> None:
    """Set one value: see `remember_all`."""
    remember_all({dotted: value}, settings_file)


def remember_all(
    changes: Mapping[str, JSON], settings_file: Path | None = None, *, check: Callable[[Path], object] | None = None
) -> Callable[[], None]:
    """Set values, by their dotted keys, in the file of settings that were made by command, voice or page; it lies over
    the owner's own. Gives what puts the file back as it was.

    The file is replaced at once or not at all. `check` is shown the new one first; what it raises changes nothing.
    Raises `ConfigError` as `load` does, and `config_unwritable`.
    """
    file = settings_file or paths.settings_file()
    before = file.read_bytes() if file.exists() else None
    values = settings.read_yaml(file)[0] if file.exists() else {}
    for dotted, value in changes.items():
        *sections, key = dotted.split(".")
        place = values
        for section in sections:
            inner = place.get(section)
            if not isinstance(inner, dict):  # left empty, or not there
                inner = place[section] = {}
            place = inner
        place[key] = value
    text = yaml.safe_dump(values, allow_unicode=True, sort_keys=False).encode()
    _replace(file, text, check)

    def undo() -> None:
        if before is None:
            file.unlink(missing_ok=True)
        else:
            _replace(file, before)

    return undo


def _replace(file: Path, text: bytes, check: Callable[[Path], object] | None = None) -> None:
    written = file.with_name(f".{file.name}.new")
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        written.write_bytes(text)
        written.chmod(0o600)
        if check is not None:
            check(written)
        written.replace(file)
    except AgentboxError:
        written.unlink(missing_ok=True)
        raise
    except OSError as error:
        raise ConfigError(
            "config_unwritable", f"{file} cannot be written: {error.strerror}.", "Check its folder's permissions."
        ) from error
