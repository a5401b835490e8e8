"""`agentbox say`: the box's voice, from the command line."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

import click
import soundfile

from agentbox import paths
from agentbox.audio.output import Output
from agentbox.cli.common import with_config
from agentbox.errors import AudioError, InputError
from agentbox.messages import Notice
from agentbox.settings import Loaded
from agentbox.tts.engine import NOTHING, Samples
from agentbox.tts.load import load_voice
from agentbox.tts.narrator import Narrator


@click.command()
@click.argument("text", nargs=-1, required=True)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write a WAV file instead of playing it.")
@with_config
def say(loaded: Loaded, text: tuple[str, ...], out: Path | None) -> None:
    """Say TEXT with the box's voice.

    \b
    Example:
      agentbox say "Dinner is ready."
    """
    config = loaded.config
    voice = load_voice(config.speech, config.language, paths.cache_dir())
    narrator = Narrator(voice, config.language, config.speech.pace)
    with asyncio.Runner() as runner:
        sounds = _each(runner, narrator.say(" ".join(text)))
        try:
            if out is None:
                _play(config.audio.output_device, voice.sample_rate_hz, sounds)
            else:
                _write(out, voice.sample_rate_hz, sounds)
        finally:
            runner.run(narrator.close())


def _each(runner: asyncio.Runner, saying: AsyncGenerator[Samples]) -> Iterator[Samples]:
    async def after() -> Samples | None:
        return await anext(saying, None)

    while (sound := runner.run(after())) is not None:
        yield sound


def _play(device: str | int, rate_hz: int, sounds: Iterator[Samples]) -> None:
    failures: list[Notice] = []
    speaker = Output(device, failures.append)
    track = speaker.open("speech")
    try:
        for sound in sounds:
            track.add(sound, rate_hz)
        track.add(NOTHING, rate_hz, last=True)
        while not (track.over or failures):
            time.sleep(0.05)
    finally:
        speaker.close()
    for notice in failures[:1]:
        raise AudioError(notice.code, notice.what, notice.todo)


def _write(path: Path, rate_hz: int, sounds: Iterator[Samples]) -> None:
    try:
        with soundfile.SoundFile(str(path), "w", rate_hz, 1, subtype="PCM_16", format="WAV") as file:
            for sound in sounds:
                file.write(sound)
    except (OSError, soundfile.LibsndfileError) as error:
        raise InputError(
            "file_unwritable", f"{path} cannot be written.", "Name a file in a folder of your own."
        ) from error
