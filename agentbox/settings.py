"""Reads the configuration: finds the file, lays the settings over it, checks it, and says where each value is from.

Every mistake becomes a `ConfigError` that names file, line, key and what was expected.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import yaml

from agentbox import paths
from agentbox.config import Config
from agentbox.errors import ConfigError

Key = tuple[str | int, ...]

_HIDDEN = re.compile(r"(?i)(authorization|token|secret|password|api[-_]?key|cookie)")
_MASK = "••••"


class Loaded(NamedTuple):
    """A checked configuration and where it came from."""

    config: Config
    file: Path | None
    settings_file: Path | None
    sources: dict[str, str]
    """Dotted key -> the file that set it. Keys that are absent have their default."""


def find_file(given: str | os.PathLike[str] | None) -> Path | None:
    """The configuration file: `given`, `$AGENTBOX_CONFIG`, `~/.config/agentbox/config.yaml`,
    `/etc/agentbox/config.yaml`. Null when none is there: the defaults are a working box.

    A file that was asked for by name and is missing is a `ConfigError` `config_missing`.
    """
    asked = given or os.environ.get("AGENTBOX_CONFIG")
    if asked:
        path = Path(asked).expanduser()
        if not path.is_file():
            raise ConfigError("config_missing", f"There is no configuration file {path}.", "Check the path.")
        return path
    home = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    for candidate in (
        Path(home).expanduser() / "agentbox" / "config.yaml",
        Path("/etc/agentbox/config.yaml"),
    ):
        if candidate.is_file():
            return candidate
    return None


def load(given: str | os.PathLike[str] | None = None, settings_file: Path | None = None) -> Loaded:
    """Read, merge and check. Relative paths in the file are taken from the file's own folder.

    Raises `ConfigError`: `config_missing`, `config_unreadable`, `config_syntax`, `config_invalid`.
    """
    layers: list[tuple[Path, dict[str, Any], dict[Key, int]]] = []
    file = find_file(given)
    over = settings_file or paths.settings_file()
    for path in (file, over if over.is_file() else None):
        if path is not None:
            values, lines = read_yaml(path)
            layers.append((path, values, lines))
    merged: dict[str, Any] = {}
    owner: dict[Key, tuple[Path, int]] = {}
    for path, values, lines in layers:
        for key, line in lines.items():
            owner[key] = (path, line)
        merged = _overlay(merged, values)
    config = _check(merged, owner, file)
    base = file.parent if file else Path.cwd()
    sources = {".".join(map(str, key)): str(owner[key][0]) for key in _leaves(merged) if key in owner}
    return Loaded(_absolute(config, base), file, over if over.is_file() else None, sources)


def read_yaml(path: Path) -> tuple[dict[str, Any], dict[Key, int]]:
    """A YAML mapping and the line of each of its keys. An empty file is an empty mapping.

    Raises `ConfigError`: `config_unreadable`, `config_syntax` (which also covers a key given twice).
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError("config_unreadable", f"{path} cannot be read: {reason}.", "Check the file.") from error
    lines: dict[Key, int] = {}
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if node is None:
            return {}, {}
        _walk(node, (), lines, path)
        values = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(
            "config_syntax", f"{path}:{line}: this is not valid YAML: {error.problem}.", "Mend that line."
        ) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        # ValueError: a date such as 2026-13-45, which PyYAML tries to build; YAMLError: control characters.
        raise ConfigError("config_syntax", f"{path}: this is not valid YAML.", "Mend the file.") from error
    if not isinstance(values, dict):
        raise ConfigError("config_syntax", f"{path}:1: expected keys and values.", "See config.example.yaml.")
    return values, lines


def _walk(node: yaml.Node, key: Key, lines: dict[Key, int], path: Path) -> None:
    if isinstance(node, yaml.MappingNode):
        for name_node, value_node in node.value:
            inner = (*key, str(name_node.value))
            line = name_node.start_mark.line + 1
            if inner in lines:
                raise ConfigError(
                    "config_syntax",
                    f"{path}:{line}: the key {_dotted(inner)} stands twice.",
                    "Keep one of them.",
                )
            lines[inner] = line
            _walk(value_node, inner, lines, path)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            lines[(*key, index)] = item.start_mark.line + 1
            _walk(item, (*key, index), lines, path)


