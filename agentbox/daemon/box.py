"""The daemon: everything the box does, started in order, supervised, and ended cleanly."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from agentbox import paths, settings
from agentbox.asr.catalogue import Catalogue
from agentbox.asr.engine import Engine
from agentbox.asr.listener import Sentences
from agentbox.asr.pull import ensure
from agentbox.asr.worker import InferenceThread
from agentbox.audio.ear import Ear
from agentbox.audio.vad import SileroVad
from agentbox.config import Config
from agentbox.control.client import Client
from agentbox.control.server import ControlServer, Handler, already_running
from agentbox.daemon import anew
from agentbox.daemon.access import guarded
from agentbox.daemon.at_once import counting
from agentbox.daemon.by_hand import catch_signals
from agentbox.daemon.core import Core, open_core
from agentbox.daemon.entrance import Entrance
from agentbox.daemon.events import Events, Sink, log_event
from agentbox.daemon.figures import Figures, memory_bytes
from agentbox.daemon.health import Health
from agentbox.daemon.hearing import Heard, Hearing
from agentbox.daemon.methods import methods
from agentbox.daemon.mute import Mute
from agentbox.daemon.paired import open_devices
from agentbox.daemon.pairing_handlers import PairingHandlers
from agentbox.daemon.second_model import SecondModel, read_twice
from agentbox.daemon.sources import MicrophoneSource, Source, echo_way, make_echo, make_source
from agentbox.daemon.speech_model import Change, First, InUse, load_first
from agentbox.daemon.updates import Updates
from agentbox.errors import AgentboxError, ControlError, ExitCode, StorageError
from agentbox.messages import JSON, Notice
from agentbox.service import LastRecords, notify
from agentbox.settings import Loaded

_log = logging.getLogger(__name__)

PRESS_S = 8.0
"""How long the box waits for speech after it was asked to listen."""

SWEEP_EVERY_S = 900.0
"""How often old rows are looked for (`storage.retention_days`)."""

RESTART_S = 0.5
"""Between the word to restart and the end, so that whoever said it gets an answer."""

VAD_MODEL = "silero-vad-16k"


class Box:
    """`await Box(loaded, ...).run()` is the daemon's whole life; it gives the exit code.

    `source`: `mic`, `-` or a file; `show`: a sink for the screen; `watched`: where somebody looks on; `greet`: shows
    the first codes of a box that no phone was paired with.
    """

    def __init__(
        self,
        loaded: Loaded,
        *,
        source: str = "mic",
        fast: bool = False,
        exit_when_done: bool = False,
        show: Sink | None = None,
        watched: bool = True,
        greet: Callable[[dict[str, JSON]], None] | None = None,
    ) -> None:
        self._loaded = loaded
        self._greet = greet
        self._fast = fast
        self._source_name = source
        self._exit_when_done = exit_when_done
        self.events = Events()
        self.events.subscribe(log_event)
        self.figures = Figures()
        self.events.subscribe(self.figures)
        if show is not None:
            self.events.subscribe(show, watches=watched)
        self._stop = asyncio.Event()
        self.mute = Mute(self.events)
        self._reloading = asyncio.Lock()
        self._code = ExitCode.OK
        self._last_log = LastRecords()
        self.core: Core
        self.hearing: Hearing
        self.source: Source
        self.worker: InferenceThread
        self.health: Health
        self.entrance: Entrance
        self.in_use: InUse
        self.second: SecondModel

    async def run(self) -> int:
        began_s = time.monotonic()
        socket = paths.control_socket(self._loaded.config)
        if Client(socket).is_running():
            # Told before a second set of timers begins to ring; the server's lock is what makes sure.
            raise already_running()
        loaded, anew_told = await asyncio.to_thread(anew.begin_or_tell, self._loaded)
        self._loaded = loaded
        # A file that cannot be read is told before anything else is started.
        echo = make_echo(self._source_name, loaded.config.audio)
        self._echo = echo_way(echo)
        make = (self._source_name, loaded.config.audio, self.events)
        self.source = make_source(*make, mute=self.mute, echo=echo, fast=self._fast)
        async with contextlib.AsyncExitStack() as stack:
            stack.enter_context(self._last_log)
            self.mute.recall()
            # The model loads beside everything else: it takes longest.
            loading = [asyncio.create_task(asyncio.to_thread(_load_models, loaded.config))]
            stack.callback(lambda: [task.cancel() for task in loading])
            self.core = await stack.enter_async_context(open_core(loaded, self.events, services=True, echo=echo))
            for notice in anew_told:
                self.events.notice(notice)
            first, vad = await loading[0]
            loading.clear()  # it would hold the model for good, also when another has taken its place
            loaded = await self._begin_with(first)
            engine = first.engine
            self.worker = InferenceThread(
                engine,
                loaded.config.language,
                cache=paths.cache_dir(),
                languages=loaded.config.languages,
                notify=self.events.notice,
            )
            self.worker.start()
            stack.push_async_callback(self.worker.stop)
            self.hearing = self._hearing_of(loaded.config, engine, vad)
            del engine, first
            self._prepare(self.worker)
            self.second = SecondModel(self.events, self._prepare, cache=paths.cache_dir())
            stack.push_async_callback(self.second.close)
            self.health = Health(self.worker, self.source, tend=self.second.look)
            # What the sound does is told at once, not at the next look.
            stack.callback(
                self.events.subscribe(lambda event: self.health.look() if event.stage == "capture" else None)
            )
            await self._open_ways_in(socket, stack)
            await self._open_metrics(stack)
            by_hand = None if self._source_name == "-" else sys.stdin
            catch_signals(self, self.events, self._stop, stack, keys=by_hand)
            self.events.emit("box", "started", timings={"start_ms": (time.monotonic() - began_s) * 1000})
            read_twice(self.core, self.hearing, self.second)
            notify(f"READY=1\nSTATUS={self.health.state}")
            code = await self._live()
            notify("STOPPING=1\nSTATUS=stopping")
            self.events.emit("box", "stopping")
        return code

    async def _begin_with(self, first: First) -> Loaded:
        """With another model than the one that is wanted, where that cannot be loaded: told, and tried again when the
        configuration is read anew."""
        loaded = self._loaded
        if first.problem is None:
            self.in_use = InUse(first.config)
            return loaded
        self.in_use = InUse(first.config, wanted=loaded.config)
        self.events.notice(first.problem)
        self._loaded = loaded._replace(config=first.config)
        await self.core.reload(self._loaded)
        return self._loaded

    def _hearing_of(self, config: Config, engine: Engine, vad: SileroVad) -> Hearing:
        return Hearing(
            Ear(config.audio, vad, streamed=engine.capabilities.streaming),
            self.worker,
            self.core.attention,
            self.events,
            engine=engine.name,
            language=config.language,
            other_languages=config.languages[1:],
            partials=config.asr.partials,
            streamed=engine.capabilities.streaming,
        )

    def _prepare(self, worker: InferenceThread) -> None:
        """Have the sentences and the owner's names ready before somebody says one."""
        mind = self.core.attention.talk.mind
        worker.use_hotwords(mind.hotwords)
        every = [tongue.understander.spoken for tongue in mind.tongues if tongue.heard]
        worker.prepare(*(Sentences(spoken.grammar, tuple(spoken.active({}))) for spoken in every))

    async def _open_ways_in(self, path: Path, stack: contextlib.AsyncExitStack) -> None:
        """For commands, and for paired devices."""
        devices = open_devices(self.core.journal)
        self.entrance = Entrance(self._loaded.config, self.events, devices)
        self.core.conversation.letting_in = self.entrance.invite_by_voice
        known = (self.core, devices, self, self.entrance, self.mute)
        await self._open_socket(path, methods(*known), stack)
        from_page = methods(*known, "page")
        unpaired = PairingHandlers(self.core, devices, self.entrance, self.mute).open_table()
        stack.push_async_callback(self.entrance.close)
        # Beside the rest: the first start makes a certificate, and the ears need not wait for that.
        table = guarded(from_page, devices, self.events) | unpaired
        opening = asyncio.create_task(self._open_entrance(table), name="entrance")
        stack.callback(opening.cancel)

    async def _open_entrance(self, table: dict[str, Handler]) -> None:
        await self.entrance.open(table)
        if self._greet is not None and self.entrance.awaits_first:
            self._greet(self.entrance.offer("owner"))

    async def _open_socket(self, path: Path, table: dict[str, Handler], stack: contextlib.AsyncExitStack) -> None:
        server = ControlServer(path, table)
        try:
            await stack.enter_async_context(server)
        except (ControlError, StorageError) as error:
            if error.code == "already_running":
                raise
            # A box that nobody can ask still hears and acts.
            self.events.notice(Notice(code=error.code, what=error.what, todo=error.todo, level="error"))

    async def _open_metrics(self, stack: contextlib.AsyncExitStack) -> None:
        listen = self._loaded.config.metrics.listen
        if not listen:
            return
        from agentbox.daemon.metrics import rendered, serve  # a tenth of a second, and only for who wants it

        try:
            await stack.enter_async_context(serve(listen, lambda: rendered(self.figures, self._gauges)))
        except ControlError as error:
            self.events.notice(Notice(code=error.code, what=error.what, todo=error.todo, level="error"))

    def _gauges(self) -> dict[str, float | None]:
        return {
            "up_seconds": self.figures.up_s,
            "healthy": float(self.health.problem() is None),
            "listening": float(self.source.device is not None),
            "queue": float(self.worker.behind),
            "level_dbfs": None if self.mute.muted else self.hearing.level_dbfs,
            "memory_bytes": memory_bytes(),
            "utterances_last_hour": float(self.figures.utterances_last_hour),
        }

    async def _live(self) -> int:
        """Until told to stop, or the sound has ended and nothing is left to do."""
        feeding = asyncio.create_task(self.source.feed(self.hearing), name="source")
        turning = asyncio.create_task(self._take_turns(), name="turns")
        sweeping = asyncio.create_task(self._sweep(), name="sweep")
        watching = asyncio.create_task(self.health.watch(), name="health")
        updating = asyncio.create_task(Updates(self.core).run(), name="updates")
        stopping = asyncio.create_task(self._stop.wait(), name="stop")
        try:
            await asyncio.wait({feeding, turning, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if feeding.done() and not self._stop.is_set():
                feeding.result()
                if self._exit_when_done:
                    self.hearing.turns.put_nowait(None)
                await asyncio.wait({turning, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if turning.done():
                turning.result()
        except AgentboxError as error:
            self.events.notice(Notice(code=error.code, what=error.what, todo=error.todo, level="error"))
            return int(error.exit_code)
        finally:
            tasks = (feeding, turning, sweeping, watching, updating, stopping)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return int(self._code)

    async def _take_turns(self) -> None:
        """Each utterance in the order it was spoken."""
        while (coming := await self.hearing.turns.get()) is not None:
            await self._take_turn(coming)

    async def _take_turn(self, coming: Awaitable[Heard]) -> None:
        try:
            heard = await coming
        except AgentboxError as error:
            # The model could not decode it.
            _log.warning("an utterance could not be decoded [%s]", error.code)
            return
        async with self.core.turn_lock:
            await self.core.turns.heard(heard)

    async def _sweep(self) -> None:
        while True:
            await asyncio.to_thread(self.core.journal.sweep, time.time(), time.monotonic())
            await asyncio.sleep(SWEEP_EVERY_S)

    def press(self) -> None:
        """Listen to the next utterance without a wake phrase (key, SIGUSR1, `agentbox listen`).

        Raises `ControlError` `muted`.
        """
        if self.mute.muted:
            raise ControlError("muted", "The box is muted: it hears nothing.", "agentbox unmute opens the microphone.")
        self.core.activation.press(time.monotonic(), PRESS_S)
        self.events.emit("activation", "pressed")

    def status(self) -> dict[str, JSON]:
        error = self.figures.last_error
        return {
            "sound": self.source.state,
            "microphone": self.source.device,
            "echo": self._echo,
            "muted": self.mute.muted,
            "muted_until": self.mute.until,
            "level_dbfs": None if self.mute.muted else round(self.hearing.level_dbfs, 1),
            "speaking": self.hearing.speaking,
            "cloud_uses": self.figures.cloud_uses,
            "inference": self.worker.alive(),
            **self.second.status(),
            "queue": self.worker.behind,
            "healthy": self.health.problem() is None,
            "up_s": round(self.figures.up_s, 1),
            "utterances_last_hour": self.figures.utterances_last_hour,
            "memory_mb": None if (memory := memory_bytes()) is None else round(memory / 1e6, 1),
            "last_error": error.code if error is not None else None,
        }

    async def reload(self, *, model_anew: bool = False) -> None:
        """Read the configuration anew. A mistake in it changes nothing: raises `ConfigError`, and `ModelError` where
        another speech model cannot be used. `model_anew`: load the model also where its name stays."""
        async with self._reloading:
            loaded = await asyncio.to_thread(settings.load, self._loaded.file)
            await self._take_over(loaded, await self.in_use.change(loaded.config, anew=model_anew))

    async def _take_over(self, loaded: Loaded, found: Change) -> None:
        notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            config, later = counting(loaded.config, self._loaded.config, found.asr)
            await self.core.reload(loaded._replace(config=config))
            if isinstance(self.source, MicrophoneSource):
                self.source.use(config.audio)
            if found.engine is not None:
                self.worker.use(found.engine)
                self.events.emit("box", "model_changed", timings={"load_ms": found.load_ms})
            self.in_use.taken(found, config)
            self.hearing.pace(partials=config.asr.partials, streamed=self.worker.listener.streams)
            self._prepare(self.worker)
            self.second.use(config)
            await self.entrance.configure(config)
        finally:
            notify("READY=1")
        if found.problem is not None:
            self.events.notice(found.problem)
        elif later:
            what, todo = f"Changes of {', '.join(later)} count from the next start on.", "Restart agentbox."
            self.events.notice(Notice(code="restart_needed", what=what, todo=todo, level="info"))

    def restart(self) -> None:
        """End soon with `ExitCode.RESTART`: the service manager, or `agentbox run` itself, begins anew."""
        self._code = ExitCode.RESTART
        asyncio.get_running_loop().call_later(RESTART_S, self._stop.set)

    def last_log(self, limit: int) -> JSON:
        return self._last_log.lines(limit)


def _load_models(config: Config) -> tuple[First, SileroVad]:
    return load_first(config), load_vad(config)


def load_vad(config: Config) -> SileroVad:
    """The voice-activity model, fetched if it is not there. Raises `ModelError` as `load_engine` does."""
    model = Catalogue.load().get(VAD_MODEL)
    folder = ensure(model, paths.models_dir(config))
    return SileroVad(folder / next(iter(model.files)))
