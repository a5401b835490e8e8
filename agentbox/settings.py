"""Reads the configuration: finds the file, lays the settings over it, checks it, and says where each value is from.

Every mistake becomes a `ConfigError` that names file, line, key and what was expected.
"""

from __future__ import annotations

import difflib
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Union, get_args, get_origin

import msgspec
import yaml

from agentbox import paths
from agentbox.config import Config
from agentbox.errors import ConfigError

Key = tuple[str | int, ...]

_PATHS = (
    ("asr", "model"),
    ("asr", "second_model"),
    ("asr", "models_dir"),
    ("asr", "hotwords_file"),
    ("intents", "sentences"),
    ("tools", "plugins_dir"),
    ("speech", "piper_voice"),
    ("speech", "piper_program"),
    ("speech", "replies"),
    ("storage", "path"),
    ("storage", "secrets_file"),
    ("control", "socket"),
    ("page", "certificate"),
)
_NAMES = (("asr", "model"), ("asr", "second_model"), ("speech", "piper_program"))
"""A model or a program by its name, unless there is a slash in it."""

_MAX_VALUES = 20_000
"""More than any box needs; YAML's aliases can unfold a small file into more than fits in memory."""

_HIDDEN = re.compile(
    r"(?i)auth(?!or)|token|secret|passw|cookie|credential|signature|api[-_]?key|appid"
    r"|(?:^|[-_])(?:key|pwd|pin)(?:$|[-_])"
)
_MASK = "••••"


class Loaded(NamedTuple):
    """A checked configuration and where it came from."""

    config: Config
    file: Path | None
    settings_file: Path | None
    sources: dict[str, str]
    """Dotted key -> the file that set it. Keys that are absent have their default."""


class _Place(NamedTuple):
    file: Path
    line: int


