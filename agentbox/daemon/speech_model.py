"""The speech model of the configuration, and another in its place while the box runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from agentbox import paths
from agentbox.asr.engine import Engine
from agentbox.asr.load import load_engine
from agentbox.asr.pull import Progress
from agentbox.config import Asr, Config
from agentbox.daemon.measured import threads_of
from agentbox.daemon.model_process import Process, Wanted, opened
from agentbox.errors import AgentboxError, ModelError
from agentbox.languages import normal_language
from agentbox.messages import Notice

MODEL_KEYS = ("model", "threads", "models_dir")
"""Of the section `asr`: which model is loaded, and how."""


def load_speech(
    config: Config, name: str | None = None, *, fetch_missing: bool = True, progress: Progress | None = None
) -> Engine:
    """`asr.model`, or the model or folder `name`, on the number of threads that it is to have. Raises as
    `load_engine`."""
    model = name or config.asr.model
    threads = threads_of(config, model)
    folder = paths.models_dir(config)
    return load_engine(model, config.language, folder, threads, fetch_missing=fetch_missing, progress=progress)


class First(NamedTuple):
    """What the box begins to hear with."""

    engine: Engine
    config: Config
    """With the model that was loaded."""
    problem: Notice | None = None
    """Why it is not the one that the owner wants."""


def load_first(config: Config, *, progress: Progress | None = None) -> First:
    """`asr.model`; where that cannot be loaded, the default model if it is there and knows the language: a box that
    hears less well is worth more than a deaf one. Raises as `load_engine` does for the first."""
    try:
        return First(load_speech(config, progress=progress), config)
    except ModelError as error:
        asr = msgspec.structs.replace(config.asr, model=Asr().model, threads=None)
        instead = msgspec.structs.replace(config, asr=asr)
        if asr.model == config.asr.model:
            raise
        try:
            engine = load_speech(instead, fetch_missing=False)
        except AgentboxError:
            raise error from None
        what = f"{error.what} Until that is mended the box hears with {asr.model}."
        return First(engine, instead, Notice(code=error.code, what=what, todo=error.todo, level="error"))


def try_speech(config: Config, begun: Callable[[Process], None] = lambda _: None) -> Engine:
    """As `load_speech`, for a box that is in use: nothing is fetched, and the model is tried in a process of its own
    first, since onnxruntime need not survive damaged files, nor the machine a model that is too large for it.

    `begun`: see `opened`.
    """
    folder = str(paths.models_dir(config))
    with opened(Wanted(model=config.asr.model, language=config.language, models_dir=folder, threads=1), begun):
        pass
    return load_speech(config, fetch_missing=False)


class Change(NamedTuple):
    """What a new configuration means for hearing."""

    asr: Asr
    """This section from now on."""
    engine: Engine | None = None
    """Another model, loaded and past its self-test; null: the one there is stays."""
    load_ms: float = 0.0
    problem: Notice | None = None
    """Why the model that is asked for does not take its place; told before."""


class InUse:
    """Which speech model the box hears with. One change at a time."""

    def __init__(self, config: Config, wanted: Config | None = None) -> None:
        """`wanted`: what could not be loaded."""
        self.asr = config.asr
        self._loaded = _which(config)
        self._failed = _which(wanted) if wanted is not None else None
        """What could not be loaded the last time."""

    async def change(self, config: Config, *, anew: bool = False) -> Change:
        """Load what `config` asks for, where that is another model (or `anew`); nothing of it counts until `taken`.

        Raises `ModelError` and `ConfigError` as `load_engine` does. Of a model that failed the last time too this only
        tells, so that one bad line in the owner's file does not keep every other setting from counting.
        """
        if _languages(config.asr) != _languages(self.asr):
            return Change(self.asr)  # sentences, answers and voice change with it, at the next start
        which = _which(config)
        if not anew and which == self._loaded:
            self._failed = None
            return Change(config.asr)
        began_s = time.monotonic()
        trials: list[Process] = []
        try:
            engine = await asyncio.to_thread(try_speech, config, trials.append)
        except asyncio.CancelledError:
            for trial in trials:  # the box ends, and would wait for it
                trial.kill()
            raise
        except AgentboxError as error:
            if anew or self._failed != which:
                self._failed = which
                raise
            told = Notice(code=error.code, what=error.what, todo=error.todo, level="error")
            kept = {name: getattr(self.asr, name) for name in MODEL_KEYS}
            return Change(msgspec.structs.replace(config.asr, **kept), problem=told)
        self._failed = None
        return Change(config.asr, engine, (time.monotonic() - began_s) * 1000)

    def taken(self, change: Change, config: Config) -> None:
        """The change counts."""
        self.asr = change.asr
        if change.engine is not None:
            self._loaded = _which(config)


def _languages(asr: Asr) -> list[str]:
    return [normal_language(tag) for tag in (asr.language, *asr.other_languages)]


def _which(config: Config) -> tuple[object, ...]:
    return config.asr.model, threads_of(config), paths.models_dir(config)
