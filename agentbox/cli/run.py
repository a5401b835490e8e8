"""`agentbox run`: the daemon itself, in the foreground or under a service manager."""

from __future__ import annotations

import asyncio
import os
import sys

import click

from agentbox.cli.codes import show_offer
from agentbox.cli.common import echo_json, with_config, with_json
from agentbox.cli.show import echo_event
from agentbox.daemon.box import Box
from agentbox.errors import ExitCode
from agentbox.messages import StageEvent, public_json
from agentbox.service import is_supervised, set_up_log
from agentbox.settings import Loaded


@click.command()
@with_config
@click.option("--source", default="mic", metavar="mic|FILE|-", help="Microphone, sound file, or raw 16 kHz mono s16le.")
@click.option("--fast", is_flag=True, help="Hear a file as quickly as possible instead of in real time.")
@click.option("--exit-when-done", is_flag=True, help="End when the file or standard input ends.")
@click.option("--show-words", is_flag=True, help="Print what was heard even where the output is no terminal.")
@with_json
def run(loaded: Loaded, source: str, fast: bool, exit_when_done: bool, show_words: bool, as_json: bool) -> None:
    """Listen, understand, act and answer until stopped.

    What was heard is printed only on a terminal, with --show-words or with --json: standard output may end in a
    log that others read.

    \b
    Examples:
      agentbox run
      agentbox run --source speech.wav --exit-when-done
      arecord -t raw -f S16_LE -r 16000 | agentbox run --source -
    """
    set_up_log(loaded.config.log.level, loaded.config.log.format)
    words = show_words or sys.stdout.isatty()

    def show(event: StageEvent) -> None:
        if as_json:
            echo_json(public_json(event))
        else:
            echo_event(event, words=words)

    box = Box(
        loaded,
        source=source,
        fast=fast,
        exit_when_done=exit_when_done,
        show=show,
        watched=words or as_json,
        # Only to eyes: what is no terminal may be a log.
        greet=show_offer if sys.stdout.isatty() and not as_json else None,
    )
    code = asyncio.run(box.run())
    if code == ExitCode.RESTART and not is_supervised():
        # Nobody else would start it again. Under a service manager only that knows all that belongs to a start.
        sys.stdout.flush()
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606
    sys.exit(code)
