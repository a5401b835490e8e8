"""Commands that talk to the box: `ask`, `listen`, `status`, and `tools`."""

from __future__ import annotations

import json
from typing import Any

import click
import msgspec

from agentbox.cli.common import Group, echo_json, with_config, with_json
from agentbox.cli.show import echo_event
from agentbox.daemon.local import Connection, LocalBox, connect
from agentbox.errors import ExitCode, InputError
from agentbox.messages import StageEvent, from_json
from agentbox.settings import Loaded


@click.command()
@click.argument("text", nargs=-1, required=True)
@with_json
@with_config
@click.pass_context
def ask(ctx: click.Context, loaded: Loaded, text: tuple[str, ...], as_json: bool) -> None:
    """Act as if TEXT had been heard.

    \b
    Example:
      agentbox ask "set a timer for five minutes"
    """
    box = connect(loaded)
    _warn_alone(box)
    turn = box.call("ask", {"text": " ".join(text)})
    if as_json:
        echo_json(turn)
    else:
        click.echo(turn["reply"])
    if turn["outcome"] in ("failed", "not_understood"):
        ctx.exit(int(ExitCode.FAILED))


@click.command()
@with_json
@with_config
@click.pass_context
def listen(ctx: click.Context, loaded: Loaded, as_json: bool) -> None:
    """Press the talk key: the daemon listens to the next utterance without a wake phrase.

    \b
    Example:
      agentbox listen
    """
    heard = False
    click.echo("speak now", err=True)
    for item in connect(loaded).stream("listen"):
        heard = heard or item["stage"] == "speech"
        if as_json:
            echo_json(item)
        else:
            event = from_json(item)
            assert isinstance(event, StageEvent)
            echo_event(event, words=True)
    if not heard:
        click.echo("nothing was said", err=True)
        ctx.exit(int(ExitCode.FAILED))


@click.command()
@with_json
@with_config
def status(loaded: Loaded, as_json: bool) -> None:
    """Whether a daemon runs, and how it is.

    \b
    Example:
      agentbox status --json
    """
    state = connect(loaded).call("status")
    if as_json:
        echo_json(state)
        return
    notices = state.pop("notices")
    for key, value in state.items():
        click.echo(f"{key:12} {value}")
    for notice in notices:
        click.echo(f"{notice['level']:12} {notice['what']} {notice['todo']} [{notice['code']}]")


def _warn_alone(box: Connection) -> None:
    """Without a daemon each command is a life of its own."""
    if isinstance(box, LocalBox):
        click.echo("no daemon is running: nothing rings, and what is said next will not know of this", err=True)


@click.group(cls=Group)
def tools() -> None:
    """What the box can do."""


@tools.command("list")
@with_json
@with_config
def list_tools(loaded: Loaded, as_json: bool) -> None:
    """Every tool with what it does and whether speech may call it.

    \b
    Example:
      agentbox tools list --json
    """
    for tool in connect(loaded).call("tools.list"):
        if as_json:
            echo_json(tool)
        else:
            click.echo(f"{tool['name']:24} {tool['speech']:8} {tool['description']}")


@tools.command()
@click.argument("name")
@click.argument("arguments", default="{}")
@with_json
@with_config
@click.pass_context
def call(ctx: click.Context, loaded: Loaded, name: str, arguments: str, as_json: bool) -> None:
    """Run the tool NAME with ARGUMENTS, a JSON object.

    \b
    Example:
      agentbox tools call start_timer '{"minutes": 5}'
    """
    try:
        values: Any = msgspec.json.decode(arguments)
    except msgspec.DecodeError as error:
        raise InputError("bad_parameter", "ARGUMENTS is not JSON.", "Write it like '{\"minutes\": 5}'.") from error
    if not isinstance(values, dict):
        raise InputError("bad_parameter", "ARGUMENTS must be a JSON object.", "Write it like '{\"minutes\": 5}'.")
    box = connect(loaded)
    _warn_alone(box)
    result = box.call("tools.call", {"tool": name, "arguments": values})
    if as_json:
        echo_json(result)
    else:
        click.echo(result["aloud"] or result["text"] or json.dumps(result["data"], ensure_ascii=False))
    if not result["ok"]:
        why = result["data"]
        click.echo(f"[{result['error_code']}] {why['what']} {why['todo']}", err=True)
        ctx.exit(int(ExitCode.FAILED))