def _overlay(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """`above` over `below`, key by key; a list replaces a list whole."""
    result = dict(below)
    for key, value in above.items():
        old = result.get(key)
        result[key] = _overlay(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return result


def _check(values: dict[str, Any], owner: dict[Key, tuple[Path, int]], file: Path | None) -> Config:
    # A section left empty in the file ("tools:") means its defaults.
    filled = {
        key: ({} if value is None and key in Config.__struct_fields__ else value) for key, value in values.items()
    }
    try:
        return msgspec.convert(filled, Config)
    except msgspec.ValidationError as error:
        text, _, where = str(error).partition(" - at `")
        key = _parse_path(where.rstrip("`"))
        unknown = re.match(r"Object contains unknown field `(.*)`", text)
        if unknown:
            key = (*key, unknown.group(1))
            text = "this key does not exist" + _near(key)
        place = next((owner[key[:n]] for n in range(len(key), 0, -1) if key[:n] in owner), (file, 1))
        raise ConfigError(
            "config_invalid",
            f"{place[0]}:{place[1]}: {_dotted(key) or 'the file'}: {text[0].lower() + text[1:]}.",
            "config.example.yaml explains every key.",
        ) from error


def _near(key: Key) -> str:
    """A hint when an unknown key looks like one that exists in the same section."""
    import difflib

    kind: Any = Config
    for part in key[:-1]:
        kind = getattr(kind, "__annotations__", {}).get(part) if isinstance(part, str) else None
        if isinstance(kind, str):
            import agentbox.config as shapes

            kind = getattr(shapes, kind, None)
    names = getattr(kind, "__struct_fields__", ())
    close = difflib.get_close_matches(str(key[-1]), names, n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _parse_path(path: str) -> Key:
    """msgspec's `$.tools.web[0].url` as a key; `[...]` marks an item of a mapping, whose name it does not tell."""
    parts: list[str | int] = []
    for name, index in re.findall(r"\.([A-Za-z0-9_]+)|\[([^\]]*)\]", path):
        if name:
            parts.append(name)
        elif index.isdigit():
            parts.append(int(index))
        else:
            break
    return tuple(parts)


def _dotted(key: Key) -> str:
    text = ""
    for part in key:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _leaves(values: dict[str, Any], key: Key = ()) -> Iterator[Key]:
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, (*key, name))
        else:
            yield (*key, name)


def _absolute(config: Config, base: Path) -> Config:
    """Paths in the file are relative to the file, not to wherever the command was started."""

    def fix(path: str | None) -> str | None:
        return None if path is None else str((base / Path(path).expanduser()).resolve())

    replace = msgspec.structs.replace
    return replace(
        config,
        asr=replace(config.asr, models_dir=fix(config.asr.models_dir)),
        intents=replace(config.intents, sentences=[str(fix(path)) for path in config.intents.sentences]),
        tools=replace(config.tools, plugins_dir=fix(config.tools.plugins_dir)),
        storage=replace(config.storage, path=fix(config.storage.path), secrets_file=fix(config.storage.secrets_file)),
        control=replace(config.control, socket=fix(config.control.socket)),
    )


def masked(config: Config) -> dict[str, Any]:
    """The configuration as plain values, with anything that may be a secret replaced by dots."""

    def mask(value: Any, name: str = "") -> Any:
        if isinstance(value, dict):
            return {key: mask(item, str(key)) for key, item in value.items()}
        if isinstance(value, list):
            return [mask(item, name) for item in value]
        if isinstance(value, str) and _HIDDEN.search(name) and "{secret:" not in value and name != "secrets_file":
            return _MASK
        return value

    return mask(msgspec.to_builtins(config))  # type: ignore[no-any-return]
