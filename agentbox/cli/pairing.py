"""`agentbox pair` and `agentbox devices-paired`: who may come in from the network."""

from __future__ import annotations

import os
import sys
from datetime import datetime
from pathlib import Path
from typing import Any, get_args

import click
from qrcode.image.pure import PyPNGImage
from qrcode.image.svg import SvgPathImage

from agentbox import paths
from agentbox.cli.codes import qr_code, show_offer
from agentbox.cli.common import echo_json, with_config, with_json
from agentbox.control.client import Client
from agentbox.daemon.local import connect
from agentbox.errors import InputError
from agentbox.messages import Scope
from agentbox.settings import Loaded


@click.command()
@click.option("--guest", is_flag=True, help="For somebody who may talk to the box, and not read or change it.")
@click.option("--png", "png", type=click.Path(path_type=Path), metavar="F", help="Write the QR code as a PNG picture.")
@click.option("--svg", "svg", type=click.Path(path_type=Path), metavar="F", help="Write the QR code as an SVG picture.")
@with_json
@with_config
def pair(loaded: Loaded, guest: bool, png: Path | None, svg: Path | None, as_json: bool) -> None:
    """Show a QR code with which one phone can pair, within ten minutes.

    From then on the local network reaches the page. The code is shown on a terminal, or written to a file that only
    you can read; never into a log.

    \b
    Examples:
      agentbox pair
      agentbox pair --guest --png guest.png
    """
    if not (as_json or png or svg or sys.stdout.isatty()):
        raise InputError(
            "no_terminal",
            "A pairing code is not printed where it may end in a log.",
            "Run this in a terminal, or with --png F, --svg F or --json.",
        )
    offer = Client(paths.control_socket(loaded.config)).call("pair.start", {"role": "guest" if guest else "owner"})
    code = qr_code(offer["url"])
    for file, factory in ((png, PyPNGImage), (svg, SvgPathImage)):
        if file is not None:
            _write(file, code, factory)
    if as_json:
        echo_json(offer)
        return
    show_offer(offer, picture=not (png or svg))


def _write(file: Path, code: Any, factory: Any) -> None:
    """Only for whoever runs the command. Raises `InputError` `file_unwritable`."""
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
            code.make_image(image_factory=factory).save(out)
    except OSError as error:
        raise InputError("file_unwritable", f"{file} cannot be written: {error.strerror}.", "Name another.") from error


@click.group("devices-paired")
def devices_paired() -> None:
    """Phones and programs that may come in from the network."""


@devices_paired.command("list")
@with_json
@with_config
def list_(loaded: Loaded, as_json: bool) -> None:
    """List them, with what each may do and when it was last seen.

    \b
    Example:
      agentbox devices-paired list
    """
    for device in connect(loaded).call("devices.list"):
        if as_json:
            echo_json(device)
            continue
        seen = datetime.fromtimestamp(device["seen_at"]).astimezone().strftime("%Y-%m-%d %H:%M")
        click.echo(f"{device['id'][:16]}  {device['role']:6}  seen {seen}  {device['address']:15}  {device['name']}")


@devices_paired.command()
@click.argument("device")
@with_config
def revoke(loaded: Loaded, device: str) -> None:
    """Let a device in no more; what it has open ends at once. The start of its id is enough.

    \b
    Example:
      agentbox devices-paired revoke 01a1fce443c5
    """
    gone = connect(loaded).call("devices.revoke", {"id": device})
    click.echo(f"{gone['name']} is not paired any more.")


@devices_paired.command()
@click.argument("name")
@click.option("--scope", "scopes", multiple=True, type=click.Choice(get_args(Scope)), default=("state",))
@with_json
@with_config
def add(loaded: Loaded, name: str, scopes: tuple[Scope, ...], as_json: bool) -> None:
    """Make a token for a program of yours, shown this once. `--scope` says what it may do.

    \b
    Example:
      agentbox devices-paired add "night light" --scope state --scope talk
    """
    made = connect(loaded).call("devices.add", {"name": name, "scopes": list(scopes)})
    if as_json:
        echo_json(made)
    else:
        click.echo(made["token"])
