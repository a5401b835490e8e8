"""`agentbox recognize` and `understand`: hearing and understanding on their own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from agentbox import paths
from agentbox.asr.listener import Listener
from agentbox.cli.common import echo_json, show_error, with_config, with_json
from agentbox.cli.models import ProgressBar
from agentbox.config import Config
from agentbox.daemon.box import load_vad
from agentbox.daemon.mind import load_tools, make_understander, only_sentences
from agentbox.daemon.speech_model import load_speech
from agentbox.daemon.transcribe import FileCommand, recognize_file
from agentbox.errors import ExitCode, InputError
from agentbox.intents.understand import Understander
from agentbox.messages import Intent
from agentbox.settings import Loaded


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@click.option(
    "--sentences",
    "sentence_files",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="F",
    help="Listen for the sentences of this file alone; default: those of the configuration and the built-in ones.",
)
@click.option("--model", metavar="NAME", help="Another model than asr.model.")
@with_json
@with_config
@click.pass_context
def recognize(
    ctx: click.Context,
    loaded: Loaded,
    files: tuple[Path, ...],
    sentence_files: tuple[Path, ...],
    model: str | None,
    as_json: bool,
) -> None:
    """Say what command is spoken in each sound FILE: the intent, its slots, and whether the box would act on it.

    A file that cannot be read is told and the others are done; the exit code is then 3.

    \b
    Example:
      agentbox recognize --sentences drinks.yaml order.wav
    """
    config = loaded.config
    understander = _understander(config, sentence_files, alone=bool(sentence_files))
    bar = ProgressBar()
    engine = load_speech(config, model, progress=bar.show)
    bar.end()
    vad = load_vad(config)
    listener = Listener(engine, paths.cache_dir())
    failed = False
    for file in files:
        try:
            found = recognize_file(file, listener, vad, understander)
        except InputError as error:
            show_error(error)
            failed = True
            continue
        _show_command(file, found, as_json)
    if failed:
        ctx.exit(int(ExitCode.INPUT))


def _show_command(file: Path, found: FileCommand, as_json: bool) -> None:
    outcome, intent = found.decision.outcome, found.decision.intent
    if outcome == "none":
        intent = None
    if as_json:
        echo_json(
            {
                "file": str(file),
                "text": found.text,
                "intent": intent.name if intent else None,
                "slots": intent.slots if intent else {},
                "confidence": round(found.decision.confidence, 4),
                "outcome": outcome,
                "decode_s": round(found.decode_s, 4),
            }
        )
    elif intent is None:
        click.echo(f"{file}: no command ({found.text or 'nothing said'})")
    else:
        slots = " ".join(f"{name}={value}" for name, value in intent.slots.items())
        click.echo(f"{file}: {outcome} {intent.name} {slots} ({found.decision.confidence:.2f})")


@click.command()
@click.argument("texts", nargs=-1, required=True, metavar="TEXT...")
@click.option(
    "--sentences",
    "files",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="F",
    help="A file of sentences, besides those of the configuration.",
)
@click.option("--language", metavar="L", help="Another language than asr.language.")
@with_json
@with_config
def understand(
    loaded: Loaded, texts: tuple[str, ...], files: tuple[Path, ...], language: str | None, as_json: bool
) -> None:
    """Say what each TEXT means: the intent and its slots, and whose sentence it is.

    \b
    Example:
      agentbox understand "set a pizza timer for ten minutes"
    """
    config = loaded.config
    if language:
        config = config.in_language(language)
    understander = _understander(config, files)
    for text in texts:
        meaning = understander.understand(text)
        intent = meaning if isinstance(meaning, Intent) else None
        if as_json:
            echo_json(
                {
                    "text": text,
                    "intent": intent.name if intent else None,
                    "slots": intent.slots if intent else {},
                    "source": intent.source if intent else None,
                }
            )
        elif intent is None:
            click.echo(f"{text}: not understood")
        else:
            slots = " ".join(f"{name}={value}" for name, value in intent.slots.items())
            click.echo(f"{text}: {intent.name} {slots} ({intent.match}, {intent.source})")


def _understander(config: Config, files: Sequence[Path], *, alone: bool = False) -> Understander:
    """The sentences of the configuration and of `files`, or of `files` `alone`; what is wrong with them is told."""
    for file in files:
        if not file.is_file():
            raise InputError("file_missing", f"There is no file {file}.", "Check the path.")
    if alone:
        understander = only_sentences(config.language, files)
    else:
        understander = make_understander(config, load_tools(config), extra_files=files)
    for problem in understander.problems:
        click.echo(f"{problem.level}: {problem.what} {problem.todo} [{problem.code}]", err=True)
    return understander
