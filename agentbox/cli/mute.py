"""`agentbox mute` and `agentbox unmute`: the microphone closed, and open again."""

from __future__ import annotations

from datetime import datetime

import click

from agentbox.cli.common import echo_json, with_config, with_json
from agentbox.daemon.local import connect
from agentbox.settings import Loaded


@click.command()
@click.option(
    "--minutes", type=click.FloatRange(0, 10_080, min_open=True), metavar="N", help="Only for so long, a week at most."
)
@with_json
@with_config
def mute(loaded: Loaded, minutes: float | None, as_json: bool) -> None:
    """Close the microphone: nothing is heard until `agentbox unmute`, over restarts too. Timers still ring.

    \b
    Examples:
      agentbox mute
      agentbox mute --minutes 30
    """
    found = connect(loaded).call("mute", {"minutes": minutes})
    if as_json:
        echo_json(found)
    elif not found["closed"]:
        click.echo("muted: nothing is heard; the sound system has not yet let go of the microphone")
    elif found["muted_until"] is None:
        click.echo("muted: the microphone is closed until agentbox unmute")
    else:
        until = datetime.fromtimestamp(found["muted_until"]).astimezone()
        click.echo(f"muted: the microphone is closed until {until:%Y-%m-%d %H:%M}")


@click.command()
@with_json
@with_config
def unmute(loaded: Loaded, as_json: bool) -> None:
    """Open the microphone again.

    \b
    Example:
      agentbox unmute
    """
    found = connect(loaded).call("unmute")
    if as_json:
        echo_json(found)
    else:
        click.echo("the box may listen")
