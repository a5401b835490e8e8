"""`agentbox models`: the speech models this box knows, has, and can fetch."""

from __future__ import annotations

import sys

import click

from agentbox import paths
from agentbox.asr.catalogue import Catalogue, Model, check
from agentbox.asr.load import is_folder
from agentbox.asr.pull import Step, folder_of, parse_source, pull
from agentbox.cli.common import Group, echo_json, with_config, with_json
from agentbox.daemon.box import VAD_MODEL
from agentbox.errors import ExitCode
from agentbox.settings import Loaded


@click.group(cls=Group)
def models() -> None:
    """List, fetch and check speech models."""


@models.command("list")
@with_json
@with_config
def list_models(loaded: Loaded, as_json: bool) -> None:
    """Every model of the catalogue; `*` marks those that are here, whole.

    \b
    Example:
      agentbox models list
    """
    folder = paths.models_dir(loaded.config)
    for model in Catalogue.load().models.values():
        present = not check(model, folder_of(model, folder))
        if as_json:
            echo_json(
                {
                    "name": model.name,
                    "kind": model.kind,
                    "languages": list(model.languages),
                    "licence": model.licence,
                    "bytes": model.bytes,
                    "present": present,
                    "about": model.about,
                }
            )
        else:
            size = f"{model.bytes / 1e6:.0f} MB"
            click.echo(f"{'*' if present else ' '} {model.name:20} {size:>7}  {model.about} ({model.licence})")


@models.command("pull")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--source", metavar="FOLDER|URL", help="Take the files from this folder or web folder.")
@with_config
def pull_models(loaded: Loaded, names: tuple[str, ...], source: str | None) -> None:
    """Fetch models, checked by SHA-256; without a name those that the configuration needs.

    What is here and whole is not fetched again; a broken download goes on where it stopped.

    \b
    Example:
      agentbox models pull moonshine-base-en
    """
    for model in _wanted(loaded, names):
        bar = ProgressBar()
        pulled = pull(
            model,
            paths.models_dir(loaded.config),
            sources=[parse_source(source)] if source else None,
            progress=bar.show,
        )
        bar.end()
        for failure in pulled.passed_over:
            click.echo(f"  {failure}", err=True)
        for file in pulled.pinned:
            click.echo(
                f"  {file}: nobody here could check this file; its publisher's digest is kept from now on", err=True
            )
        click.echo(f"{model.name}: {f'fetched from {pulled.source}' if pulled.source else 'is here'}")


@models.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@with_json
@with_config
@click.pass_context
def verify(ctx: click.Context, loaded: Loaded, names: tuple[str, ...], as_json: bool) -> None:
    """Check the files of models byte by byte; without a name those that the configuration needs.

    \b
    Example:
      agentbox models verify
    """
    bad = False
    for model in _wanted(loaded, names):
        problems = check(model, folder_of(model, paths.models_dir(loaded.config)))
        bad = bad or bool(problems)
        if as_json:
            found = [{"file": problem.file, "problem": problem.what} for problem in problems]
            echo_json({"name": model.name, "ok": not problems, "problems": found})
        else:
            click.echo(f"{model.name}: {'; '.join(f'{one.file} {one.what}' for one in problems) or 'ok'}")
    if bad:
        ctx.exit(int(ExitCode.MODEL))


@models.command()
@click.argument("name", required=False)
@with_config
def path(loaded: Loaded, name: str | None) -> None:
    """Print the folder of a model (default: that of asr.model).

    \b
    Example:
      agentbox models path
    """
    wanted = name or loaded.config.asr.model
    if is_folder(wanted):
        click.echo(wanted)
    else:
        click.echo(folder_of(Catalogue.load().get(wanted), paths.models_dir(loaded.config)))


def _wanted(loaded: Loaded, names: tuple[str, ...]) -> list[Model]:
    catalogue = Catalogue.load()
    configured = loaded.config.asr.model
    needed = (VAD_MODEL,) if is_folder(configured) else (configured, VAD_MODEL)
    return [catalogue.get(name) for name in names or needed]


class ProgressBar:
    """A progress bar on a terminal, one line per source elsewhere."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._told = ""

    def show(self, step: Step) -> None:
        if step.doing == "done":
            return
        what = {"waiting": "waits for another pull of", "fetching": "fetching", "checking": "checking"}[step.doing]
        if self._terminal and step.doing == "fetching" and step.total_bytes:
            share = min(1.0, step.done_bytes / step.total_bytes)
            filled = "#" * int(30 * share)
            click.echo(
                f"\r{step.model}: [{filled:30}] {share:4.0%} of {step.total_bytes / 1e6:.0f} MB",
                nl=False,
                err=True,
            )
        elif (line := f"{what} {step.model} {step.source}".rstrip()) != self._told:
            self._told = line
            click.echo(line, err=True)

    def end(self) -> None:
        if self._terminal:
            click.echo("\r\033[K", nl=False, err=True)
