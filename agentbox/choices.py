"""What the owner chose by command, voice or page: written down over their own configuration, and kept over restarts."""

from __future__ import annotations

from pathlib import Path

import yaml

from agentbox import paths, settings
from agentbox.errors import ConfigError


def remember(dotted: str, value: str, settings_file: Path | None = None) -> None:
    """Set one value in the file of settings that were made by command, voice or page; it lies over the owner's own.

    The file is replaced at once or not at all. Raises `ConfigError` as `load` does, and `config_unwritable`.
    """
    file = settings_file or paths.settings_file()
    values = settings.read_yaml(file)[0] if file.exists() else {}
    *sections, key = dotted.split(".")
    place = values
    for section in sections:
        place = place.setdefault(section, {})
    place[key] = value
    written = file.with_name(f".{file.name}.new")
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        written.write_text(yaml.safe_dump(values, allow_unicode=True, sort_keys=False), encoding="utf-8")
        written.chmod(0o600)
        written.replace(file)
    except OSError as error:
        raise ConfigError(
            "config_unwritable", f"{file} cannot be written: {error.strerror}.", "Check its folder's permissions."
        ) from error
