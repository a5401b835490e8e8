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
from agentbox.daemon.cloud_answer import LEAST_S, CloudAnswer, recognised
from agentbox.daemon.egress import Meter
from agentbox.daemon.events import Events
from agentbox.daemon.handover import Handover, Host, Written
from agentbox.daemon.manner import is_quiet
from agentbox.daemon.speaking import Speaking
from agentbox.daemon.underway import Underway
from agentbox.messages import JSON, Activation, Notice, StageEvent
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
        self._calling: asyncio.Task[None] | None = None
        """A session is being set up for a turn that is not over yet."""
        self._answered_s = float("-inf")
        """When the last turn was answered by one of them."""
        self._deafen: Callable[[], None] = lambda: None
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
        """Whether there is anybody who answers, and does not only write down or speak."""
        return any(backend.answers for backend in self.backends)

    def use(self, name: str) -> None:
        """Ask this backend first; `local`: none. A name that is none of them changes nothing."""
        self._chosen = name
        self.backends.sort(key=lambda backend: backend.name != name)
        if name == LOCAL:
            if self._calling is not None:
                self._calling.cancel()
            for backend in self.backends:
                backend.abandon()
        else:
            self.reset()

    def usable(self) -> list[Backend]:
        """Those that a turn may be given to now, in the owner's order."""
        return [backend for backend in self.backends if backend.health.is_usable] if self.is_on else []

    def start(self) -> None:
        """Watch the network, and whether the gate opens. In the event loop."""
        self._network.start()
        self._deafen = self._events.subscribe(self._foresee)

    async def take(self, turn: Handover, host: Host, local: Callable[[], Awaitable[None]]) -> bool:
        """Hand the turn over. True: its answer is on its way, or was given. False: nobody took it.

        `local` answers the turn without the cloud; it is called, once at most, when an answer fails after its first
        sound, and never after something with effects was done for this turn.
        """
        await self._underway.settle()
        if self._calling is not None:
            await asyncio.wait([self._calling], timeout=turn.left_s(self._monotonic()))
        self.tend()  # nobody looked for those that are down while nobody might be asked
        dialogs = [backend for backend in self.usable() if backend.answers]
        for place, backend in enumerate(dialogs):
            now = self._monotonic()
            if not turn.left_s(now) or (place and now - turn.speech_ended_s > ALL_S):
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
            now = self._monotonic()
            if not backend.recognises or not turn.left_s(now) or now - turn.speech_ended_s > ALL_S:
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
                link = await backend.ready(self._connect_s(turn))
                use = backend.use("turn", turn_id=turn.id, link=link)
                try:
                    within_s = min(RECOGNISE_S, max(LEAST_S, turn.answer_by_s - self._monotonic()))
                    text = await recognised(link, turn.pcm, within_s)
                    use.end()
                except CloudError as error:
                    use.end(error.code)
                    raise
                finally:
                    use.end("cancelled")
            except CloudError as error:
                self.failed(backend, error)
                if self.hung_up(backend, error, reused) and turn.left_s(self._monotonic()):
                    continue
                return ""
            finally:
                backend.users -= 1
            backend.health.answered()
            self.tend()
            return text

    def _foresee(self, event: StageEvent) -> None:
        """A sink of stage events. Once the gate is open, whoever will most likely be asked is called up while the owner
        still speaks: a handshake takes as long as a sentence's end. Nothing is said to them before the turn is over."""
        if event.stage != "activation":
            return
        opened = event.message
        called = isinstance(opened, Activation) and opened.phrase is not None and not opened.command
        talks = self._monotonic() - self._answered_s <= self._config.linger_s
        if not (event.state in ("noticed", "pressed") or called) or not (self.policy == "cloud_first" or talks):
            return
        backend = next((one for one in self.usable() if one.answers), None)
        stands = backend is None or backend.users or (backend.link is not None and backend.link.is_fresh())
        if backend is not None and not stands and (self._calling is None or self._calling.done()):
            self._calling = asyncio.create_task(self._call(backend), name="cloud-call")

    async def _call(self, backend: Backend) -> None:
        try:
            await backend.ready(CONNECT_S)
        except CloudError as error:
            self.failed(backend, error)
        self.tend()  # where the turn stays in the box, nobody stays on the line

    def _connect_s(self, turn: Handover) -> float:
        """How long a session may take to stand: an answer must be possible after it."""
        return min(CONNECT_S, max(LEAST_S, turn.answer_by_s - LEAST_S - self._monotonic()))

    def hung_up(self, backend: Backend, error: CloudError, reused: bool) -> bool:
        """Whether the service had only hung up meanwhile: that says nothing about it, and a new connection may do."""
        return reused and error.failure.kind is Kind.RETRY_NOW and backend.health.is_usable

    def reset(self) -> None:
        """The network has changed, or the owner says that something was mended: try all again."""
        for backend in self.backends:
            backend.health.network_changed(self._monotonic())
        self.tend()

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
        self._deafen()
        self._deafen = lambda: None
        await self._underway.close()
        for task in (self._tending, self._calling):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        await asyncio.gather(*(backend.close() for backend in self.backends))

    async def _begin(self, backend: Backend, turn: Handover, host: Host) -> tuple[CloudAnswer, CloudError | None]:
        """Until the first output of the answer; what went wrong, if anything did."""
        while True:
            answer = CloudAnswer(turn, host, self._speaking, self._underway.running, monotonic=self._monotonic)
            reused = backend.link is not None
            began_s = self._monotonic()
            backend.users += 1
            try:
                link = await backend.ready(self._connect_s(turn))
                await answer.begin(link, backend.use("turn", turn_id=turn.id, link=link))
            except CloudError as error:
                backend.users -= 1
                answer.give_up(error.code)
                self.failed(backend, error)
                again = self.hung_up(backend, error, reused) and turn.left_s(self._monotonic())
                if again and not answer.deeds.results:
                    continue
                return answer, error
            except asyncio.CancelledError:
                backend.users -= 1
                answer.conclude()
                raise
            break
        backend.health.answered()
        self._answered_s = self._monotonic()
        timings = {
            "since_speech_end_ms": (self._monotonic() - turn.speech_ended_s) * 1000,
            "taken_ms": (self._monotonic() - began_s) * 1000,
        }
        self._events.emit("cloud", "answered", utterance_id=turn.id, timings=timings)
        self.tend()
        return answer, None

    async def _go_on(
        self, backend: Backend, answer: CloudAnswer, local: Callable[[], Awaitable[None]], *, waited_for: bool
    ) -> None:
        try:
            await answer.go_on()
            if answer.is_endless:
                # It may go on all the same: only a service that is hung up on says no more. That is no fault of the
                # next answer's.
                self._events.emit("cloud", "cloud_endless")
                backend.abandon()
        except CloudError as error:
            answer.give_up(error.code)
            self.failed(backend, error)
            cut_off = await answer.heard_out()
            if waited_for:
                await answer.rescue(error, local, cut_off=cut_off)
            else:
                async with self._underway.between_turns():
                    await answer.rescue(error, local, cut_off=cut_off)
        finally:
            backend.users -= 1
            answer.conclude()

    def failed(self, backend: Backend, error: CloudError) -> None:
        """It is not used for a while, or not before the owner has changed something."""
        failed = error.failure
        news = backend.health.failed(failed, self._monotonic())
        self._events.emit("cloud", failed.code)
        if failed.kind is not Kind.FATAL_INPUT:
            # A session in which something is amiss may answer the next turn with what was meant for this one.
            backend.abandon()
        if news and failed.kind is Kind.FATAL_CONFIG:
            what = f"{backend.name} cannot be used: {failed.what}"
            self._events.notice(Notice(code=failed.code, what=what, todo=failed.todo))
        self.tend()

    def tend(self) -> None:
        """See after the backends for as long as there is something to see after."""
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
            self.failed(backend, error)
        else:
            self._events.emit("cloud", "back")
