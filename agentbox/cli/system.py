"""Commands for the box as a whole."""

from __future__ import annotations

import base64
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import click

from agentbox import paths
from agentbox.cli.common import with_config
from agentbox.control.client import Client, gone
from agentbox.daemon import anew
from agentbox.daemon.backup_handlers import PIECE_BYTES
from agentbox.daemon.local import Connection, connect
from agentbox.errors import InputError
from agentbox.messages import JSON
from agentbox.settings import Loaded

STAGE_S = 600.0
"""A large backup is looked at from end to end, as long as the page waits for it too."""


@click.command()
@with_config
def restart(loaded: Loaded) -> None:
    """Have the running box end and begin anew, with all of its configuration.

    \b
    Example:
      agentbox restart
    """
    Client(paths.control_socket(loaded.config)).call("restart")
    click.echo("It restarts.")


@click.command()
@with_config
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@click.option("--with-secrets", is_flag=True, help="With the secrets that were set on the page, as plain text.")
def backup(loaded: Loaded, file: Path, with_secrets: bool) -> None:
    """Write all that the owner would miss into FILE, a zip archive that only you can read.

    It holds what was said, timers, lists, settings and sentences made on the page. It does not hold who is
    paired, models, or your own configuration file. `-` is standard output.

    \b
    Example:
      agentbox backup agentbox.zip
    """
    pieces = connect(loaded).stream("backup.create", {"secrets": with_secrets})
    told = next(pieces)
    piped = str(file) == "-"
    made = file.with_name(f".{file.name}.new")
    try:
        if piped:
            _write(sys.stdout.buffer, pieces, told["bytes"])
        else:
            with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
                _write(out, pieces, told["bytes"])
            made.replace(file)
    except OSError as error:
        what = f"{file} cannot be written: {error.strerror}."
        raise InputError("backup_unwritable", what, "Choose another place.") from error
    finally:
        if not piped:
            made.unlink(missing_ok=True)
    click.echo(f"{file}: {told['bytes'] / 1e6:.1f} MB", err=piped)


def _write(out: IO[bytes], pieces: Iterator[JSON], wanted_bytes: int) -> None:
    """Raises `ControlError` `daemon_gone` where less came than was told."""
    for piece in pieces:
        data = base64.b64decode(piece["data"])
        out.write(data)
        wanted_bytes -= len(data)
    out.flush()
    if wanted_bytes:
        raise gone()


@click.command()
@with_config
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True))
@click.option("--yes", is_flag=True, help="Do not ask.")
def restore(loaded: Loaded, file: Path, yes: bool) -> None:
    """Put what is in a backup in the place of what the box has now, and restart it.

    The backup is checked first. What the box had is kept aside until the next restore; devices stay paired.
    `-` is standard input, and needs --yes.

    \b
    Example:
      agentbox restore agentbox.zip
    """
    if not yes and str(file) == "-":
        raise click.UsageError("Say --yes: standard input is the backup, and cannot be asked.")
    if not yes:
        click.confirm("What was said, timers, lists and settings are replaced. Go on?", abort=True)
    box = connect(loaded)
    if isinstance(box, Client):
        made_at, left = _sent(box, file)
    else:
        plan = _staged(loaded, file)
        made_at, left = plan.made_at, plan.left
    for key in left:
        click.echo(f"{key} stays as it is on this machine.")
    _begin_anew(loaded, box)
    made = time.strftime("%Y-%m-%d %H:%M", time.localtime(made_at))
    click.echo(f"The backup of {made} is restored.")


@click.command()
@with_config
@click.option("--yes", is_flag=True, help="It is meant.")
def factory_reset(loaded: Loaded, yes: bool) -> None:
    """Delete everything of yours from the box: what was said, timers, lists, settings, secrets, devices.

    Models and your own configuration file stay. There is no way back but a backup.

    \b
    Example:
      agentbox factory-reset --yes
    """
    if not yes:
        raise click.UsageError("Say --yes to delete everything of yours from the box.")
    box = connect(loaded)
    box.call("factory.reset")
    _begin_anew(loaded, box)
    click.echo("Everything of yours is deleted.")


def _sent(box: Client, file: Path) -> tuple[float, list[str]]:
    """Have the running box take a backup and check it: when it was made, and the settings that stay as they are."""
    offset = 0
    with click.open_file(str(file), "rb") as source:
        while piece := source.read(PIECE_BYTES):
            data = base64.b64encode(piece).decode("ascii")
            offset = box.call("restore.put", {"offset": offset, "data": data})["bytes"]
    told = box.call("restore.stage", timeout_s=STAGE_S)
    return told["made_at"], told["left"]


def _staged(loaded: Loaded, file: Path) -> anew.Plan:
    """Check a backup where no box runs, and have it wait. Raises as `anew.stage`."""
    paths.prepare(paths.state_dir())
    if str(file) != "-":
        return anew.stage(file, loaded, by_page=False)
    received = anew.upload_file()
    try:
        with open(received, "wb", opener=_own) as out:
            shutil.copyfileobj(sys.stdin.buffer, out)
        return anew.stage(received, loaded, by_page=False)
    finally:
        received.unlink(missing_ok=True)


def _own(path: str, flags: int) -> int:
    """A file that only its owner can read."""
    return os.open(path, flags, 0o600)


def _begin_anew(loaded: Loaded, box: Connection) -> None:
    """Have done what waits for the next start: that of the running box, or at once where none runs."""
    if isinstance(box, Client):
        box.call("restart")
    else:
        anew.begin(loaded)
