"""`agentbox bench speech`: the box's own voice."""

from __future__ import annotations

import tempfile
from functools import reduce
from operator import add
from pathlib import Path

import click

from agentbox import paths
from agentbox.asr.load import load_engine
from agentbox.bench import speech as measured
from agentbox.bench.box import median, percentile
from agentbox.cli.common import with_config
from agentbox.cli.tables import new_table, show_table
from agentbox.settings import Loaded
from agentbox.tts.load import load_voice

TEN_WORDS = range(8, 13)


@click.command()
@click.option("--replies", default=200, show_default=True, help="How many different ones are said.")
@click.option("--misheard", is_flag=True, help="List each reply in which our own ears get a word wrong.")
@with_config
def speech(loaded: Loaded, replies: int, misheard: bool) -> None:
    """The English voice over the box's own replies: how soon it is heard, what it costs, and whether it is understood.

    \b
    Example:
      agentbox bench speech --replies 100
    """
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder)
        voice = load_voice("hibari", "en", cache)
        said = measured.say(voice, measured.replies(replies))
        used = measured.memory(cache)
    table = new_table(f"{voice.name}, {len(said)} replies", "", "p50", "p95")
    short = [one.first_ms for one in said if len(one.text.split()) in TEN_WORDS]
    for name, values in (
        ("first sound, all", [one.first_ms for one in said]),
        (f"first sound, {len(short)} of 8 to 12 words", short),
    ):
        table.add_row(name, f"{median(values):.0f} ms", f"{percentile(values, 95):.0f} ms")
    show_table(table)
    sound_s = sum(one.sound.size for one in said) / voice.sample_rate_hz
    table = new_table("Cost", "", "")
    table.add_row("for a second of sound", f"{sum(one.spent_ms for one in said) / 1000 / sound_s:.4f} s")
    table.add_row("memory, loaded", f"{used.loaded_mb:.0f} MB")
    table.add_row("after 20 replies", f"{used.spoken_mb:.0f} MB")
    table.add_row("at rest", f"{used.resting_mb:.0f} MB")
    show_table(table)
    engine = load_engine(loaded.config.asr.model, "en", paths.models_dir(loaded.config))
    found = measured.heard(engine, voice, said)
    errors = reduce(add, (one for _, _, one in found))
    table = new_table(f"Heard by {loaded.config.asr.model}", "words", "wrong", "rate", "replies without error")
    perfect = sum(not one.edits for _, _, one in found)
    table.add_row(str(errors.words), str(errors.edits), f"{errors.rate:.1%}", f"{perfect} of {len(found)}")
    show_table(table)
    for reply, text, wrong in found if misheard else ():
        if wrong.edits:
            click.echo(f"{reply.text}  ->  {text}")
