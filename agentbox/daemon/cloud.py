"""The switch: which turns go to a cloud model, to which one, and back to the box when it fails.

It is only there where the owner's policy is not `local_only`. Backends are used in the owner's order; one that fails is
left alone until a probe finds it back, or the owner has mended what it complains of.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Literal

from agentbox.config import LOCAL, CloudConfig
from agentbox.daemon.backend import Backend
from agentbox.daemon.cloud_answer import CloudAnswer, recognised
from agentbox.daemon.egress import Meter
from agentbox.daemon.events import Events
from agentbox.daemon.handover import Handover, Host, Written
from agentbox.daemon.manner import is_quiet
from agentbox.daemon.speaking import Speaking
from agentbox.daemon.underway import Underway
from agentbox.messages import JSON, Notice
from agentbox.realtime.failures import CloudError, Kind
from agentbox.realtime.health import State
from agentbox.realtime.link import Link
from agentbox.realtime.network import NetworkWatch

ALL_S = 2.0
"""So long after the owner's last word another backend may still be tried; then the box answers."""

CONNECT_S = 1.5
RECOGNISE_S = 3.0
PROBE_S = 5.0
TEND_S = 1.0

Policy = Literal["local_first", "cloud_first"]


class Cloud:
    """`take` a turn; `close` at the end. All in the event loop.

    `underway`: the answer that is being said, whoever gives it.
    """

    def __init__(
        self,
        config: CloudConfig,
        backends: Sequence[Backend],
        meter: Meter,
        events: Events,
        speaking: Speaking | None,
        underway: Underway,
        *,
        clock: Callable[[], datetime] = datetime.now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.backends = list(backends)
        self._chosen = config.use
        self._config = config
        self._meter = meter
        self._events = events
        self._speaking = speaking
        self._clock = clock
        self._monotonic = monotonic
        self._underway = underway
        self._tending: asyncio.Task[None] | None = None
        self._network = NetworkWatch(self.reset)
        self.policy: Policy = "cloud_first" if config.policy == "cloud_first" else "local_first"
        """What becomes of a command that the box knows itself."""

    @property
    def is_on(self) -> bool:
        """Whether anybody may be asked now: the owner wants it, and now, and the day's budget is not spent."""
        quiet = is_quiet(self._config.quiet_hours, self._clock().time())
        return self._chosen != LOCAL and not quiet and self._meter.is_left

    @property
    def answers(self) -> bool:
        """Whether there is anybody who answers, and does not only write down."""
        return any(not backend.recognises for backend in self.backends)

    def use(self, name: str) -> None:
        """Ask this backend first; `local`: none. A name that is none of them changes nothing."""
        self._chosen = name
        self.backends.sort(key=lambda backend: backend.name != name)
        if name == LOCAL:
            for backend in self.backends:
                backend.abandon()
        else:
            self.reset()

    def usable(self) -> list[Backend]:
        """Those that a turn may be given to now, in the owner's order."""
        return [backend for backend in self.backends if backend.health.is_usable] if self.is_on else []

    def start(self) -> None:
        """Watch the network. In the event loop."""
        self._network.start()

    async def take(self, turn: Handover, host: Host, local: Callable[[], Awaitable[None]]) -> bool:
        """Hand the turn over. True: its answer is on its way, or was given. False: nobody took it.

        `local` answers the turn without the cloud; it is called, once at most, when an answer fails after its first
        sound, and never after something with effects was done for this turn.
        """
        await self._underway.settle()
        self._tend()  # nobody looked for those that are down while nobody might be asked
        dialogs = [backend for backend in self.usable() if not backend.recognises]
        for place, backend in enumerate(dialogs):
            late = self._monotonic() - turn.speech_ended_s > ALL_S
            if place and late:
                break
            answer, failed = await self._begin(backend, turn, host)
            if failed is None:
                going_on = self._go_on(backend, answer, local, waited_for=not turn.spoken)
                if turn.spoken:
                    self._underway.start(going_on, "cloud-answer")
                else:
                    await going_on  # whoever typed waits for the whole
                return True
            if answer.deeds.results:
                await answer.rescue(failed, local)
                return True
            if failed.code == "cloud_input":
                break  # another vendor would be sent what this one found improper
        return False

    async def recognise(self, turn: Handover) -> Written | None:
        """What a recogniser makes of the turn's sound; null where nobody does."""
        for backend in self.usable() if turn.pcm else ():
            if not backend.recognises or self._monotonic() - turn.speech_ended_s > ALL_S:
                continue
            text = await self._written(backend, turn)
            if text:
                return Written(f"{backend.name}:{backend.model}", text)
        return None

    async def _written(self, backend: Backend, turn: Handover) -> str:
        """Empty where it failed, or nothing was heard."""
        while True:
            reused = backend.link is not None
            backend.users += 1
            try:
                link = await backend.ready(CONNECT_S)
                use = backend.use("turn", turn_id=turn.id, link=link)
                try:
                    text = await recognised(link, turn.pcm, RECOGNISE_S)
                    use.end()
                except CloudError as error:
                    use.end(error.code)
                    raise
                finally:
                    use.end("cancelled")
            except CloudError as error:
                self._failed(backend, error)
                if self._hung_up(backend, error, reused):
                    continue
                return ""
            finally:
                backend.users -= 1
            backend.health.answered()
            self._tend()
            return text

    def _hung_up(self, backend: Backend, error: CloudError, reused: bool) -> bool:
        """Whether the service had only hung up meanwhile: that says nothing about it, and a new connection may do."""
        return reused and error.failure.kind is Kind.RETRY_NOW and backend.health.is_usable

    def reset(self) -> None:
        """The network has changed, or the owner says that something was mended: try all again."""
        for backend in self.backends:
            backend.health.network_changed(self._monotonic())
        self._tend()

    def status(self) -> list[dict[str, JSON]]:
        """For `agentbox status` and `agentbox backends list`."""
        return [
            {
                "name": backend.name,
                "kind": backend.settings.kind,
                "model": backend.model,
                "state": str(backend.health.state),
                "problem": backend.health.failure.code if backend.health.failure is not None else None,
                "connected": backend.link is not None and backend.link.broken is None,
            }
            for backend in self.backends
        ]

    async def close(self) -> None:
        """Say goodbye to everybody."""
        self._network.close()
        await self._underway.close()
        if self._tending is not None:
            self._tending.cancel()
            await asyncio.gather(self._tending, return_exceptions=True)
        await asyncio.gather(*(backend.close() for backend in self.backends))

    async def _begin(self, backend: Backend, turn: Handover, host: Host) -> tuple[CloudAnswer, CloudError | None]:
        """Until the first output of the answer; what went wrong, if anything did."""
        while True:
            answer = CloudAnswer(turn, host, self._speaking, self._underway.running, monotonic=self._monotonic)
            reused = backend.link is not None
            began_s = self._monotonic()
            backend.users += 1
            try:
                link = await backend.ready(CONNECT_S)
                await answer.begin(link, backend.use("turn", turn_id=turn.id, link=link))
            except CloudError as error:
                backend.users -= 1
                answer.give_up(error.code)
                self._failed(backend, error)
                if self._hung_up(backend, error, reused) and not answer.deeds.results:
                    continue
                return answer, error
            except asyncio.CancelledError:
                backend.users -= 1
                answer.conclude()
                raise
            break
        backend.health.answered()
        timings = {
            "since_speech_end_ms": (self._monotonic() - turn.speech_ended_s) * 1000,
            "taken_ms": (self._monotonic() - began_s) * 1000,
        }
        self._events.emit("cloud", "answered", utterance_id=turn.id, timings=timings)
        self._tend()
        return answer, None

    async def _go_on(
        self, backend: Backend, answer: CloudAnswer, local: Callable[[], Awaitable[None]], *, waited_for: bool
    ) -> None:
        try:
            await answer.go_on()
        except CloudError as error:
            self._failed(backend, error)
            cut_off = await answer.heard_out()
            if waited_for:
                await answer.rescue(error, local, cut_off=cut_off)
            else:
                async with self._underway.between_turns():
                    await answer.rescue(error, local, cut_off=cut_off)
        finally:
            backend.users -= 1
            answer.conclude()

    def _failed(self, backend: Backend, error: CloudError) -> None:
        failed = error.failure
        news = backend.health.failed(failed, self._monotonic())
        self._events.emit("cloud", failed.code)
        if failed.kind is not Kind.FATAL_INPUT:
            # A session in which something is amiss may answer the next turn with what was meant for this one.
            backend.abandon()
        if news and failed.kind is Kind.FATAL_CONFIG:
            what = f"{backend.name} cannot be used: {failed.what}"
            self._events.notice(Notice(code=failed.code, what=what, todo=failed.todo))
        self._tend()

    def _tend(self) -> None:
        if self._tending is None or self._tending.done():
            self._tending = asyncio.create_task(self._tend_all(), name="cloud-tend")

    async def _tend_all(self) -> None:
        """Hang up where nothing is said any more, and look for those that are down, until there is nothing to do."""
        while any(
            backend.link is not None or (self.is_on and backend.health.state is State.DOWN) for backend in self.backends
        ):
            await asyncio.sleep(TEND_S)
            now = self._monotonic()
            for backend in self.backends:
                link = backend.link
                if link is not None and not backend.users and self._is_over(link, now):
                    backend.abandon()
                if self.is_on and backend.health.may_probe(now):
                    await self._probe(backend)

    def _is_over(self, link: Link, now: float) -> bool:
        """Whether the talk over a link has ended, or its vendor is about to end it."""
        return not link.is_fresh() or now - link.used_s > self._config.linger_s

    async def _probe(self, backend: Backend) -> None:
        try:
            await backend.probe(PROBE_S)
        except CloudError as error:
            self._failed(backend, error)
        else:
            self._events.emit("cloud", "back")
