"""What the page asks when it sets up a box: devices, models and backends to choose from, and a sound to hear."""

from __future__ import annotations

import asyncio
from typing import Any

from agentbox import paths
from agentbox.asr.catalogue import Catalogue
from agentbox.audio.devices import Device, list_devices
from agentbox.audio.driver import beside
from agentbox.control.server import Handler
from agentbox.daemon.changeable import is_installed
from agentbox.daemon.core import Core
from agentbox.daemon.params import Params
from agentbox.errors import AudioError, ConfigError, ControlError
from agentbox.messages import JSON

LISTED_S = 5.0
"""A sound system that takes longer to list its devices hangs."""


class SetupHandlers:
    """`table()` is the methods by name."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def table(self) -> dict[str, Handler]:
        return {
            "sound.devices": self.sound_devices,
            "sound.test": self.sound_test,
            "setup.choices": self.setup_choices,
            "setup.finish": self.setup_finish,
        }

    async def sound_devices(self, _: Params) -> JSON:
        """The microphones and the speakers."""
        listing = beside(list_devices)
        if not (await asyncio.wait([listing], timeout=LISTED_S))[0]:
            raise AudioError(
                "sound_hangs", "The sound system does not answer.", "Restart PulseAudio or PipeWire, or this machine."
            )
        found = await listing
        return {
            "inputs": [_shown(one, one.default_input) for one in found if one.inputs],
            "outputs": [_shown(one, one.default_output) for one in found if one.outputs],
        }

    async def sound_test(self, _: Params) -> JSON:
        """A short sound -> whether it is played: what waits before it may be too much."""
        speaker = self._core.speaker
        if speaker is None:
            raise ControlError("not_running", "No agentbox daemon is running.", "Start one: agentbox run")
        return {"played": speaker.play("timer")}

    async def setup_choices(self, _: Params) -> JSON:
        """The wake phrases in force and those of the language, the speech models of the catalogue, and the kinds of
        backends."""
        from agentbox.realtime.backends import DIALOGS, KINDS  # what speaks with clouds is there where it is used

        folder = paths.models_dir(self._core.config)
        models = [model for model in Catalogue.load().models.values() if model.kind == "speech"]
        return {
            "phrases": self._core.config.phrases,
            "default_phrases": self._core.config.default_phrases,
            "models": [
                {
                    "name": model.name,
                    "languages": model.languages,
                    "installed": is_installed(model, folder),
                    "about": model.about,
                }
                for model in models
            ],
            "backends": [
                {"kind": name, "vendor": kind.vendor, "model": kind.model, "speaks": name in DIALOGS}
                for name, kind in KINDS.items()
            ],
        }

    async def setup_finish(self, _: Params) -> JSON:
        """The owner has set the box up, or does not want to be asked again."""
        file = paths.set_up_file()
        try:
            paths.prepare(file.parent)
            file.touch(mode=0o600)
        except OSError as error:
            raise ConfigError(
                "config_unwritable", f"{file} cannot be written: {error.strerror}.", "Check its folder's permissions."
            ) from error
        return {"set_up": True}


def _shown(device: Device, is_default: bool) -> dict[str, Any]:
    return {"name": device.name, "default": is_default}
