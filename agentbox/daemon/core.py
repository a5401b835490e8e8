"""The box without its ears: journal, mind and turns. The daemon adds sound to it; a command with no daemon uses it
as it is."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from agentbox import choices, paths
from agentbox.audio.echo import Echo
from agentbox.audio.output import Output
from agentbox.config import Config
from agentbox.daemon.activation import Activation
from agentbox.daemon.attention import Attention, Talk
from agentbox.daemon.conversation import Conversation
from agentbox.daemon.events import Events
from agentbox.daemon.interruption import Interruption
from agentbox.daemon.mind import Mind, Tongue, open_mind
from agentbox.daemon.questions import Questions
from agentbox.daemon.speaking import Speaking
from agentbox.daemon.turn import Turns
from agentbox.intents.followups import FollowUps
from agentbox.messages import JSON, Caller, Notice, Reply, StageEvent, ToolResult
from agentbox.settings import Loaded
from agentbox.storage.journal import Journal
from agentbox.tools.policy import Confirmations

if TYPE_CHECKING:
    from agentbox.daemon.cloud import Cloud
    from agentbox.daemon.making_cloud import Models

T = TypeVar("T")

READ_S = 5.0
"""How long who reads the journal waits for what was said just now to be in it."""

STOP_S = 1.0
"""So long after its last word "stop" still means what the box says."""

SETTLE_S = 2.0
"""How long a call with effects waits for its row to be on disk before it goes ahead all the same: a full disk must
not silence the box, and the owner is told by a notice."""


class Core:
    """Made by `open_core`. One turn at a time: `heard`, `ask` and `call` wait for each other."""

    def __init__(
        self, loaded: Loaded, events: Events, journal: Journal, *, services: bool, echo: Echo | None = None
    ) -> None:
        config = loaded.config
        self._services = services
        self.loaded = loaded
        self.events = events
        self.journal = journal
        self.notices: dict[str, Notice] = {}
        self.speaker: Output | None = None
        self.speaking: Speaking | None = None
        if services:
            heard = echo.played if echo is not None else None
            self.speaker = Output(config.audio.output_device, self._from_thread, on_block=heard)
            self.speaking = Speaking(config, self.speaker, events, cache=paths.cache_dir(), ended=self._said)
            events.subscribe(self.speaking)
            self.speaking.half_duplex = echo is not None and not echo.cancels
        self.conversation = Conversation(
            self.speaking.hush if self.speaking is not None else lambda: False, use_backend=self._use_backend
        )
        self.turn_lock = asyncio.Lock()
        self.models: Models | None = None
        """Those elsewhere."""
        self._loop = asyncio.get_running_loop()
        self._minds = contextlib.AsyncExitStack()
        self.attention: Attention
        self.turns: Turns
        events.subscribe(journal.record)
        events.subscribe(self._talks)
        events.subscribe(self._note)
        if self.speaking is not None and not self.speaking.half_duplex:
            events.subscribe(Interruption(self.speaking))

    @property
    def config(self) -> Config:
        return self.loaded.config

    async def start(self) -> None:
        """Load tools and sentences."""
        self.attention = Attention(await self._talk(), self.speaking)
        self.turns = Turns(
            self.attention,
            self.events,
            self.conversation,
            durable=lambda: self.journal.settled(SETTLE_S),
            confide=self._confide,
        )
        await self._open_models()

    async def reload(self, loaded: Loaded) -> None:
        """Take over a new configuration: tools, sentences, policies and activation; between two turns."""
        async with self.turn_lock:
            self.loaded = loaded
            if self.speaking is not None:
                self.speaking.configure(loaded.config)
            if self.speaker is not None:
                self.speaker.use(loaded.config.audio.output_device)
            await self._close_models()
            await self._minds.aclose()
            self._minds = contextlib.AsyncExitStack()
            self.attention.talk = await self._talk(self._mind().tongues)
            await self._open_models()
        self.events.emit("box", "reloaded")

    async def ask(self, text: str, caller: Caller = "cli", guest: str = "") -> Reply | None:
        self._next_up()
        async with self.turn_lock:
            return await self.turns.asked(text, caller, guest)

    async def call(self, tool: str, arguments: dict[str, JSON], caller: Caller = "cli") -> ToolResult:
        self._next_up()
        async with self.turn_lock:
            return await self.turns.call(tool, arguments, caller)

    def _next_up(self) -> None:
        """Whoever comes next waits for no second reading."""
        if self.turns.second is not None:
            self.turns.second.give_up()

    async def read_journal(self, work: Callable[[], T]) -> T:
        """Ask the journal beside the loop, after everything said so far is in it. Raises `StorageError`."""
        await self.journal.settled(READ_S)
        return await asyncio.to_thread(work)

    async def close(self) -> None:
        """End the services, let the last sound out, and close the journal after its last row."""
        await self._close_models()
        await self._minds.aclose()
        if self.speaking is not None:
            await self.speaking.close()
        if self.speaker is not None:
            await asyncio.to_thread(self.speaker.close)
        await asyncio.to_thread(self.journal.close)

    async def _open_models(self) -> None:
        """Those elsewhere, where the owner wants them."""
        config = self.config
        if not config.cloud.is_wanted and config.brain.kind == "none":
            return
        # Here and not at the top: a box that talks to nobody need not know how.
        from agentbox.daemon.making_cloud import make_models

        made = (config, self.events, self.journal, self.speaking, self.turn_lock, self._mind)
        self._use_models(await asyncio.to_thread(make_models, *made))

    def _use_models(self, models: Models) -> None:
        self.models = models
        self.turns.cloud, self.turns.brain = models.cloud, models.brain
        if self.speaking is not None:
            self.speaking.elsewhere = models.voice
        for problem in models.problems:
            self.events.notice(problem)
        if models.cloud is not None:
            models.cloud.start()

    async def _close_models(self) -> None:
        models, self.models = self.models, None
        self.turns.cloud = self.turns.brain = None
        if self.speaking is not None:
            self.speaking.elsewhere = None
        if models is not None:
            await models.close()

    @property
    def cloud(self) -> Cloud | None:
        return self.models.cloud if self.models is not None else None

    def _mind(self) -> Mind:
        return self.attention.talk.mind

    def _confide(self, reply: Reply, words: str) -> None:
        if self.speaking is not None:
            self.speaking.confide(reply, words)

    def _use_backend(self, name: str) -> None:
        """By voice; remembered over restarts."""
        if self.cloud is not None:
            self.cloud.use(name)
        choices.remember("cloud.use", name)

    @property
    def activation(self) -> Activation:
        return self.attention.activation

    async def _talk(self, before: Sequence[Tongue] = ()) -> Talk:
        """A new one, of the configuration as it is now. `before`: see `open_mind`."""
        config = self.config
        stores, emit = self.journal.store, self._unasked
        mind = await self._minds.enter_async_context(
            open_mind(config, stores, emit, self.conversation, services=self._services, before=before)
        )
        settings = config.activation
        activation = Activation(
            settings.mode, config.phrases, settings.attention_s, settings.likeness, settings.sensitivity
        )
        activation.talking = self.speaking is not None and self.speaking.heard
        return Talk(
            mind,
            activation,
            FollowUps(config.intents.follow_up_s),
            Confirmations(config.tools.confirm_s),
            Questions(config.tools.confirm_s),
        )

    def _unasked(self, message: Reply | Notice) -> None:
        """What a tool says of its own accord."""
        if isinstance(message, Notice):
            self.events.notice(message)
        else:
            self.conversation.said(message)
            self.events.emit("reply", message.outcome, utterance_id=message.utterance_id, message=message)
            self.activation.alert(time.monotonic())

    def _from_thread(self, notice: Notice) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self.events.notice, notice)

    def _said(self, reply: Reply, whole: bool) -> None:
        """The answer to a question is listened for from when it was heard, and so is what the owner adds."""
        if reply.speak == "never":
            return  # whoever typed reads the answer
        if reply.outcome == "question":
            # It may have been answered before it was all said.
            if self.attention.is_asking:
                self.activation.attend(time.monotonic())
        elif reply.utterance_id and whole and self.config.activation.listen_after == "replies":
            self.activation.follow(time.monotonic())

    def _talks(self, event: StageEvent) -> None:
        """Whoever says "stop" to a voice says it a moment after its end as well."""
        if event.stage == "speaking" and event.state in ("started", "ended", "stopped"):
            self.activation.talking = event.state == "started"
            self.activation.alert(event.monotonic_s, STOP_S)

    def _note(self, event: StageEvent) -> None:
        """Keep the latest notice of each code, for `agentbox status`."""
        if isinstance(event.message, Notice):
            self.notices[event.message.code] = event.message


@contextlib.asynccontextmanager
async def open_core(loaded: Loaded, events: Events, *, services: bool, echo: Echo | None = None) -> AsyncIterator[Core]:
    """The core of one configuration, closed when the block ends.

    `echo`: where the microphone hears the speaker. `services`: the daemon's, which speaks, where timers ring, and which
    goes on where the disk cannot be written. Without, for one command, it raises `StorageError` then.
    """
    storage = loaded.config.storage
    early: list[Notice] = []
    tell: list[Callable[[Notice], None]] = [early.append]
    journal = await asyncio.to_thread(
        Journal.open,
        paths.database(loaded.config),
        keep_transcripts=storage.transcripts,
        keep_audio=storage.audio,
        retention_days=storage.retention_days,
        on_notice=lambda notice: tell[0](notice),
        or_in_memory=services,
    )
    core = Core(loaded, events, journal, services=services, echo=echo)
    tell[0] = core._from_thread
    for notice in early:
        events.notice(notice)
    try:
        await core.start()
        yield core
    finally:
        await core.close()
