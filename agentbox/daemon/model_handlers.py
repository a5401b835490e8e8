"""What commands and pages can ask about speech models: which there are, and another one in use from now on."""

from __future__ import annotations

import asyncio

import msgspec

from agentbox import settings
from agentbox.asr.catalogue import Catalogue
from agentbox.asr.load import check_language, is_folder, whole_path
from agentbox.config import Config
from agentbox.control.server import Handler
from agentbox.daemon.changeable import check, merged
from agentbox.daemon.core import Core
from agentbox.daemon.handlers import Daemon
from agentbox.daemon.params import Params, want
from agentbox.daemon.settings_handlers import SettingsHandlers
from agentbox.daemon.shelf import recommendation, shelf
from agentbox.daemon.speech_model import try_speech
from agentbox.messages import JSON, Caller


class ModelHandlers:
    """`table()` is the methods by name. `daemon` is null where none runs."""

    def __init__(self, core: Core, settings_handlers: SettingsHandlers, daemon: Daemon | None, caller: Caller) -> None:
        self._core = core
        self._settings = settings_handlers
        self._daemon = daemon
        self._caller = caller

    def table(self) -> dict[str, Handler]:
        return {"models.list": self.models_list, "models.recommend": self.recommend, "models.use": self.use}

    async def models_list(self, _: Params) -> JSON:
        """Every model of the catalogue, and the owner's own in use."""
        return await asyncio.to_thread(shelf, self._core.config)

    async def recommend(self, _: Params) -> JSON:
        """The speech models, the best for this box first, and why."""
        found = await asyncio.to_thread(recommendation, self._core.config)
        return [{"name": one.facts.name, "verdict": one.verdict, "why": one.why} for one in found]

    async def use(self, params: Params) -> JSON:
        """`{"name"}` -> `{"model", "former", "counts"}`: hear with another model from now on; without a daemon, from
        the next start on. A folder only by who has a shell."""
        name, former = whole_path(want(params, "name", str)), self._core.config.asr.model

        def may(config: Config, before: Config) -> None:
            if self._caller != "page" and is_folder(name):
                return
            check(config, before)

        present = (await asyncio.to_thread(settings.load, self._core.loaded.file)).config
        if not is_folder(name):
            await asyncio.to_thread(_check_name, name, present.language)
        if self._daemon is None:
            asr = msgspec.structs.replace(present.asr, model=name)
            may(msgspec.structs.replace(present, asr=asr), present)
            await asyncio.to_thread(try_speech, msgspec.structs.replace(present, asr=asr))
        if self._daemon is not None and name == former == present.asr.model:
            await self._daemon.reload(model_anew=True)
        else:
            await self._settings.change({"asr.model": name}, merged, may)
        now = self._daemon is not None and self._core.config.asr.model == name
        return {"model": name, "former": former, "counts": "now" if now else "later"}


def _check_name(name: str, language: str) -> None:
    catalogue = Catalogue.load()
    check_language(catalogue.get(name), language, catalogue)
