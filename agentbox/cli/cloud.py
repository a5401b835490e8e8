"""`agentbox backends`, `agentbox egress`: cloud models, and what left the box."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click

from agentbox.cli.common import Group, echo_json, show_error, with_config, with_json
from agentbox.config import LOCAL
from agentbox.daemon.local import connect
from agentbox.errors import AgentboxError, ExitCode, InputError
from agentbox.settings import Loaded


@click.group(cls=Group)
def backends() -> None:
    """Cloud models that the box may hand conversations to (docs/cloud.md)."""


@backends.command("list")
@with_json
@with_config
def list_(loaded: Loaded, as_json: bool) -> None:
    """The backends in the order in which they are asked, and how each of them is.

    \b
    Example:
      agentbox backends list
    """
    found = connect(loaded).call("backends.list")
    for one in found:
        if as_json:
            echo_json(one)
        else:
            problem = f"  [{one['problem']}]" if one.get("problem") else ""
            click.echo(f"{one['name']:16} {one['kind']:12} {one['model']:28} {one['state']}{problem}")
    if not found and not as_json:
        click.echo("There are none. Nothing leaves this box.")


@backends.command()
@click.argument("name")
@with_json
@with_config
@click.pass_context
def test(ctx: click.Context, loaded: Loaded, name: str, as_json: bool) -> None:
    """Set up a session with a backend and end it; nothing is said. Tells in one line what is wrong, if anything is.

    \b
    Example:
      agentbox backends test openai
    """
    try:
        found = connect(loaded).call("backends.test", {"name": name})
    except AgentboxError as error:
        if as_json:
            echo_json({"name": name, "ok": False, "code": error.code, "what": error.what, "todo": error.todo})
        else:
            show_error(error)
        ctx.exit(int(ExitCode.FAILED))
    if as_json:
        echo_json({"name": name, "ok": True, **found})
    else:
        click.echo(f"{name} works: it was ready after {found['acknowledged_s']:.2f} s.")


@backends.command()
@click.argument("name")
@with_config
def use(loaded: Loaded, name: str) -> None:
    """Ask this backend first from now on; `local`: none of them.

    \b
    Example:
      agentbox backends use local
    """
    box = connect(loaded)
    names = [backend["name"] for backend in box.call("backends.list")]
    if name not in (*names, LOCAL):
        raise InputError(
            "backend_missing", f"There is no backend {name!r}.", f"There are: {', '.join([*names, LOCAL])}."
        )
    box.call("config.set", {"key": "cloud.use", "value": name})
    [policy] = [one["value"] for one in box.call("config.get") if one["key"] == "cloud.policy"]
    if name == LOCAL or policy != "local_only":
        click.echo("Nothing leaves this box." if name == LOCAL else f"{name} is asked first.")
    else:
        click.echo(f"{name} would be asked first, but cloud.policy is local_only: nothing leaves this box.")


@click.command()
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 100_000), help="How many, newest first.")
@click.option("--days", is_flag=True, help="Sum up each day and backend.")
@with_json
@with_config
def egress(loaded: Loaded, limit: int, days: bool, as_json: bool) -> None:
    """What left the box: every connection to a cloud model, with seconds of sound, bytes and price.

    \b
    Example:
      agentbox egress --days
    """
    for row in connect(loaded).call("egress.days" if days else "egress.list", {"limit": limit}):
        if as_json:
            echo_json(row)
        else:
            click.echo(_day(row) if days else _use(row))


def _use(row: dict[str, Any]) -> str:
    at = datetime.fromtimestamp(row["started_at"]).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    return f"{at}  {row['backend']:12} {row['reason']:8} {_amounts(row)}  {row['outcome'] or 'never ended'}"


def _day(row: dict[str, Any]) -> str:
    return f"{row['day']}  {row['backend']:12} {row['turns']:4} turns  {_amounts(row)}"


def _amounts(row: dict[str, Any]) -> str:
    sound = f"sound {row['seconds_out']:7.1f} s out {row['seconds_in']:7.1f} s in"
    return f"{sound}  {row['bytes_out'] / 1000:9.1f} kB out {row['bytes_in'] / 1000:9.1f} kB in  {row['price']:.4f}"
