"""Keeps what a tool does wrong from costing more than one call.

The box's own tools run on its event loop. A third-party module gets a thread with an event loop of its own, so that
its code may block; one that never comes back is abandoned: the thread cannot be killed, so it is left behind (and
counted by the runner), and the module's next call gets a new one.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import sys
import threading
import traceback
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from contextvars import Context, ContextVar, copy_context
from typing import Any, Generic, Protocol, TextIO, TypeVar

from agentbox.errors import AgentboxError
from agentbox.messages import JSON
from agentbox.tools.context import ConfirmationNeededError
from agentbox.tools.store import Store

T = TypeVar("T")

GRACE_S = 1.0
"""How long a tool that was cancelled for being late may take to clean up."""

_inside_plugin = ContextVar("_inside_plugin", default=False)


class PluginError(Exception):
    """Tool code failed in a way it did not foresee.

    Names the exception's class and the line; its message is left out, since it may hold the owner's words.
    """


class HungError(Exception):
    """A tool blocks its thread and was abandoned."""


@contextmanager
def contained(kinds: type[BaseException] = Exception) -> Iterator[None]:
    """The boundary to tool code: whatever it raises leaves here as `PluginError`.

    What is meant to be heard (`AgentboxError`, `ConfirmationNeededError`) passes, and so does being cancelled.
    `kinds`: in a plugin's own thread even `SystemExit` and its like are the plugin's doing, and caught.
    """
    try:
        yield
    except (AgentboxError, ConfirmationNeededError, asyncio.CancelledError, GeneratorExit):
        raise
    # The one place where anything at all is caught: code that is not ours may raise what it likes.
    except kinds as error:
        frames = traceback.extract_tb(error.__traceback__)
        place = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
        raise PluginError(f"{type(error).__name__}{place}") from None


class Host(Protocol):
    """Where a module's code runs."""

    async def run(self, coroutine: Coroutine[Any, Any, T], timeout_s: float | None = None) -> T:
        """Raises `TimeoutError`, `HungError`, and what `contained` lets through."""

    def post(self, function: Callable[[], object]) -> None:
        """Call `function` there soon."""

    def close(self) -> None: ...


class LoopHost:
    """The box's own event loop."""

    async def run(self, coroutine: Coroutine[Any, Any, T], timeout_s: float | None = None) -> T:
        async with asyncio.timeout(timeout_s):
            with contained():
                return await coroutine

    def post(self, function: Callable[[], object]) -> None:
        function()

    def close(self) -> None:
        pass


class ThreadHost:
    """An event loop in a thread of its own. `abandoned` counts the threads that hung and were left behind."""

    def __init__(self, name: str, grace_s: float = GRACE_S) -> None:
        self.abandoned = 0
        self._name = name
        self._grace_s = grace_s
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._calls: set[_Call[Any]] = set()
        self._context = copy_context()
        self._context.run(_inside_plugin.set, True)

    async def run(self, coroutine: Coroutine[Any, Any, T], timeout_s: float | None = None) -> T:
        loop = self._running_loop()
        call = _Call(coroutine, loop, self._context.copy())
        self._calls.add(call)
        answer = asyncio.wrap_future(call.finished)
        loop.call_soon_threadsafe(call.start)
        try:
            await asyncio.wait([answer], timeout=timeout_s)
            late = not answer.done()
            if late:
                _tell(loop, call.cancel)
                await asyncio.wait([answer], timeout=self._grace_s)
                if not answer.done():
                    self._abandon(loop)
            return answer.result() if answer.done() else await answer
        except _CancelledError:
            raise (TimeoutError() if late else PluginError("the tool cancelled itself")) from None
        except asyncio.CancelledError:
            answer.cancel()
            _tell(loop, call.cancel)
            raise
        finally:
            self._calls.discard(call)

    def post(self, function: Callable[[], object]) -> None:
        def call() -> None:
            with contained(BaseException):
                function()

        self._running_loop().call_soon_threadsafe(call, context=self._context.copy())

    def close(self) -> None:
        loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is not None and thread is not None and thread.is_alive():
            _tell(loop, loop.stop)
            thread.join(timeout=self._grace_s)

    def _abandon(self, loop: asyncio.AbstractEventLoop) -> None:
        """Leave the thread behind, and tell all who wait for it. Should it ever come back, its loop ends."""
        if loop is self._loop:
            self.abandoned += 1
            self._loop = self._thread = None
            _tell(loop, loop.stop)
        for call in self._calls:
            if call.loop is loop:
                call.give_up()

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None or self._thread is None or not self._thread.is_alive():
            self._loop = asyncio.new_event_loop()
            # A daemon thread: one that hangs must not keep the box from ending.
            self._thread = threading.Thread(target=_live, args=(self._loop,), name=f"plugin-{self._name}", daemon=True)
            self._thread.start()
        return self._loop


