"""`agentbox transcripts`: what the box heard, understood, did and answered."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import click

from agentbox.cli.common import Group, echo_json, one_line, with_config, with_json
from agentbox.daemon.local import connect
from agentbox.errors import ExitCode, InputError
from agentbox.settings import Loaded

LIMIT = click.IntRange(1, 100_000)


@click.group(cls=Group)
def transcripts() -> None:
    """Read, search, export and delete what the box remembers."""


@transcripts.command("list")
@click.option("--limit", default=20, show_default=True, type=LIMIT, help="How many turns, newest first.")
@with_json
@with_config
def list_(loaded: Loaded, limit: int, as_json: bool) -> None:
    """The last turns.

    \b
    Example:
      agentbox transcripts list --limit 5
    """
    _print(connect(loaded).call("transcripts.list", {"limit": limit}), as_json)


@transcripts.command()
@click.argument("text")
@click.option("--limit", default=20, show_default=True, type=LIMIT, help="How many turns, best first.")
@with_json
@with_config
def search(loaded: Loaded, text: str, limit: int, as_json: bool) -> None:
    """Turns with these words in what was heard.

    \b
    Example:
      agentbox transcripts search milk
    """
    _print(connect(loaded).call("transcripts.search", {"text": text, "limit": limit}), as_json)


@transcripts.command()
@click.argument("turn_id", metavar="ID")
@with_json
@with_config
def show(loaded: Loaded, turn_id: str, as_json: bool) -> None:
    """All that is kept of one turn, with the time each stage took.

    \b
    Example:
      agentbox transcripts show 01a1fce443c5
    """
    turn = connect(loaded).call("transcripts.show", {"id": turn_id})
    if turn is None:
        todo = "agentbox transcripts list shows the ids; of an id enough must be given that no other begins so."
        raise InputError("turn_missing", "No single turn has this id.", todo)
    if as_json:
        echo_json(turn)
        return
    began = turn["stages"][0]["monotonic_s"] if turn["stages"] else 0.0
    for stage in turn.pop("stages"):
        figures = "  ".join(f"{name} {value:g}" for name, value in stage["timings"].items())
        after_ms = (stage["monotonic_s"] - began) * 1000
        click.echo(f"{after_ms:7.0f} ms  {stage['stage']:12} {stage['state']:12} {figures}")
    turn["started_at"] = datetime.fromtimestamp(turn["started_at"]).astimezone().isoformat(timespec="seconds")
    for key, value in turn.items():
        if value not in (None, [], {}):
            click.echo(f"{key:14} {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}")


@transcripts.command()
@click.argument("turn_ids", metavar="[ID]...", nargs=-1)
@click.option("--since", type=click.DateTime(), help="Delete turns from this time on.")
@click.option("--until", type=click.DateTime(), help="Delete turns before this time.")
@click.option("--all", "everything", is_flag=True, help="Delete everything.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_json
@with_config
@click.pass_context
def delete(
    ctx: click.Context,
    loaded: Loaded,
    turn_ids: tuple[str, ...],
    since: datetime | None,
    until: datetime | None,
    everything: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Delete turns for good: by id, by time, or all. Nothing of them stays in the file.

    \b
    Example:
      agentbox transcripts delete --until 2026-01-01
    """
    if sum((bool(turn_ids), bool(since or until), everything)) != 1:
        raise click.UsageError("Give ids, or --since and --until, or --all.")
    if not yes:
        click.confirm("Delete these turns for good?", abort=True)
    params: dict[str, Any] = {"ids": list(turn_ids)}
    if everything:
        params = {"all": True}
    elif since or until:
        params = {"since": since.timestamp() if since else 0.0, "until": until.timestamp() if until else 2e10}
    answer = connect(loaded).call("transcripts.delete", params)
    if as_json:
        echo_json(answer)
    else:
        click.echo(f"{answer['deleted']} turn{'' if answer['deleted'] == 1 else 's'} deleted")
    if turn_ids and not answer["deleted"]:
        ctx.exit(int(ExitCode.INPUT))


@transcripts.command()
@click.option("--json", "_as_json", is_flag=True, help="One JSON object a line: what it prints in any case.")
@with_config
def export(loaded: Loaded, _as_json: bool) -> None:
    """Everything, one JSON object a line, oldest first.

    \b
    Example:
      agentbox transcripts export > my-box.jsonl
    """
    for row in connect(loaded).stream("transcripts.export"):
        echo_json(row)


@transcripts.command()
@with_json
@with_config
def upkeep(loaded: Loaded, as_json: bool) -> None:
    """Look whether the journal's file is sound, bring its statistics up to date, and cut its log.

    The service's timer does this once a day. A damaged file ends it with exit code 6.

    \b
    Example:
      agentbox transcripts upkeep
    """
    found = connect(loaded).call("transcripts.upkeep")
    if as_json:
        echo_json(found)
    else:
        click.echo(f"the journal is sound: {found['size_bytes'] / 1e6:.1f} MB")


def _print(turns: list[dict[str, Any]], as_json: bool) -> None:
    if not turns and not as_json:
        click.echo("nothing found", err=True)
    for turn in turns:
        if as_json:
            echo_json(turn)
            continue
        when = datetime.fromtimestamp(turn["started_at"]).astimezone().strftime("%Y-%m-%d %H:%M:%S")
        click.echo(f"{turn['id'][:12]}  {when}  {one_line(turn.get('text') or '')}")
        if turn.get("reply"):
            click.echo(f"{'':14}{click.style(one_line(turn['reply']), dim=True)}")
