"""`agentbox config`: is the configuration right, and where does each value come from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from agentbox.cli.common import Group, echo_json, with_config, with_json
from agentbox.settings import Loaded, masked


@click.group(cls=Group)
def config() -> None:
    """Check and show the configuration."""


@config.command()
@with_config
@with_json
def check(loaded: Loaded, as_json: bool) -> None:
    """Say whether the configuration can be used; exit code 2 and the place of the mistake if not.

    \b
    Example:
      agentbox config check --config config.example.yaml
    """
    file = str(loaded.file) if loaded.file else None
    if as_json:
        echo_json({"ok": True, "file": file})
    else:
        click.echo(f"ok: {file or 'no file, the defaults are used'}")


@config.command()
@with_config
@with_json
def show(loaded: Loaded, as_json: bool) -> None:
    """Print every value in force and the file that set it; secrets are masked.

    \b
    Example:
      agentbox config show
    """
    for key, value in _flat(masked(loaded.config)):
        source = next((loaded.sources[part] for part in _heads(key) if part in loaded.sources), "default")
        if as_json:
            echo_json({"key": key, "value": value, "source": source})
        else:
            click.echo(f"{key} = {value}   ({source})")


def _flat(values: dict[str, Any], head: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        name = f"{head}.{key}" if head else key
        if isinstance(value, dict) and value:
            yield from _flat(value, name)
        else:
            yield name, value


def _heads(key: str) -> Iterator[str]:
    """`a.b.c`, `a.b`, `a`: a list or an empty mapping is set as a whole."""
    while key:
        yield key
        key = key.rpartition(".")[0]