class _CancelledError(Exception):
    """A task in a plugin's thread ended by being cancelled."""


class _Call(Generic[T]):
    """One coroutine on its way through a plugin's thread. All but `give_up` is called there."""

    def __init__(self, coroutine: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop, context: Context) -> None:
        self.loop = loop
        self.finished: concurrent.futures.Future[T] = concurrent.futures.Future()
        self._coroutine = coroutine
        self._context = context
        self._task: asyncio.Task[T] | None = None
        self.finished.set_running_or_notify_cancel()

    def start(self) -> None:
        self._task = self.loop.create_task(self._contained(), context=self._context)
        self._task.add_done_callback(self._end)

    def cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def give_up(self) -> None:
        """Its thread hangs (called from outside of it)."""
        if self._task is None:
            self._coroutine.close()
        with suppress(concurrent.futures.InvalidStateError):
            self.finished.set_exception(HungError())

    async def _contained(self) -> T:
        with contained(BaseException):
            return await self._coroutine

    def _end(self, task: asyncio.Task[T]) -> None:
        # The other side may have given up on it in this very moment.
        with suppress(concurrent.futures.InvalidStateError):
            if task.cancelled():
                self.finished.set_exception(_CancelledError())
            elif (error := task.exception()) is not None:
                # A GeneratorExit passes `contained`; on this side it would not end a call but the box.
                known = error if isinstance(error, Exception) else PluginError(type(error).__name__)
                self.finished.set_exception(known)
            else:
                self.finished.set_result(task.result())


def _tell(loop: asyncio.AbstractEventLoop, function: Callable[[], object]) -> None:
    """Call `function` on another thread's loop; if that has ended, there is nobody left to tell."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(function)


def _live(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        loop.run_until_complete(_end_tasks())
    finally:
        loop.close()


async def _end_tasks() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class LoopStore:
    """A module's store as seen from the module's own thread: each call is made on the box's loop."""

    def __init__(self, store: Store, loop: asyncio.AbstractEventLoop, timeout_s: float = 10.0) -> None:
        self._store = store
        self._loop = loop
        self._timeout_s = timeout_s

    def get(self, key: str) -> JSON | None:
        return self._call(lambda: self._store.get(key))

    def put(self, key: str, value: JSON) -> None:
        self._call(lambda: self._store.put(key, value))

    def delete(self, key: str) -> None:
        self._call(lambda: self._store.delete(key))

    def items(self) -> dict[str, JSON]:
        return self._call(self._store.items)

    def _call(self, function: Callable[[], T]) -> T:
        return call_on(self._loop, function, self._timeout_s)


def call_on(loop: asyncio.AbstractEventLoop, function: Callable[[], T], timeout_s: float = 10.0) -> T:
    """Call `function` on `loop` from another thread and wait for what it returns."""

    async def call() -> T:
        return function()

    return asyncio.run_coroutine_threadsafe(call(), loop).result(timeout_s)


class PluginOutput:
    """Stands in for `sys.stdout`: what plugins print goes nowhere, so that it cannot end up between the box's own
    lines (`--json` promises one object a line). What a plugin has to say to its author belongs into `logging`."""

    def __init__(self, real: TextIO | None) -> None:
        self._real = real  # null where the box was started without a standard output
        self._nowhere = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - closed by `remove`

    def __getattr__(self, name: str) -> Any:
        dropped = _inside_plugin.get() and not self._nowhere.closed
        return getattr(self._nowhere if dropped or self._real is None else self._real, name)

    @classmethod
    def install(cls) -> PluginOutput:
        output = cls(sys.stdout)
        sys.stdout = output
        return output

    def remove(self) -> None:
        if sys.stdout is self:
            sys.stdout = self._real
        self._nowhere.close()


def import_apart(load: Callable[[], T], timeout_s: float) -> T:
    """What `load` returns, called in a thread: an import that hangs is left behind, and what it prints is dropped.

    Raises `TimeoutError`, `PluginError`, and what `contained` lets through.
    """
    answer: concurrent.futures.Future[T] = concurrent.futures.Future()

    def work() -> None:
        _inside_plugin.set(True)
        try:
            with contained(BaseException):
                answer.set_result(load())
        except (PluginError, AgentboxError) as error:
            answer.set_exception(error)

    output = PluginOutput.install()
    try:
        threading.Thread(target=work, name="plugin-import", daemon=True).start()
        return answer.result(timeout_s)
    finally:
        output.remove()
