"""The `agentbox` command: thin click commands over the daemon's methods and the rooms."""

from __future__ import annotations

import importlib

import click

from agentbox import __version__
from agentbox.cli.common import Group

_COMMANDS = {
    "run": "run",
    "transcribe": "transcribe",
    "recognize": "words",
    "understand": "words",
    "ask": "talk",
    "listen": "talk",
    "say": "say",
    "mute": "mute",
    "unmute": "mute",
    "status": "talk",
    "tools": "talk",
    "transcripts": "transcripts",
    "backends": "cloud",
    "egress": "cloud",
    "pair": "pairing",
    "devices-paired": "pairing",
    "devices": "devices",
    "models": "models",
    "config": "config",
    "sentences": "sentences",
    "doctor": "doctor",
    "restart": "system",
    "backup": "system",
    "restore": "system",
    "factory-reset": "system",
    "bench": "bench",
}
"""Command -> the module it is in, imported when it is used: `agentbox ask` need not wait for the speech engine."""


class _Lazy(Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"agentbox.cli.{_COMMANDS[cmd_name]}")
        command = getattr(module, cmd_name.replace("-", "_"))
        assert isinstance(command, click.Command)
        return command


@click.command(cls=_Lazy)
@click.version_option(__version__, prog_name="agentbox")
def main() -> None:
    """A voice agent that hears, understands, acts and remembers on this machine, with no network needed."""
