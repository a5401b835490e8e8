"""`agentbox bench`: the figures of docs/benchmarks.md, measured again on this machine."""

from __future__ import annotations

from pathlib import Path

import click

from agentbox import paths
from agentbox.asr.load import load_engine
from agentbox.bench import asr as engines
from agentbox.bench import box
from agentbox.bench.memory import memory
from agentbox.cli.bench_commands import commands
from agentbox.cli.bench_constrain import constrain
from agentbox.cli.bench_echo import echo
from agentbox.cli.bench_speech import speech
from agentbox.cli.bench_wake import wake
from agentbox.cli.common import Group, with_config
from agentbox.cli.tables import new_table, show_table
from agentbox.errors import InputError
from agentbox.settings import Loaded


@click.group(cls=Group)
def bench() -> None:
    """Measure this machine: what the box costs and how fast it answers."""


bench.add_command(commands)
bench.add_command(constrain)
bench.add_command(echo)
bench.add_command(speech)
bench.add_command(wake)


@bench.command()
@click.option("--seconds", default=60.0, show_default=True, help="How long each sound lasts.")
@with_config
def idle(loaded: Loaded, seconds: float) -> None:
    """CPU and memory of the whole daemon while nobody speaks: a quiet room, and steady noise.

    \b
    Example:
      agentbox bench idle --seconds 30
    """
    table = new_table("Idle", "sound", "seconds", "CPU of one core", "PSS", "written a day", "transcripts")
    for row in box.idle(paths.models_dir(loaded.config), seconds):
        table.add_row(
            row.sound,
            f"{row.seconds:.0f}",
            f"{row.cpu_percent:.2f} %",
            f"{row.pss_mb:.0f} MB",
            f"{row.written_mb_a_day:.1f} MB",
            str(row.transcripts),
        )
    show_table(table)


@bench.command()
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("../shared/data/commands"),
    show_default=True,
    help="A folder with audio/*.flac and sentences.yaml.",
)
@click.option("--clips", default=120, show_default=True, help="How many recordings, drawn with a fixed seed.")
@click.option("--rounds", type=click.IntRange(min=1), default=1, show_default=True, help="How often each is said.")
@with_config
def latency(loaded: Loaded, data: Path, clips: int, rounds: int) -> None:
    """From the end of speech to the tool call, over real recorded commands, in real time.

    Only commands that were understood count here; how many those are is another figure. What is said a second time
    needs less: the box knows its words by then.

    \b
    Example:
      agentbox bench latency --clips 60 --rounds 2
    """
    if not (data / "sentences.yaml").is_file():
        raise InputError("file_missing", f"There are no recordings at {data}.", "Name a folder with --data.")
    for number, result in enumerate(box.latency(paths.models_dir(loaded.config), data, clips, rounds=rounds), start=1):
        title = f"End of speech to tool call, {result.commands} commands of {result.clips} clips"
        table = new_table(f"{title}, round {number}" if rounds > 1 else title, "", "p50", "p95")
        for name, values in (
            ("in all", result.total_ms),
            ("silence waited for", result.silence_ms),
            ("added to it", result.added_ms),
        ):
            table.add_row(name, f"{box.median(values):.0f} ms", f"{box.percentile(values, 95):.0f} ms")
        show_table(table)


@bench.command()
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("../shared/data"),
    show_default=True,
    help="A folder with *.flac recordings, searched with all below it.",
)
@click.option("--clips", default=60, show_default=True, help="How many recordings for speed and memory.")
@with_config
def asr(loaded: Loaded, data: Path, clips: int) -> None:
    """The speech engine beside sherpa-onnx on the same model files, one thread each; and its word error rate.

    Words are counted on Debian's recorded telephone prompts. Needs `pip install 'agentbox[bench]'`.

    \b
    Example:
      agentbox bench asr --data my-recordings
    """
    config = loaded.config
    models_dir = paths.models_dir(config)
    files = sorted(data.rglob("*.flac"))
    if not files:
        raise InputError("file_missing", f"There are no recordings at {data}.", "Name a folder with --data.")
    recordings = engines.recordings(files[:: max(1, len(files) // clips)][:clips])
    engine = load_engine(config.asr.model, config.language, models_dir)
    result = engines.speed(engine, models_dir / config.asr.model, recordings, language=config.language)
    seconds = sum(clip.seconds for clip in recordings)
    table = new_table(
        f"Decoding {result.clips} clips, {seconds:.0f} s of sound, {result.rounds} rounds", "", "median clip"
    )
    table.add_row("agentbox", f"{result.ours_ms:.1f} ms")
    table.add_row("sherpa-onnx", f"{result.sherpa_ms:.1f} ms")
    table.add_row("ratio, median over clips", f"{result.ratio:.2f}")
    show_table(table)
    columns = ("Python", "model loaded", "after decoding", "at rest")
    table = new_table("Memory of a process with the engine (PSS)", "", *columns)
    samples = [clip.samples for clip in recordings]
    for peer in ("agentbox", "sherpa"):
        used = memory(peer, models_dir / config.asr.model, samples)
        figures = (used.python_mb, used.loaded_mb, used.decoded_mb, used.resting_mb)
        table.add_row(peer, *(f"{figure:.0f} MB" for figure in figures))
    show_table(table)
    found = engines.accuracy(engine, engines.prompts(), config.language)
    table = new_table(
        "Word error rate, recorded telephone prompts", "prompts", "without error", "words", "wrong", "rate"
    )
    errors = found.errors
    table.add_row(str(found.clips), str(found.perfect), str(errors.words), str(errors.edits), f"{errors.rate:.1%}")
    show_table(table)


@bench.command()
@click.option("--runs", default=5, show_default=True, help="Starts, after one that is not counted.")
@with_config
def start(loaded: Loaded, runs: int) -> None:
    """From the start of the process to listening.

    \b
    Example:
      agentbox bench start
    """
    seconds = box.start_up(paths.models_dir(loaded.config), runs)
    table = new_table("Start to listening", "runs", "median", "longest")
    table.add_row(str(len(seconds)), f"{box.median(seconds):.2f} s", f"{max(seconds):.2f} s")
    show_table(table)
