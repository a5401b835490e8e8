"""What all commands share: the configuration option, errors as a person reads them, and JSON lines."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from agentbox import settings
from agentbox.errors import AgentboxError
from agentbox.messages import JSON

F = TypeVar("F", bound=Callable[..., Any])


class Group(click.Group):
    """A command group whose commands end with the error's exit code and text instead of a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except AgentboxError as error:
            show_error(error)
            ctx.exit(int(error.exit_code))
        except BrokenPipeError:
            # The reader of a pipe (head, less) has seen enough. Without this, Python complains at exit.
            sys.stdout = None
            ctx.exit(0)


def show_error(error: AgentboxError) -> None:
    click.echo(f"{click.style('error', fg='red', bold=True)} [{error.code}] {error.what}", err=True)
    if error.todo:
        click.echo(f"      {error.todo}", err=True)


def with_config(command: F) -> F:
    """Adds `--config F` and hands the loaded configuration to the command as `loaded`."""

    @click.option(
        "--config",
        "config_file",
        type=click.Path(path_type=Path),
        metavar="F",
        help="Configuration file; default: $AGENTBOX_CONFIG, then the user's, then /etc/agentbox/config.yaml.",
    )
    @functools.wraps(command)
    def wrapped(*args: Any, config_file: Path | None, **kwargs: Any) -> Any:
        return command(*args, loaded=settings.load(config_file), **kwargs)

    return wrapped  # type: ignore[return-value]


def with_json(command: F) -> F:
    """Adds `--json`, handed to the command as `as_json`."""
    option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
    return option(command)


def echo_json(value: JSON) -> None:
    """One JSON object on one line, written out at once, so that a program at the other end of a pipe sees it."""
    click.echo(json.dumps(value, ensure_ascii=False))
    sys.stdout.flush()


def one_line(text: str, width: int = 60) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= width else flat[: width - 1] + "…"
