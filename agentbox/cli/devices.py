"""`agentbox devices`: which microphones and speakers this machine has."""

from __future__ import annotations

from dataclasses import asdict

import click

from agentbox.audio.devices import list_devices
from agentbox.cli.common import echo_json, with_json


@click.command()
@with_json
def devices(as_json: bool) -> None:
    """List sound devices; `*` marks the default ones.

    \b
    Example:
      agentbox devices
    """
    found = list_devices()
    if not found and not as_json:
        click.echo("this machine has no sound device", err=True)
    for device in found:
        if as_json:
            echo_json(asdict(device))
            continue
        default = "*" if device.default_input or device.default_output else " "
        kinds = " and ".join(
            kind for kind, count in (("microphone", device.inputs), ("speaker", device.outputs)) if count
        )
        click.echo(f"{default} {device.index:3}  {device.name}  ({kinds}, {device.default_rate_hz} Hz)")
