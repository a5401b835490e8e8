"""What the owner chose by command, voice or page: written down over their own configuration, and kept over restarts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from agentbox import paths, settings
from agentbox.errors import ConfigError
from agentbox.files import replace_file
from agentbox.messages import JSON

_ONE_AT_A_TIME = threading.Lock()
"""Between reading the file and replacing it: commands, page and voice come in threads of their own."""

_NOTHING = object()


def remember(dotted: str, value: JSON, settings_file: Path | None = None) -> None:
    """Set one value: see `remember_all`."""
    remember_all({dotted: value}, settings_file)


def remember_all(
    changes: Mapping[str, JSON], settings_file: Path | None = None, *, check: Callable[[Path], object] | None = None
) -> Callable[[], None]:
    """Set values, by their dotted keys, in the file of settings that were made by command, voice or page; it lies over
    the owner's own. Gives what takes these back, and nothing that another set since.

    One thread at a time. The file is replaced at once or not at all. `check` is shown the new one first; what it raises
    changes nothing.
    Raises `ConfigError` as `load` does, and `config_unwritable`.
    """
    file = settings_file or paths.settings_file()
    with _ONE_AT_A_TIME:
        before = file.read_bytes() if file.exists() else None
        values = settings.read_yaml(file)[0] if file.exists() else {}
        former = {dotted: _set(values, dotted, value) for dotted, value in changes.items()}
        made = _written(file, values, check)

    def undo() -> None:
        with _ONE_AT_A_TIME:
            if file.exists() and file.read_bytes() != made:  # somebody else set something meanwhile: it stays
                values = settings.read_yaml(file)[0]
                for dotted, value in reversed(former.items()):
                    if (present := _set(values, dotted, value)) != changes[dotted]:
                        _set(values, dotted, present)
                _written(file, values)
            elif before is None:
                file.unlink(missing_ok=True)
            else:
                _replace(file, before)

    return undo


def _set(values: dict[str, Any], dotted: str, value: Any) -> Any:
    """Set one value, or with `_NOTHING` take it out; what stood there before."""
    *sections, key = dotted.split(".")
    place = values
    for section in sections:
        inner = place.get(section)
        if not isinstance(inner, dict):  # left empty, or not there
            inner = place[section] = {}
        place = inner
    former = place.pop(key, _NOTHING) if value is _NOTHING else place.get(key, _NOTHING)
    if value is not _NOTHING:
        place[key] = value
    return former


def _written(file: Path, values: dict[str, Any], check: Callable[[Path], object] | None = None) -> bytes:
    text = yaml.safe_dump(values, allow_unicode=True, sort_keys=False).encode()
    _replace(file, text, check)
    return text


def _replace(file: Path, text: bytes, check: Callable[[Path], object] | None = None) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        replace_file(file, text, check=check)
    except OSError as error:
        raise ConfigError(
            "config_unwritable", f"{file} cannot be written: {error.strerror}.", "Check its folder's permissions."
        ) from error
