"""Writes the reference part of docs/commands.md from the commands' own help. Run: python docs/make_commands.py"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from agentbox.cli import main

PAGE = Path(__file__).with_name("commands.md")
MARK = "<!-- From here on written by docs/make_commands.py -->\n"


def reference() -> str:
    """Each command's help, as it is printed at 100 columns."""
    parts = []
    for path, command in commands(main, "agentbox"):
        context = click.Context(command, info_name=path, max_content_width=100, terminal_width=100)
        parts.append(f"\n### {path}\n\n```text\n{command.get_help(context)}\n```\n")
    return "".join(parts)


def commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    """`command` and all below it, with their names as typed."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from commands(below, f"{path} {name}")


def page() -> str:
    """The whole page: what is written by hand above the mark, the reference below it."""
    return PAGE.read_text(encoding="utf-8").partition(MARK)[0] + MARK + reference()


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
