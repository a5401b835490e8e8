"""The second speech model (`asr.second_model`): loaded beside a box that is in use, and let go where it hangs.

Whatever becomes of it, the box hears with the first.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from agentbox import paths
from agentbox.asr.engine import Engine
from agentbox.asr.worker import InferenceThread
from agentbox.config import Config
from agentbox.daemon.core import Core
from agentbox.daemon.events import Events
from agentbox.daemon.hearing import Hearing
from agentbox.daemon.measured import threads_of
from agentbox.daemon.model_process import Process
from agentbox.daemon.second_reading import SecondReading
from agentbox.daemon.speech_model import try_speech
from agentbox.errors import AgentboxError
from agentbox.messages import JSON, Notice

State: TypeAlias = Literal["off", "loading", "ready", "failed"]

Opens: TypeAlias = Callable[[Config, Callable[[Process], None]], Engine]
"""Loads `asr.model` of a configuration; see `try_speech`. Called beside the loop."""


NICENESS = 5
"""The first model, which everybody waits for, goes before it where both have something to do."""


HANGS_S = 60.0
"""It got nowhere for so long. More patience than with the first: that one goes before it."""


class SecondModel:
    """`use` a configuration; `thread` reads with it once it is loaded. All in the event loop."""

    def __init__(
        self,
        events: Events,
        prepare: Callable[[InferenceThread], None],
        *,
        cache: Path | None = None,
        opens: Opens = try_speech,
    ) -> None:
        """`prepare`: has a thread know the sentences and the owner's names. `cache`: see `InferenceThread`."""
        self._events = events
        self._prepare = prepare
        self._cache = cache
        self._opens = opens
        self._wanted: tuple[object, ...] | None = None
        self._loading: asyncio.Task[None] | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self.thread: InferenceThread | None = None
        """Null where there is none to ask."""
        self.state: State = "off"

    def use(self, config: Config) -> None:
        """Have what `config` asks for: another one is loaded beside the loop, and the one there is reads on until then.
        What failed is tried again. Nothing is fetched: the box is in use."""
        wanted = _wanted(config)
        if wanted == self._wanted and self.state != "failed":
            if self.thread is not None:
                self._prepare(self.thread)  # names and sentences may be others
            return
        self._wanted = wanted
        if self._loading is not None:
            self._loading.cancel()
            self._loading = None
        if wanted is None:
            self._let_go("off")
            return
        self.state = "loading"
        self._loading = asyncio.create_task(self._load(config), name="second-model")

    async def _load(self, config: Config) -> None:
        began_s = time.monotonic()
        trials: list[Process] = []
        assert config.asr.second_model is not None
        asr = msgspec.structs.replace(config.asr, model=config.asr.second_model)
        asked = msgspec.structs.replace(config, asr=asr)
        try:
            engine = await asyncio.to_thread(self._opens, asked, trials.append)
        except asyncio.CancelledError:
            for trial in trials:  # nobody waits for it any more
                trial.kill()
            raise
        except AgentboxError as error:
            self._let_go("failed")
            what = f"The second speech model cannot be used. {error.what}"
            self._events.notice(Notice(code=error.code, what=what, todo=error.todo, level="error"))
            return
        if self.thread is not None:
            self.thread.use(engine)
        else:
            self.thread = InferenceThread(
                engine,
                config.language,
                cache=self._cache,
                languages=config.languages,
                notify=self._events.notice,
                niceness=NICENESS,
            )
            self.thread.start()
        self._prepare(self.thread)
        self.state = "ready"
        load_ms = (time.monotonic() - began_s) * 1000
        self._events.emit("box", "second_model_ready", timings={"second_load_ms": load_ms})

    def look(self) -> None:
        """Let go of a thread that hangs: the box can do without it."""
        if self.thread is None or self.thread.alive(HANGS_S):
            return
        self._let_go("failed")
        what = "The second speech model hangs. Nothing is read twice any more."
        todo = "Restart agentbox; where it happens again, set asr.second_model to another one."
        self._events.notice(Notice(code="second_model_hangs", what=what, todo=todo, level="error"))

    def _let_go(self, state: State) -> None:
        self.state = state
        thread, self.thread = self.thread, None
        if thread is not None:
            task = asyncio.create_task(thread.stop(), name="second-model-end")
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    async def close(self) -> None:
        if self._loading is not None:
            self._loading.cancel()
            await asyncio.gather(self._loading, return_exceptions=True)
        self._let_go("off")
        await asyncio.gather(*self._ending)

    def status(self) -> dict[str, JSON]:
        """For `agentbox status`."""
        name = None if self.thread is None else self.thread.listener.engine.name
        return {"second_model": name, "second_model_state": self.state}


def read_twice(core: Core, hearing: Hearing, model: SecondModel) -> None:
    """From here on what the first model is not sure of is read by `model` too, where the owner wants it."""
    reading = SecondReading(lambda: model.thread, lambda: core.config.asr, core.attention, core.events)
    core.turns.second, hearing.decoded = reading, reading.outdated
    model.use(core.config)


def _wanted(config: Config) -> tuple[object, ...] | None:
    """What is to be loaded; null: nothing. The first model once more would tell nothing new."""
    second = config.asr.second_model
    if second is None or second == config.asr.model:
        return None
    return second, threads_of(config, second), paths.models_dir(config)
