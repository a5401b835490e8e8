"""`agentbox bench constrain`: what decoding under the sentences costs."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import click
import yaml

from agentbox import paths
from agentbox.asr.load import load_engine
from agentbox.asr.moonshine import Moonshine
from agentbox.bench import constrain as measured
from agentbox.bench.commands import clips_of
from agentbox.bench.recordings import as_floats, read_sound
from agentbox.cli.common import with_config
from agentbox.cli.tables import new_table, show_table
from agentbox.daemon.mind import load_tools, make_understander, only_sentences
from agentbox.errors import InputError
from agentbox.intents.understand import Understander
from agentbox.settings import Loaded

_VERBS = ("turn on", "turn off", "switch on", "switch off", "dim", "brighten", "open", "close", "lock", "check")
_ENDS = ("", " [please]", " (now|right now)", " for a (minute|while)", " in the (morning|evening)")


@click.command()
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("../shared/data/commands"),
    show_default=True,
    help="A folder with audio/*.flac, labels.json and sentences.yaml.",
)
@click.option("--clips", default=12, show_default=True, help="How many recordings, each cut to four seconds.")
@with_config
def constrain(loaded: Loaded, data: Path, clips: int) -> None:
    """Decoding under the sentences: its time beside free decoding by beam, on one thread, and making them ready.

    \b
    Example:
      agentbox bench constrain --clips 4
    """
    config = loaded.config
    if not (data / "sentences.yaml").is_file():
        raise InputError("file_missing", f"There are no recordings at {data}.", "Name a folder with --data.")
    engine = load_engine(config.asr.model, config.language, paths.models_dir(config), 1)
    if not isinstance(engine, Moonshine):
        raise InputError("model_cannot", f"{config.asr.model} cannot decode under sentences.", "Choose another model.")
    known = clips_of(data)
    sounds = [as_floats(read_sound(clip.path)) for clip in known[:: max(1, len(known) // clips)][:clips]]
    orders = only_sentences(config.language, [data / "sentences.yaml"])
    for name, understander in ((data.name, orders), ("built-in", make_understander(config, load_tools(config)))):
        _show_cost(name, measured.cost(engine, understander.spoken, measured.four_seconds(sounds)))
    table = new_table(
        "Built-in and 50 more sentences made ready",
        "names",
        "graph",
        "in tokens",
        "in all",
        "graph from cache",
        "memory",
    )
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder) / "cache"

        def make(names: Sequence[str]) -> Understander:
            file = Path(folder) / f"names{len(names)}.yaml"
            file.write_text(yaml.safe_dump(_sentences(config.language, names)), encoding="utf-8")
            return make_understander(config, load_tools(config), extra_files=[file], cache=cache)

        for count in (50, 1_000, 10_000):
            made = measured.compiling(engine, count, make)
            table.add_row(
                str(count),
                *(f"{took:.2f} s" for took in (made.graph_s, made.network_s, made.graph_s + made.network_s)),
                f"{made.cached_s:.2f} s",
                f"{made.memory_mb:.0f} MB",
            )
    show_table(table)


def _show_cost(name: str, cost: measured.Cost) -> None:
    table = new_table(f"Four seconds of sound, {cost.clips} clips, medians: {name}", "", "time", "ratio", "hypotheses")
    free = cost.encode_ms + cost.free_ms
    table.add_row("encoding alone", f"{cost.encode_ms:.0f} ms", f"{cost.encode_ms / free:.2f}", "")
    table.add_row("free reading, with encoding", f"{free:.0f} ms", "1.00", "1")
    for one in measured.BEAMS:
        adaptive = one is measured.BEAMS[-1]
        label = f"at most {one.width} near the best (shipped)" if adaptive else f"beam {one.width}"
        took = cost.again_ms[one]
        table.add_row(label, f"{took:.0f} ms", f"{took / free:.2f}", f"{cost.rows[one]:.1f}")
        took = cost.first_ms[one]
        table.add_row("  heard for the first time", f"{took:.0f} ms", f"{took / free:.2f}", "")
    table.add_row("new states (masks) a second", f"{cost.states_per_second:.0f}", "", "")
    show_table(table)


def _sentences(language: str, names: Sequence[str]) -> dict[str, object]:
    """Fifty sentences about things of these names."""
    sentences = [f"{verb} [the] {{thing}}{end}" for verb in _VERBS for end in _ENDS]
    return {
        "language": language,
        "intents": {"Thing": {"data": [{"sentences": sentences}]}},
        "lists": {"thing": {"values": list(names)}},
    }
