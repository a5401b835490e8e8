"""`agentbox doctor`: is all well, and if not, what to do."""

from __future__ import annotations

from pathlib import Path

import click

from agentbox.cli.common import echo_json, with_json
from agentbox.daemon.checks import examine
from agentbox.errors import ExitCode


@click.command()
@with_json
@click.option("--config", "config_file", type=click.Path(path_type=Path), metavar="F", help="Configuration file.")
@click.pass_context
def doctor(ctx: click.Context, config_file: Path | None, as_json: bool) -> None:
    """Look at microphone, speaker, voice, model, disk, database, clock and daemon; exit code 1 if something fails.

    \b
    Example:
      agentbox doctor
    """
    failed = False
    for finding in examine(config_file):
        failed = failed or finding.state == "fail"
        if as_json:
            echo_json(finding._asdict())
            continue
        colour = {"ok": "green", "warn": "yellow", "fail": "red"}[finding.state]
        click.echo(f"{click.style(f'{finding.state:4}', fg=colour)}  {finding.check:11} {finding.what}")
        if finding.todo:
            click.echo(f"{'':17}→ {finding.todo}")
    if failed:
        ctx.exit(int(ExitCode.FAILED))
