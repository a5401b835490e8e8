"""`agentbox sentences`: the owner's files of sentences."""

from __future__ import annotations

from pathlib import Path

import click

from agentbox.cli.common import Group, echo_json, with_config, with_json
from agentbox.daemon.mind import load_tools, sentence_paths
from agentbox.daemon.sentence_files import findings, speller
from agentbox.errors import ExitCode, InputError
from agentbox.settings import Loaded


@click.group(cls=Group)
def sentences() -> None:
    """Check your own sentences."""


@sentences.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="[F]...")
@click.option("--language", metavar="L", help="Another language than asr.language.")
@with_json
@with_config
@click.pass_context
def check(ctx: click.Context, loaded: Loaded, files: tuple[Path, ...], language: str | None, as_json: bool) -> None:
    """Look for mistakes in files (or folders) of sentences; without F in those of the configuration.

    Told are mistakes in writing; words that mean two things; sentences and values that are never understood, since
    others take their words; words that are never heard as they are written, or that the speech model cannot write;
    and phrases that sound nearly the same. What only is worth knowing is an `info`.

    Exit code 2 if anything but an `info` was found.

    \b
    Example:
      agentbox sentences check orders.yaml
    """
    config = loaded.config
    if language:
        config = config.in_language(language)
    for file in files:
        if not file.exists():
            raise InputError("file_missing", f"There is no file {file}.", "Check the path.")
    spells = speller(config)
    if spells is None:
        what = f"no model for {config.language} is on this machine (asr.model: {config.asr.model})"
        click.echo(f"not checked: whether the speech model can write the words: {what}", err=True)
    found = findings(config, load_tools(config), files or sentence_paths(config), spells)
    for file, line, notice in found:
        if as_json:
            place = {"file": str(file), "line": line}
            echo_json(place | {"code": notice.code, "level": notice.level, "what": notice.what, "todo": notice.todo})
        else:
            click.echo(f"{notice.level}: {file}:{line}: {notice.what} {notice.todo} [{notice.code}]")
    if not found and not as_json:
        click.echo("ok")
    if any(notice.level != "info" for *_, notice in found):
        ctx.exit(int(ExitCode.USAGE))
