"""`agentbox bench commands`: spoken commands in noise, and other speech."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import click
from rich.table import Table

from agentbox import paths
from agentbox.asr.listener import Listener
from agentbox.bench import commands as measured
from agentbox.bench.commands import CLEAN, PUBLISHED, SNRS_DB, Bench, Heard, Tally
from agentbox.bench.recordings import as_floats, read_sound
from agentbox.cli.common import with_config
from agentbox.cli.tables import new_table, show_table
from agentbox.config import Config
from agentbox.daemon.box import load_vad
from agentbox.daemon.mind import load_tools, make_understander, only_sentences
from agentbox.daemon.speech_model import load_speech
from agentbox.intents.understand import Understander
from agentbox.settings import Loaded

BUILTIN = "built-in"


@click.command()
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("../shared/data/commands"),
    show_default=True,
    help="A folder with audio/*.flac, labels.json and, unless the built-in sentences are meant, sentences.yaml.",
)
@click.option(
    "--other",
    "others",
    multiple=True,
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Speech that is no command: all sound files below it.",
)
@click.option(
    "--noise",
    "noise_file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="What the clips are mixed with; default: kitchen-noise.flac beside labels.json, else none.",
)
@click.option("--draws", default=3, show_default=True, help="Random stretches of noise for each clip and ratio.")
@click.option("--clips", type=int, metavar="N", help="Only so many clips, evenly spread.")
@click.option("--seed", default=0, show_default=True, help="Of the noise.")
@click.option(
    "--scores",
    "scores_file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Add what decoding found of each clip to a CSV file (see benchmarks/fit_confidence.py).",
)
@click.option("--misses", is_flag=True, help="List each clip that was not understood.")
@with_config
def commands(
    loaded: Loaded,
    data: Path,
    others: tuple[Path, ...],
    noise_file: Path | None,
    draws: int,
    clips: int | None,
    seed: int,
    scores_file: Path | None,
    misses: bool,
) -> None:
    """Spoken commands in noise, and other speech: what is understood, asked about, and taken for a command wrongly.

    A command counts as understood when the box would act on it, with the right intent and slots.

    \b
    Example:
      agentbox bench commands --clips 40 --draws 1
    """
    clips_here = measured.clips_of(data)
    if clips is not None:
        clips_here = clips_here[:: max(1, len(clips_here) // clips)][:clips]
    grammars = _grammars(loaded.config, data, both=bool(others))
    noise_file = noise_file or data / "kitchen-noise.flac"
    noise = as_floats(read_sound(noise_file)) if noise_file.is_file() else None
    config = loaded.config
    engine = load_speech(config)
    listener = Listener(engine, paths.cache_dir())
    vad = load_vad(config)
    first, understander = next(iter(grammars.items()))
    heard = list(Bench(listener, vad, understander, seed).commands(clips_here, noise, draws))
    _show_commands(heard, data)
    found = [Scored(data.name, first, heard)]
    for name, understander in grammars.items() if others else ():
        bench = Bench(listener, vad, understander, seed)
        found += [Scored(folder.name, name, [*map(bench.hear, measured.clips_of(folder))]) for folder in others]
    if others:
        _show_others(found[1:])
    if scores_file is not None:
        for one in found:
            measured.write_scores(scores_file, f"{one.name} ({one.grammar})", one.heard)
    if misses:
        _show_misses(found)


class Scored(NamedTuple):
    """A folder's clips, heard under one grammar."""

    name: str
    grammar: str
    heard: list[Heard]


def _grammars(config: Config, data: Path, *, both: bool) -> dict[str, Understander]:
    """By name: the folder's own sentences first, then the built-in ones where other speech is heard under `both`."""
    grammars: dict[str, Understander] = {}
    own = data / "sentences.yaml"
    if own.is_file():
        grammars[data.name] = only_sentences(config.language, [own])
    if both or not grammars:
        grammars[BUILTIN] = make_understander(config, load_tools(config))
    return grammars


def _show_commands(heard: Iterable[Heard], data: Path) -> None:
    tallies = measured.by_condition(heard)
    table = new_table(
        f"Commands understood, {data}", "dB", "clips", "understood", "asked", "acted wrongly", *map(_short, PUBLISHED)
    )
    for condition, tally in tallies.items():
        place = [str(snr_db) for snr_db in SNRS_DB].index(condition) if condition != CLEAN else None
        published = [f"{shares[place]:.0%}" if place is not None else "" for shares in PUBLISHED.values()]
        counts = (tally.understood, tally.asked, tally.acted_wrongly)
        table.add_row(condition, str(tally.clips), *(f"{count / tally.clips:.1%}" for count in counts), *published)
    mean = measured.mean_in_noise(tallies)
    if mean is not None:
        published = [f"{sum(shares) / len(shares):.1%}" for shares in PUBLISHED.values()]
        table.add_row("mean", "", f"{mean:.2%}", "", "", *published)
    show_table(table)


def _short(name: str) -> str:
    return name.split()[-1]


def _show_others(found: Sequence[Scored]) -> None:
    table = new_table("Other speech", "", "sentences", "clips", "acted on", "asked about", "either")
    totals: dict[str, Tally] = {}
    for one in found:
        tally, total = Tally(), totals.setdefault(one.grammar, Tally())
        for heard in one.heard:
            tally.add(heard)
            total.add(heard)
        _add_other(table, one.name, one.grammar, tally)
    for grammar, tally in totals.items():
        _add_other(table, "all", grammar, tally)
    show_table(table)


def _add_other(table: Table, name: str, grammar: str, tally: Tally) -> None:
    acted, asked = tally.acted_wrongly, tally.asked
    shares = (
        f"{acted} {acted / tally.clips:.2%}",
        f"{asked} {asked / tally.clips:.2%}",
        f"{(acted + asked) / tally.clips:.2%}",
    )
    table.add_row(name, grammar, str(tally.clips), *shares)


def _show_misses(found: Iterable[Scored]) -> None:
    """One line for each command that was not understood, and for each other clip that was acted on or asked about."""
    for one in found:
        for heard in one.heard:
            decision = heard.decision
            fine = decision.outcome == "none" if heard.clip.label is None else heard.right and decision.outcome == "act"
            if not fine:
                meant = f"{decision.intent.name} {decision.intent.slots}" if decision.intent else "nothing"
                click.echo(
                    f"{one.name} {heard.condition} {heard.clip.path.name}: {decision.outcome} "
                    f"{decision.confidence:.2f} {'right' if heard.right else 'wrong'} {meant} <- {heard.text}"
                )