class _Loader(yaml.SafeLoader):
    """YAML's plain values only, those that JSON has too: a date stays the text that its owner wrote."""

    yaml_implicit_resolvers: ClassVar[dict[Any, Any]] = {  # type: ignore[misc]  # the stub has it on the instance
        first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    yaml_constructors: ClassVar[dict[Any, Any]] = {
        tag: constructor
        for tag, constructor in yaml.SafeLoader.yaml_constructors.items()
        if tag is None or tag.rpartition(":")[2] in ("null", "bool", "int", "float", "str", "seq", "map")
    }


def find_file(given: str | os.PathLike[str] | None) -> Path | None:
    """The configuration file: `given`, `$AGENTBOX_CONFIG`, `~/.config/agentbox/config.yaml`,
    `/etc/agentbox/config.yaml`. Null when none is there: the defaults are a working box.

    A file that was asked for by name and is missing is a `ConfigError` `config_missing`; one that this user may
    not even look for is `config_unreadable`.
    """
    asked = given or os.environ.get("AGENTBOX_CONFIG")
    if asked:
        path = Path(os.path.expanduser(asked))
        if not _is_there(path):
            raise ConfigError("config_missing", f"There is no configuration file {path}.", "Check the path.")
        return path
    home = Path(os.path.expanduser(os.environ.get("XDG_CONFIG_HOME") or "~/.config"))
    for candidate in (home / "agentbox" / "config.yaml", Path("/etc/agentbox/config.yaml")):
        if _is_there(candidate):
            return candidate
    return None


def load(given: str | os.PathLike[str] | None = None, settings_file: Path | None = None) -> Loaded:
    """Read, merge and check. Relative paths are taken from the folder of the file that they stand in.

    Raises `ConfigError`: `config_missing`, `config_unreadable`, `config_syntax`, `config_invalid`.
    """
    file = find_file(given)
    over: Path | None = settings_file or paths.settings_file()
    if over is not None and not _is_there(over):
        over = None
    merged: dict[str, Any] = {}
    places: dict[Key, _Place] = {}
    for path in (file, over):
        if path is not None:
            values, lines = read_yaml(path)
            places[()] = _Place(path, 1)
            places |= {key: _Place(path, line) for key, line in lines.items()}
            merged = _overlay(merged, _without_empty(values, Config))
    _make_paths_absolute(merged, places)
    config = _check(merged, places)
    sources = {".".join(map(str, key)): str(places[key].file) for key in _leaves(merged) if key in places}
    return Loaded(config, file, over, sources)


def read_yaml(path: Path) -> tuple[dict[str, Any], dict[Key, int]]:
    """A YAML mapping and the line of each of its keys. An empty file is an empty mapping.

    Raises `ConfigError`: `config_unreadable`, `config_syntax` (which also covers a key given twice).
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError("config_unreadable", f"{path} cannot be read: {reason}.", "Check the file.") from error
    return parse_yaml(text, path)


def parse_yaml(text: str, path: Path) -> tuple[dict[str, Any], dict[Key, int]]:
    """As `read_yaml`, for the text of a file that is called `path`. Raises `ConfigError` `config_syntax`."""
    lines: dict[Key, int] = {}
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is not None:
            _walk(node, (), lines, path)
        values = None if node is None else loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(
            "config_syntax", f"{path}:{line}: this is not valid YAML: {error.problem}.", "Mend that line."
        ) from error
    except (yaml.YAMLError, ValueError, LookupError, RecursionError) as error:
        # PyYAML's own mistakes: ValueError from `0b_`, IndexError from `!!int ''`, KeyError from `!!bool x`.
        raise ConfigError("config_syntax", f"{path}:1: this is not valid YAML.", "Mend the file.") from error
    if values is None:
        return {}, {}
    if not isinstance(values, dict):
        raise ConfigError("config_syntax", f"{path}:1: expected keys and values.", "See config.example.yaml.")
    return values, lines


def masked(config: Config) -> dict[str, Any]:
    """The configuration as plain values, with anything that may be a secret replaced by dots.

    `{secret:name}` and `{slot}` stay, since they only stand for something.
    """

    def mask(value: Any, name: str, hide: bool) -> Any:
        hide = hide or (name != "secrets_file" and bool(_HIDDEN.search(name)))
        if isinstance(value, dict):
            return {key: mask(item, str(key), hide) for key, item in value.items()}
        if isinstance(value, list):
            return [mask(item, name, hide) for item in value]
        if isinstance(value, str):
            return _masked_text(value, hide)
        return _MASK if hide and value is not None and not isinstance(value, bool) else value

    return mask(msgspec.to_builtins(config), "", False)  # type: ignore[no-any-return]


def _masked_text(text: str, hide: bool) -> str:
    if hide:
        return text if re.fullmatch(r"(?:\w+ )?\{[^{}]*\}", text) else _MASK
    text = re.sub(r"(://)[^/?#@]*@", rf"\1{_MASK}@", text)
    return re.sub(
        r"([\w.-]+)=([^&;#\s]+)",
        lambda found: f"{found[1]}={_masked_text(found[2], bool(_HIDDEN.search(found[1])))}",
        text,
    )


def _is_there(path: Path) -> bool:
    try:
        return not stat.S_ISDIR(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise ConfigError(
            "config_unreadable", f"{path} cannot be read: {error.strerror}.", "Check the file and its folder."
        ) from error


def _walk(node: yaml.Node, key: Key, lines: dict[Key, int], path: Path) -> None:
    if len(lines) > _MAX_VALUES:
        raise ConfigError("config_syntax", f"{path}:1: this is too large for a configuration.", "Make it smaller.")
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


def _without_empty(values: Any, kind: Any) -> Any:
    """`values` without the keys that were left empty ("tools:"), which means their default.

    Where null is a value of its own ("models_dir: null") it stays.
    """
    kind = _bare(kind)
    if isinstance(values, list) and get_origin(kind) is list:
        return [_without_empty(item, get_args(kind)[0]) for item in values]
    if not isinstance(values, dict) or not _is_section(kind):
        return values
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    return {
        str(name): _without_empty(value, fields[name].type) if name in fields else value
        for name, value in values.items()
        if value is not None or name not in fields or NoneType in get_args(fields[name].type)
    }


def _make_paths_absolute(values: dict[str, Any], places: dict[Key, _Place]) -> None:
    """Paths in a file are relative to the file, not to wherever the command was started."""
    for section_name, name in _PATHS:
        section = values.get(section_name)
        if not isinstance(section, dict):
            continue
        given = section.get(name)
        key = (section_name, name)
        if key in _NAMES and "/" not in str(given):
            continue
        if isinstance(given, str):
            section[name] = _absolute(given, key, places)
        elif isinstance(given, list):
            section[name] = [
                _absolute(item, (*key, index), places) if isinstance(item, str) else item
                for index, item in enumerate(given)
            ]


def _absolute(given: str, key: Key, places: dict[Key, _Place]) -> str:
    path = os.path.expanduser(given)
    if not given or "\0" in given or path.startswith("~"):
        raise _mistake(key, "expected a path", places)
    return os.path.abspath(_place(key, places).file.parent / path)


def _check(values: dict[str, Any], places: dict[Key, _Place]) -> Config:
    try:
        return msgspec.convert(values, Config)
    except msgspec.ValidationError as error:
        # "Expected `int`, got `str` - at `$.asr.threads`", or "... - at `key` in `$.tools.policy`"
        found = re.fullmatch(r"(.*?)(?: - at (`key` in )?`\$([^`]*)`)?", str(error), re.DOTALL)
        text, in_key, where = found.groups("") if found else (str(error), "", "")
        key, kind = _locate(where, bool(in_key), values)
        if unknown := re.fullmatch(r"Object contains unknown field `(.*)`", text, re.DOTALL):
            key = (*key, unknown[1])
            close = difflib.get_close_matches(unknown[1], kind.__struct_fields__ if _is_section(kind) else (), n=1)
            text = "this key does not exist" + (f" (did you mean {close[0]}?)" if close else "")
        elif text.startswith("Invalid enum value") and get_origin(kind) is Literal:
            text = f"expected one of {', '.join(get_args(kind))}"
        raise _mistake(key, _in_plain_words(text), places) from error


def _mistake(key: Key, text: str, places: dict[Key, _Place]) -> ConfigError:
    place = _place(key, places)
    return ConfigError(
        "config_invalid",
        f"{place.file}:{place.line}: {_dotted(key) or 'the file'}: {text}.",
        "config.example.yaml explains every key.",
    )


def _place(key: Key, places: dict[Key, _Place]) -> _Place:
    """Where `key` stands, or the nearest thing around it that stands somewhere."""
    return next(places[key[:length]] for length in range(len(key), -1, -1) if key[:length] in places)


def _locate(where: str, in_key: bool, values: Any) -> tuple[Key, Any]:
    """The key that msgspec means by `.tools.web[0].url`, and its type.

    Of a mapping's items msgspec says `[...]` only: the first one that does not fit is meant.
    """
    key: Key = ()
    kind: Any = Config
    part: Any
    for name, index in re.findall(r"\.(\w+)|\[([^\]]*)\]", where):
        if name:
            part = name
            kind = next((field.type for field in msgspec.structs.fields(kind) if field.name == name), None)
        elif index.isdigit():
            part = int(index)
            kind = get_args(kind)[0]
        else:
            kind = get_args(kind)[1]
            part = next(item for item, value in values.items() if not _fits(value, kind))
        key = (*key, part if index.isdigit() else str(part))
        kind = _bare(kind)
        values = values[part]
    if in_key:
        kind = get_args(kind)[0]
        key = (*key, str(next(item for item in values if not _fits(item, kind))))
    return key, kind


def _fits(value: Any, kind: Any) -> bool:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return False
    return True


def _bare(kind: Any) -> Any:
    """A type hint without its `Annotated[...]` and `| None`."""
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if get_origin(kind) in (Union, UnionType):
        kind = next(choice for choice in get_args(kind) if choice is not NoneType)
    return kind


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _in_plain_words(text: str) -> str:
    """msgspec's words for what was expected, for people who write YAML."""
    words = {
        "object": "keys and values",
        "array": "a list",
        "str": "text",
        "int": "a whole number",
        "float": "a number",
        "bool": "true or false",
        "null": "nothing",
    }
    text = re.sub(r"Object missing required field `(\w+)`", r"the key \1 is missing", text)
    text = re.sub(
        r"`([a-z]+(?: \| [a-z]+)*)`",
        lambda kinds: " or ".join(words.get(kind, kind) for kind in kinds[1].split(" | ")),
        text,
    )
    text = text.replace("matching regex", "matching")
    return text[0].lower() + text[1:]


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
