"""config.example.yaml and docs/configuration.md name every key with its default, and their examples load."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
import yaml

from agentbox.config import Backend, Command, Config, WebRequest
from agentbox.intents.understand import Understander
from agentbox.languages import normal_language
from agentbox.messages import Intent
from agentbox.settings import load, read_yaml

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "config.example.yaml"
REFERENCE = ROOT / "docs" / "configuration.md"

EXAMPLE_LINE = re.compile(r"^( *)#(  .*)$", re.MULTILINE)
"""An example as opposed to an explanation: "#" and two spaces."""


def fields(kind: type[Any] = Config, path: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted key, default) of every key that is no section, as plain values."""
    for field in msgspec.structs.fields(kind):
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            yield from fields(field.type, f"{path}{field.name}.")
        elif field.default_factory is not msgspec.NODEFAULT:
            yield f"{path}{field.name}", field.default_factory()
        else:
            yield f"{path}{field.name}", field.default


def item_fields(kind: type[Any], path: str) -> list[tuple[str, Any]]:
    """As `fields`, for the items of a list: `tools.web[].url`."""
    return list(fields(kind, path))


KEYS = list(fields())
ITEM_KEYS = [
    *item_fields(WebRequest, "tools.web[]."),
    *item_fields(Command, "tools.command.commands[]."),
    *item_fields(Backend, "cloud.backends[]."),
]


def uncommented(text: str) -> str:
    """The file with its examples switched on."""
    return EXAMPLE_LINE.sub(r"\1\2", text)


def dig(values: Any, dotted: str) -> Any:
    for name in dotted.split("."):
        values = values[name.removesuffix("[]")]
        if name.endswith("[]"):
            values = values[0]
    return values


def test_the_walk_finds_the_keys() -> None:
    names = dict(KEYS)
    assert names["audio.endpoint.silence_ms"] == 700
    assert names["tools.command.enabled"] is False
    assert names["tools.web"] == []
    assert len(names) > 35


def test_the_example_is_the_defaults() -> None:
    assert load(EXAMPLE, Path("/nonexistent")).config == Config()


@pytest.mark.parametrize(("key", "default"), KEYS, ids=[key for key, _ in KEYS])
def test_every_key_stands_in_the_example_with_its_default(key: str, default: Any) -> None:
    values, _ = read_yaml(EXAMPLE)
    written = dig(values, key)
    if default in (None, [], {}):
        assert written is None, "left empty, so that its example can be switched on"
    else:
        assert (written, type(written)) == (default, type(default))


def test_every_key_of_the_example_is_explained() -> None:
    """Each key has a comment right above it or above the run of keys it is in."""
    previous = ""
    for line in EXAMPLE.read_text().splitlines():
        if re.match(r"^ *[a-z_]+:", line):
            assert re.match(r"^ *# \S|^ *#  ", previous), f"no explanation above {line!r}"
        previous = line


