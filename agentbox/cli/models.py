"""`agentbox models`: the speech models this box knows, has, and can fetch."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from agentbox import paths
from agentbox.asr.catalogue import Catalogue, Model, check
from agentbox.asr.load import is_folder, whole_path
from agentbox.asr.pull import Step, folder_of, parse_source, pull
from agentbox.cli.common import Group, echo_json, show_error, with_config, with_json
from agentbox.daemon import measured as measured_models
from agentbox.daemon.box import VAD_MODEL
from agentbox.daemon.local import connect
from agentbox.daemon.measured import ROUNDS, Machine, sample
from agentbox.daemon.model_process import LIMIT_S
from agentbox.daemon.shelf import recommendation, shelf, shown
from agentbox.errors import ExitCode, ModelError
from agentbox.settings import Loaded

MOST_LANGUAGES = 6
"""So many are named in a list."""


@click.group(cls=Group)
def models() -> None:
    """List, fetch, check, measure and change speech models."""


@models.command("list")
@with_json
@with_config
def list_models(loaded: Loaded, as_json: bool) -> None:
    """Every model of the catalogue; `>` marks the one in use, `+` the second one (asr.second_model), `*` those that
    are here.

    What it costs is what was measured on this machine; in brackets, what the catalogue says of another.
    `agentbox models verify` looks at every byte of the files.

    \b
    Example:
      agentbox models list
    """
    for row in shelf(loaded.config):
        if as_json:
            echo_json(row)
            continue
        mark = (">" if row["in_use"] else "+" if row["second"] else " ") + ("*" if row["present"] else " ")
        size = f"{row['bytes'] / 1e6:.0f} MB" if row["bytes"] else ""
        languages = ", ".join(row["languages"][:MOST_LANGUAGES])
        if more := len(row["languages"][MOST_LANGUAGES:]):
            languages += f" and {more} more"
        click.echo(
            f"{mark} {row['name']:20} {size:>7}  {languages:8} {_costs(row):28} {row['about']} ({row['licence']})"
        )


def _costs(row: dict[str, Any]) -> str:
    """Memory, and time for a second of sound."""
    if measured := row["measured"]:
        threads = f" x{measured['threads']}" if measured["threads"] > 1 else ""
        return f"{measured['peak_mb']:.0f} MB, {measured['rtf']:.3f} s/s{threads}"
    known = [f"{row['memory_mb']} MB"] if row["memory_mb"] is not None else []
    known += [f"{row['rtf']:.3f} s/s"] if row["rtf"] is not None else []
    return f"({', '.join(known)})" if known else ""


@models.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option(
    "--rounds", default=ROUNDS, show_default=True, type=click.IntRange(1, 100), help="How often each is timed."
)
@with_json
@with_config
def measure(loaded: Loaded, names: tuple[str, ...], rounds: int, as_json: bool) -> None:
    """Find out what models cost on this machine: time, memory, and how many threads are worth it.

    NAME is a model that is here, or a folder of your own; without one, the model of the configuration. Each number of
    threads has a process of its own, and they take turns, so that other work on the machine is spread over them. What
    is found is kept: `models list` shows it, `models recommend` goes by it, and so does the number of threads, where
    asr.threads is empty, from the next start, reload or `models use` on.

    \b
    Example:
      agentbox models measure
    """
    if os.getloadavg()[0] > Machine.here().cores:
        click.echo("this machine is busy: the figures will be better when it is not", err=True)
    sound = sample()
    for name in names or (loaded.config.asr.model,):
        measured = measured_models.measure(
            name,
            loaded.config,
            sound,
            rounds=rounds,
            progress=lambda what: click.echo(f"  {what}", err=True) if sys.stderr.isatty() else None,
        )
        measured_models.keep(name, measured)
        if as_json:
            echo_json({"name": name, **shown(measured)})
            continue
        click.echo(f"{name}: {measured.peak_mb:.0f} MB of memory, {measured.resting_mb:.0f} MB at rest")
        for number, ms in sorted(measured.command_ms.items()):
            chosen = " (chosen)" if number == measured.threads else ""
            click.echo(
                f"  {number} thread{'s' if number > 1 else ' '}  a command of 4 s in {ms / 1000:.3f} s, "
                f"{measured.rtf[number]:.3f} s for a second of sound{chosen}"
            )


@models.command()
@with_json
@with_config
@click.pass_context
def recommend(ctx: click.Context, loaded: Loaded, as_json: bool) -> None:
    """Say which model is best for this box, its memory, its processors and its language, and why not the others.

    A model fits that knows asr.language, takes less than half of the memory, and writes a command of 4 s down within
    0.4 s. Of those the one with the fewest errors is recommended.

    \b
    Example:
      agentbox models recommend
    """
    found = recommendation(loaded.config)
    for place, one in enumerate(found):
        best = place == 0 and one.verdict == "fits"
        if as_json:
            echo_json({"name": one.facts.name, "verdict": one.verdict, "why": one.why, "recommended": best})
        elif one.verdict != "language":
            click.echo(f"{'>' if best else ' '} {one.facts.name:20} {one.verdict:10} {one.why}")
    best_of_all = found[0] if found and found[0].verdict == "fits" else None
    if best_of_all is None:
        click.echo(f"no model of the catalogue is known to fit this box for {loaded.config.language}", err=True)
        ctx.exit(int(ExitCode.FAILED))
    if best_of_all.facts.name != loaded.config.asr.model:
        name = best_of_all.facts.name
        fetch = "" if best_of_all.facts.present else f"agentbox models pull {name} && "
        click.echo(f"{fetch}agentbox models use {name}", err=True)


@models.command()
@click.argument("name", metavar="NAME|FOLDER")
@with_json
@with_config
def use(loaded: Loaded, name: str, as_json: bool) -> None:
    """Hear with another model from now on, without a restart.

    A running box goes on hearing with the model it has until the new one is loaded and has passed its self-test; one
    that cannot be used changes nothing. The name of the model in use loads it again, with the number of threads that
    was measured. Without a running box the choice counts from the next start on.

    \b
    Example:
      agentbox models use moonshine-base-en
    """
    done = connect(loaded).call("models.use", {"name": whole_path(name)}, timeout_s=2 * LIMIT_S)
    if as_json:
        echo_json(done)
    elif done["counts"] == "now":
        click.echo(f"{done['model']} hears from now on")
    else:
        click.echo(f"{done['model']} hears from the next start on")


@models.command("pull")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--source", metavar="FOLDER|URL", help="Take the files from this folder or web folder.")
@with_config
def pull_models(loaded: Loaded, names: tuple[str, ...], source: str | None) -> None:
    """Fetch models, checked by SHA-256; without a name those that the configuration needs.

    The second model (asr.second_model) comes last; where it cannot be had that is told, and is no error: the box hears
    without it. What is here and whole is not fetched again; a broken download goes on where it stopped.

    \b
    Example:
      agentbox models pull moonshine-base-en
    """
    for model in _wanted(loaded, names):
        _pull(loaded, model, source)
    second = loaded.config.asr.second_model
    if second is not None and not names and not is_folder(second):
        try:
            _pull(loaded, Catalogue.load().get(second), source)
        except ModelError as error:
            show_error(error)


def _pull(loaded: Loaded, model: Model, source: str | None) -> None:
    """Raises as `pull`."""
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
        click.echo(f"  {file}: nobody here could check this file; its publisher's digest is kept from now on", err=True)
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
