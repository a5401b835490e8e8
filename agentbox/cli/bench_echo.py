"""`agentbox bench echo`: hearing while speaking."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click
import numpy as np

from agentbox import paths
from agentbox.asr.listener import Listener
from agentbox.asr.load import load_engine
from agentbox.audio.echo import Echo
from agentbox.audio.mixer import RATE_HZ
from agentbox.audio.segment import Samples
from agentbox.bench import echo as measured
from agentbox.bench.commands import clips_of
from agentbox.bench.speech import replies, say
from agentbox.cli.common import with_config
from agentbox.cli.tables import new_table, show_table
from agentbox.config import Speech
from agentbox.daemon.box import load_vad
from agentbox.daemon.mind import only_sentences
from agentbox.settings import Loaded
from agentbox.tts.load import load_voice

PLACES = [(delay_ms, level_db) for delay_ms in (0, 60, 200) for level_db in (-6, -13, -20)]
ROOMS = [measured.Room(delay_ms, level_db, seed=number) for number, (delay_ms, level_db) in enumerate(PLACES, 1)]
"""Each is another one: in some the first sound to come back is not the loudest."""

REPLIES_A_MINUTE = 11
SPOKEN_OVER = measured.Room(60, -10)


@click.command()
@click.option("--minutes", default=30.0, show_default=True, help="How long the box speaks, in each room.")
@click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Recorded commands with labels.json and sentences.yaml, to be spoken over it.",
)
@click.option("--clips", type=int, help="So many of them, evenly chosen.")
@with_config
def echo(loaded: Loaded, minutes: float, data: Path | None, clips: int | None) -> None:
    """The box's own English voice comes back into its microphone: does it hear itself, and does it hear others?

    \b
    Example:
      agentbox bench echo --minutes 5
    """
    played = _own_voice(minutes)
    vad = load_vad(loaded.config)
    engine = load_engine(loaded.config.asr.model, "en", paths.models_dir(loaded.config))
    table = new_table(
        f"{played.size / RATE_HZ / 60:.1f} min of its own speech ({'cancelled' if Echo().cancels else 'half-duplex'})",
        "delay",
        "level",
        "interruptions",
        "transcripts",
        "ERLE",
    )
    for room in ROOMS:
        told = measured.alone(played, room, vad, engine)
        table.add_row(
            f"{room.delay_ms:.0f} ms",
            f"{room.level_db:.0f} dB",
            str(told.interruptions),
            str(told.transcripts),
            f"{told.erle_db:.1f} dB",
        )
    show_table(table)
    if data is None:
        return
    some = clips_of(data)
    if clips is not None:
        some = some[:: max(1, len(some) // clips)][:clips]
    understander = only_sentences("en", [data / "sentences.yaml"])
    spoken = measured.over(some, played, SPOKEN_OVER, vad, Listener(engine, paths.cache_dir()), understander)
    table = new_table("Commands, as loud as the box in its own microphone", "clips", "the box", "noticed", "understood")
    rows = (
        ("is silent", "", spoken.in_silence),
        ("falls silent", f"{spoken.noticed / spoken.clips:.1%}", spoken.understood),
        ("speaks on", "", spoken.throughout),
    )
    for name, noticed, understood in rows:
        table.add_row(str(spoken.clips), name, noticed, f"{understood / spoken.clips:.1%}")
    show_table(table)


def _own_voice(minutes: float) -> Samples:
    with tempfile.TemporaryDirectory() as folder:
        voice = load_voice(Speech(voice="hibari"), "en", Path(folder))
        said = [one.sound for one in say(voice, replies(min(400, int(minutes * REPLIES_A_MINUTE) + 5)))]
        voice.close()
    own = measured.spaced(said)
    return np.resize(own, int(minutes * 60 * RATE_HZ))