def test_the_examples_load_when_they_are_switched_on(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(uncommented(EXAMPLE.read_text()))
    config = load(path, tmp_path / "none.yaml").config
    assert config.activation.phrases == ["hey computer", "good morning box"]
    assert config.intents.sentences == [str(tmp_path / "my-sentences.yaml")]
    assert [request.name for request in config.tools.web] == ["orders"]
    assert [command.name for command in config.tools.command.commands] == ["disk_space"]
    assert config.tools.policy == {"orders": {"speech": "allow", "cloud": "confirm", "page": "deny"}}
    assert config.tools.options == {"my_plugin": {"station": "news"}}


@pytest.mark.parametrize(("key", "default"), ITEM_KEYS, ids=[key for key, _ in ITEM_KEYS])
def test_every_key_of_a_web_request_and_a_command_stands_in_the_examples(key: str, default: Any) -> None:
    values = yaml.safe_load(uncommented(EXAMPLE.read_text()))
    written = dig(values, key)
    if key.endswith(("timeout_s", "max_bytes", "method")):
        assert written == default


# docs/configuration.md: "| `audio.block_ms` | `96` | ..." in tables, and ```yaml blocks that are whole configurations.


def rows() -> dict[str, str]:
    """Key -> default, as the tables of docs/configuration.md give them."""
    found = re.findall(r"^\| `([a-z_.\[\]]+)` \|(.*?) ?\|", REFERENCE.read_text(), re.MULTILINE)
    assert len({key for key, _ in found}) == len(found), "a key stands twice"
    return {key: default.strip() for key, default in found}


@pytest.mark.parametrize(("key", "default"), KEYS + ITEM_KEYS, ids=[key for key, _ in KEYS + ITEM_KEYS])
def test_every_key_stands_in_the_reference_with_its_default(key: str, default: Any) -> None:
    written = rows()[key]
    if default is msgspec.NODEFAULT:
        assert written == "required"
    elif default in (None, [], {}, ""):
        assert written == ""
    else:
        assert yaml.safe_load(written.strip("`")) == default


def test_the_reference_names_no_key_that_is_gone() -> None:
    assert set(rows()) == {key for key, _ in KEYS + ITEM_KEYS}


def test_the_reference_lists_every_choice() -> None:
    """A key with a fixed set of values names each of them in its row."""
    text = REFERENCE.read_text()
    for section in msgspec.structs.fields(Config):
        for field in msgspec.structs.fields(section.type):
            choices = [choice for choice in get_args(field.type) if isinstance(choice, str)]
            row = next(
                (line for line in text.splitlines() if line.startswith(f"| `{section.name}.{field.name}` |")), ""
            )
            assert [choice for choice in choices if f"`{choice}`" not in row] == []


def test_the_blocks_of_the_reference_load(tmp_path: Path) -> None:
    blocks = re.findall(r"^```yaml\n# config\.yaml\n(.*?)^```", REFERENCE.read_text(), re.MULTILINE | re.DOTALL)
    assert blocks
    for number, block in enumerate(blocks):
        path = tmp_path / f"{number}.yaml"
        path.write_text(block)
        assert load(path, tmp_path / "none.yaml").config != Config()


def test_the_sentences_of_the_reference_are_understood(tmp_path: Path) -> None:
    block = re.search(r"^```yaml\n# orders\.yaml\n(.*?)^```", REFERENCE.read_text(), re.MULTILINE | re.DOTALL)
    asked = re.search(r'agentbox understand "(.*?)"', REFERENCE.read_text())
    assert block is not None
    assert asked is not None
    path = tmp_path / "orders.yaml"
    path.write_text(block[1])
    understander = Understander("en", owner_files=[path], intents=["Orders"])
    assert understander.problems == []
    intent = understander.understand(asked[1])
    assert isinstance(intent, Intent)
    assert (intent.name, intent.slots, intent.match) == ("Orders", {"week": "last"}, "exact")


@pytest.mark.parametrize(
    ("tag", "normal"),
    [
        ("en", "en"),
        ("EN-gb", "en-GB"),
        ("zh", "zh-CN"),
        ("ZH", "zh-CN"),
        ("zh-tw", "zh-TW"),
        ("zh-hans-cn", "zh-Hans-CN"),
        ("sr-latn", "sr-Latn"),
        ("yue", "yue"),
    ],
)
def test_language_tags(tag: str, normal: str) -> None:
    assert normal_language(tag) == normal
    assert normal_language(normal) == normal


def test_the_wake_phrase_follows_the_language() -> None:
    def phrases(text: str) -> list[str]:
        return msgspec.convert(yaml.safe_load(text), Config).phrases

    assert phrases("{}") == ["hey computer"]
    assert phrases("asr: {language: zh}") == ["你好小盒"]
    assert phrases("asr: {language: zh-TW}") == ["你好小盒"]
    assert phrases("{asr: {language: zh}, activation: {phrases: [hello box]}}") == ["hello box"]
