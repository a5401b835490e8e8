"""`agentbox bench wake`: misses, false accepts and delay of wake phrases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from agentbox import paths
from agentbox.bench.box import median, percentile
from agentbox.bench.wake import measure
from agentbox.bench.wake_counts import SENSITIVITIES, row
from agentbox.cli.common import echo_json, with_config, with_json
from agentbox.cli.tables import new_table, show_table
from agentbox.settings import Loaded


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=Path("../shared/data/wake"))
@click.option(
    "--noise",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("../shared/data/commands/kitchen-noise.flac"),
    show_default=True,
    help="What the clips are mixed with at 10 dB.",
)
@click.option(
    "--negatives",
    type=click.Path(path_type=Path, file_okay=False),
    multiple=True,
    help="A folder of real speech without the phrases; may be given often.",
)
@click.option(
    "--synthetic",
    type=click.Path(path_type=Path, file_okay=False),
    multiple=True,
    help="A folder of synthetic talk without the phrases (benchmarks/make_negative_talk.py).",
)
@click.option("--hours", default=1000.0, help="How much of the synthetic talk is heard.")
@click.option("--sensitivity", "sensitivities", type=click.FloatRange(0, 1), multiple=True, help="Instead of several.")
@click.option(
    "--cache",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep scores here: a run that was broken off goes on where it stopped.",
)
@with_json
@with_config
def wake(loaded: Loaded, folder: Path, sensitivities: tuple[float, ...], as_json: bool, **options: Any) -> None:
    """Wake phrases: misses and delay on recordings of them, false accepts an hour on other speech.

    FOLDER has a folder of recordings for each phrase, named like it. They are heard clean and with noise, from an
    utterance's beginning, as the daemon hears. The recordings of one phrase are other speech to the others.

    \b
    Example:
      agentbox bench wake my-recordings --negatives talk --cache /tmp/scores
    """
    scored = measure(loaded.config, paths.models_dir(loaded.config), folder, **options)
    rows = [row(scored, one) for one in sensitivities or SENSITIVITIES]
    if as_json:
        for found in rows:
            echo_json(msgspec.to_builtins(found))
        return
    columns = [f"{one.sensitivity:g}" for one in rows]
    misses = new_table("Misses by sensitivity; 95 % intervals in percent", "phrase", "", *columns)
    for of_all in zip(*(one.misses for one in rows), strict=True):
        misses.add_row(of_all[0].phrase, of_all[0].condition, *map(str, of_all))
    show_table(misses)
    wrong = new_table("False accepts by sensitivity; 95 % intervals an hour", "speech", "hours", *columns)
    for of_kind in zip(*(one.false_accepts for one in rows), strict=True):
        wrong.add_row(of_kind[0].kind, f"{of_kind[0].hours:.2f}", *map(str, of_kind))
    show_table(wrong)
    delay = new_table("From the phrase's end to the decision, by sensitivity", "", *columns)
    for percent in (50, 95):
        delay.add_row(f"p{percent}", *(f"{percentile(one.delay_ms, percent):.0f} ms" for one in rows))
    looks = [took for _, found in scored.sounds for one in found for took in one.look_ms]
    delay.add_row("one look, p50, beside it", *[f"{median(looks):.0f} ms" for _ in rows])
    show_table(delay)
