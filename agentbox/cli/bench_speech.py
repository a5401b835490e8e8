"""`agentbox bench speech`: the box's own voice."""

from __future__ import annotations

import asyncio
import tempfile
from functools import reduce
from itertools import cycle, islice
from operator import add
from pathlib import Path

import click
import numpy as np

import agentbox
from agentbox import paths
from agentbox.asr.load import load_engine
from agentbox.bench import speech as measured
from agentbox.bench.box import median, percentile
from agentbox.bench.interruption import silenced, starts_in, utterances
from agentbox.bench.recordings import read_sound, sound_files
from agentbox.cli.common import with_config
from agentbox.cli.tables import new_table, show_table
from agentbox.config import Config, Speech
from agentbox.daemon.box import load_vad
from agentbox.errors import AudioError
from agentbox.messages import SAMPLE_RATE_HZ
from agentbox.settings import Loaded
from agentbox.tts.load import load_voice

SAMPLE = Path(agentbox.__file__).parent / "samples" / "commands.flac"

NOISE_GAINS_DB = (-12, -6, 0, 6)

TEN_WORDS = range(8, 13)


@click.command()
@click.option("--replies", default=200, show_default=True, help="How many different ones are said.")
@click.option("--interruptions", default=20, show_default=True, help="How often the box is interrupted; 0: never.")
@click.option(
    "--spoken",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Recordings to interrupt it with; the sample that comes with agentbox otherwise.",
)
@click.option(
    "--noise",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Noise without speech: how often an hour of it, at several volumes, silences the box.",
)
@click.option("--misheard", is_flag=True, help="List each reply in which our own ears get a word wrong.")
@with_config
def speech(
    loaded: Loaded, replies: int, interruptions: int, spoken: Path | None, noise: Path | None, misheard: bool
) -> None:
    """The English voice over the box's own replies: how soon it is heard, what it costs, whether it is understood, and
    how soon it falls silent when somebody speaks.

    \b
    Example:
      agentbox bench speech --replies 100
    """
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder)
        voice = load_voice(Speech(voice="hibari"), "en", cache)
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
    if interruptions:
        _interruptions(loaded.config, interruptions, spoken)
    if noise is not None:
        _noise(loaded.config, noise)


def _interruptions(config: Config, count: int, folder: Path | None) -> None:
    vad = load_vad(config)
    sounds = (read_sound(path) for path in (sound_files(folder) if folder is not None else [SAMPLE]))
    some = list(islice(cycle(utterances(sounds, vad)), count))
    try:
        found = asyncio.run(silenced(config, vad, some, paths.cache_dir()))
    except AudioError as error:
        click.echo(f"Interruptions are not measured: {error.what} [{error.code}]")
        return
    table = new_table(f"Interrupted {len(found)} times", "silent", "p50", "p95")
    for name, values in (
        ("after the voice detector's decision", [one.after_decision_ms for one in found]),
        ("after the first sound of the voice", [one.after_onset_ms for one in found]),
    ):
        table.add_row(name, f"{median(values):.0f} ms", f"{percentile(values, 95):.0f} ms")
    show_table(table)
    click.echo(f"Gone on with where it was held, to the end: {sum(one.whole for one in found)} of {len(found)}")


def _noise(config: Config, file: Path) -> None:
    sound = read_sound(file).astype(np.float64)
    repeated = int(3600 * SAMPLE_RATE_HZ / (sound.size * len(NOISE_GAINS_DB))) + 1
    louder = (np.clip(sound * 10 ** (gain_db / 20), -32768, 32767).astype(np.int16) for gain_db in NOISE_GAINS_DB)
    hours, starts = starts_in((np.tile(one, repeated) for one in louder), load_vad(config))
    click.echo(f"{hours:.2f} h of {file.name}, {NOISE_GAINS_DB} dB: silences the box {starts} times")
