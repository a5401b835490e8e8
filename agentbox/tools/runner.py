"""Runs tool calls. Whatever a tool does wrong ends here, as one failed result."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from types import TracebackType
from typing import Any, TypeVar

import msgspec

from agentbox import config
from agentbox.config import Persona
from agentbox.errors import AgentboxError, ToolError
from agentbox.messages import Notice, Reply, ToolCall, ToolResult, Undo
from agentbox.tools.context import (
    ConfirmationNeededError,
    Conversation,
    ModuleContext,
    Outcome,
    Service,
    ToolContext,
)
from agentbox.tools.declaration import Tool
from agentbox.tools.isolation import (
    Host,
    HungError,
    LoopHost,
    LoopStore,
    PluginError,
    PluginOutput,
    ThreadHost,
    call_on,
)
from agentbox.tools.phrases import Phrases
from agentbox.tools.policy import Policies
from agentbox.tools.registry import Module, Registry
from agentbox.tools.store import Store
from agentbox.tools.time_source import Clock

S = TypeVar("S", bound=Service)

MAX_ABANDONED = 3
"""A module that hung this often stays off until the box starts anew: each time cost a thread."""

_log = logging.getLogger(__name__)
_CODE = re.compile(r"[a-z][a-z0-9_]{0,63}")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Control characters (all but tab and newline): a service's answer must not steer the terminal it is shown on."""


class Runner:
    """Runs the calls of one registry. Use as `async with`: entering starts the modules' services.

    `stores` gives each module its own store; `emit` takes what tools say unasked, always on the box's loop;
    `conversation` is the one that a turn belongs to, by its id; `language_of` tells a turn's language, where that may
    be another than the box's own (empty: it is not), and `other_phrases` what is said in it.
    """

    def __init__(
        self,
        registry: Registry,
        settings: config.Tools,
        *,
        language: str,
        phrases: Phrases,
        other_phrases: Mapping[str, Phrases] | None = None,
        language_of: Callable[[str], str] = lambda turn_id: "",
        persona: Persona,
        clock: Clock,
        stores: Callable[[str], Store],
        emit: Callable[[Reply | Notice], None],
        conversation: Callable[[str], Conversation],
    ) -> None:
        self.registry = registry
        self.phrases = phrases
        self._other_phrases = other_phrases or {}
        self._language_of = language_of
        self.policies = Policies(settings.policy)
        self._settings = settings
        self._language = language
        self._persona = persona
        self._clock = clock
        self._stores = stores
        self._emit = emit
        self._conversation = conversation
        self._hosts: dict[str, Host] = {}
        self._contexts: dict[str, ModuleContext] = {}
        self._services: dict[str, Service] = {}

    async def __aenter__(self) -> Runner:
        self._output = PluginOutput.install()
        for module in self.registry.modules.values():
            self._hosts[module.name] = LoopHost() if module.builtin else ThreadHost(module.name)
            self._contexts[module.name] = self._module_context(module)
            if module.service is not None:
                await self._make_service(module)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for host in self._hosts.values():
            host.close()
        self._output.remove()

    def services(self) -> dict[str, Callable[[], Coroutine[Any, Any, None]]]:
        """Module name -> its service's life, to be run as a task until cancelled, and again when it raises
        (`PluginError`, `HungError`, `AgentboxError`)."""
        return {
            module.name: partial(self._live, module)
            for module in self.registry.modules.values()
            if module.service is not None
        }

    def service(self, kind: type[S]) -> S:
        """The background life of that kind, to look at. Raises `ToolError` `service_missing`."""
        found = next((service for service in self._services.values() if isinstance(service, kind)), None)
        if found is None:
            raise ToolError("service_missing", f"{kind.__name__} is not running.", "The log says why.")
        return found

    def phrases_of(self, turn_id: str) -> Phrases:
        """What the box says in the language of a turn."""
        return self._other_phrases.get(self._language_of(turn_id), self.phrases)

    def store(self, module: str) -> Store:
        """What the tools of a module keep, to look at."""
        return self._contexts[module].store

    async def run(self, call: ToolCall, *, confirmed: bool = False) -> ToolResult:
        """Check, run and report one call. `confirmed`: the owner agreed to exactly this call (`Confirmations`).

        A call that needs a yes and has none fails with `confirmation_needed`, and its text is the question. Never
        raises for anything a tool does; cancelling passes.
        """
        started_s = self._clock.read().elapsed_s
        try:
            ran, outcome = await self._outcome(call, confirmed)
            result = self._result(ran, outcome)
        except ConfirmationNeededError as needed:
            result = self._failed(call, ToolError("confirmation_needed", "A yes is needed.", spoken=needed.question))
        except AgentboxError as error:
            result = self._failed(call, error)
        except PluginError as fault:
            _log.warning("tool %s failed: %s", call.tool, fault)
            result = self._failed(call, ToolError("tool_failed", f"{call.tool} failed.", "The log says where."))
        except TimeoutError:
            result = self._failed(
                call, ToolError("tool_timeout", f"{call.tool} took too long.", "See tools.timeout_s.")
            )
        except HungError:
            result = self._failed(call, self._hung(call.tool))
        duration_ms = (self._clock.read().elapsed_s - started_s) * 1000
        return msgspec.structs.replace(result, duration_ms=duration_ms)

    async def _outcome(self, call: ToolCall, confirmed: bool) -> tuple[ToolCall, Outcome]:
        """How the call ended, and the call that was made: "cancel that" becomes the one that takes it back."""
        tool = self.registry.tools.get(call.tool)
        if tool is None:
            raise ToolError("tool_unknown", f"There is no tool {call.tool}.", "`agentbox tools list` names them.")
        arguments = tool.check(call.arguments)
        decision = self.policies.decide(tool, call.caller)
        if decision == "deny":
            raise ToolError("tool_denied", f"{call.caller} may not call {tool.name}.", "See tools.policy.")
        if decision == "confirm" and not confirmed:
            question = self.phrases_of(call.utterance_id).say("confirm", what=self._what(tool, call))
            raise ConfirmationNeededError(question)
        module = self.registry.module_of(tool.name)
        host = self._hosts[module.name]
        if isinstance(host, ThreadHost) and host.abandoned >= MAX_ABANDONED:
            raise ToolError("tool_disabled", f"{module.name} hung {host.abandoned} times.", "Mend it, then restart.")
        context = self._tool_context(module, call, confirmed)
        timeout_s = tool.timeout_s or self._settings.timeout_s
        outcome = _checked(await host.run(_awaited(tool, context, arguments), timeout_s))
        if outcome.instead is None or not module.builtin:
            return call, outcome
        # The other call passes all checks of its own, and cannot be taken back again.
        other = msgspec.structs.replace(call, tool=outcome.instead.tool, arguments=outcome.instead.arguments)
        try:
            ran, done = await self._outcome(other, False)
        except ConfirmationNeededError:
            raise ToolError("tool_denied", f"{other.tool} needs a yes of its own.", "Ask for it by itself.") from None
        return ran, Outcome(done.text, done.data, warns=done.warns)

    def _what(self, tool: Tool, call: ToolCall) -> str:
        """The call in words: the owner's language has some for what the box itself asks about."""
        key, phrases = f"do_{tool.name}", self.phrases_of(call.utterance_id)
        known = key in phrases.sentences and self.registry.module_of(tool.name).builtin
        return phrases.part(key) if known else tool.describe(call.arguments)

    def _result(self, call: ToolCall, outcome: Outcome) -> ToolResult:
        """The outcome as a message: plain JSON, no control characters, and no larger than the owner allows."""
        limit = self._settings.max_result_bytes
        mark = self.phrases_of(call.utterance_id).part("cut_short")
        text, was_cut = _shortened(_CONTROL.sub("", outcome.text), limit, mark)
        try:
            encoded = msgspec.json.encode(outcome.data)
            data = msgspec.json.decode(encoded) if len(encoded) <= limit else {"truncated": True, "bytes": len(encoded)}
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise ToolError("tool_bad_result", f"{call.tool} returned data that is no JSON.") from error
        if was_cut and data is None:
            data = {"truncated": True, "bytes": len(outcome.text)}
        undo = outcome.undo
        if undo is not None and undo.tool not in [tool.name for tool in self.registry.module_of(call.tool).tools]:
            undo = None
        warns = bool(outcome.warns)
        aloud = outcome.aloud if self.registry.module_of(call.tool).builtin else ""
        return ToolResult(
            call_id=call.id, tool=call.tool, ok=True, text=text, data=data, undo=undo, warns=warns, aloud=aloud
        )

    def _failed(self, call: ToolCall, error: AgentboxError) -> ToolResult:
        code = str(error.code) if _CODE.fullmatch(str(error.code)) else "tool_failed"
        spoken = str(error.spoken) if isinstance(error, ToolError) else ""
        asks = isinstance(error, ToolError) and bool(error.asks)
        said = spoken or self.phrases_of(call.utterance_id).failure(code)
        text, _ = _shortened(_CONTROL.sub("", said), self._settings.max_result_bytes, "")
        data = {"what": str(error.what)[:500], "todo": str(error.todo)[:500]}
        return ToolResult(call_id=call.id, tool=call.tool, ok=False, text=text, data=data, error_code=code, asks=asks)

    def _hung(self, tool: str) -> ToolError:
        module = self.registry.module_of(tool)
        host = self._hosts[module.name]
        count = host.abandoned if isinstance(host, ThreadHost) else 0
        what = f"{tool} blocked its thread and was abandoned ({count} of {MAX_ABANDONED})."
        todo = f"Mend or remove the plugin {module.name}; after {MAX_ABANDONED} times it is off until a restart."
        self._emit(Notice(code="tool_hung", what=what, todo=todo))
        return ToolError("tool_hung", what, todo)

    def _module_context(self, module: Module) -> ModuleContext:
        store, emit = self._stores(module.name), self._emit
        if not module.builtin:
            loop = asyncio.get_running_loop()
            store, emit = LoopStore(store, loop), partial(_emit_from_thread, loop, self._emit)
        return ModuleContext(
            language=self._language,
            phrases=self.phrases,
            other_phrases=self._other_phrases,
            persona=self._persona,
            clock=self._clock,
            store=store,
            options=self._settings.options.get(module.name, {}),
            emit=emit,
        )

    def _tool_context(self, module: Module, call: ToolCall, confirmed: bool) -> ToolContext:
        base = self._contexts[module.name]
        silence = self._silence
        if not module.builtin:
            silence = partial(call_on, asyncio.get_running_loop(), self._silence)
        return ToolContext(
            language=self._language_of(call.utterance_id) or base.language,
            phrases=self.phrases_of(call.utterance_id),
            other_phrases=base.other_phrases,
            persona=base.persona,
            clock=base.clock,
            store=base.store,
            options=base.options,
            emit=base.emit,
            caller=call.caller,
            utterance_id=call.utterance_id,
            confirmed=confirmed,
            conversation=self._conversation(call.utterance_id),
            tools=tuple(self.registry.tools.values()),
            silence=silence,
            running=self._services.get(module.name),
        )

    async def _make_service(self, module: Module) -> None:
        assert module.service is not None
        self._services.pop(module.name, None)
        try:
            made = _made(module.service, self._contexts[module.name])
            self._services[module.name] = await self._hosts[module.name].run(made, self._settings.timeout_s)
        except (PluginError, AgentboxError, TimeoutError, HungError) as error:
            _log.warning("the service of %s could not be started: %s", module.name, error)
            what = f"The background part of the tool module {module.name} could not be started."
            self._emit(Notice(code="service_missing", what=what, todo="The log says why."))

    async def _live(self, module: Module) -> None:
        if module.name not in self._services:
            await self._make_service(module)
        service = self._services.get(module.name)
        if service is None:
            raise ToolError("service_missing", f"The service of {module.name} could not be started.")
        try:
            await self._hosts[module.name].run(service.run())
        except HungError:
            # It lived in a thread that was abandoned; the next life begins in another.
            self._services.pop(module.name, None)
            raise

    def _silence(self) -> bool:
        """Stop all that makes noise; whether anything did. A plugin's service is told, and not waited for."""
        silenced = self._conversation("").silence()
        for name, service in self._services.items():
            host = self._hosts[name]
            if isinstance(host, ThreadHost):
                host.post(service.silence)
            else:
                silenced = service.silence() or silenced
        return silenced


async def _awaited(tool: Tool, context: ToolContext, arguments: dict[str, Any]) -> object:
    return await tool.function(context, **arguments)


async def _made(kind: type[Service], context: ModuleContext) -> Service:
    return kind(context)


def _emit_from_thread(
    loop: asyncio.AbstractEventLoop, emit: Callable[[Reply | Notice], None], message: Reply | Notice
) -> None:
    loop.call_soon_threadsafe(emit, message)


def _checked(returned: object) -> Outcome:
    """What a tool returned, as an outcome. Raises `ToolError` `tool_bad_result`."""
    if isinstance(returned, str):
        return Outcome(returned)
    if isinstance(returned, Outcome) and all(
        isinstance(part, kind)
        for part, kind in ((returned.text, str), (returned.undo, Undo | None), (returned.instead, Undo | None))
    ):
        return returned
    raise ToolError("tool_bad_result", f"It returned {type(returned).__name__}.", "A tool returns a str or an Outcome.")


def _shortened(text: str, max_bytes: int, mark: str) -> tuple[str, bool]:
    """The text in at most `max_bytes` of UTF-8, ending in `mark` if it had to be cut, and whether it was."""
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= max_bytes:
        return encoded.decode("utf-8"), False
    return encoded[: max_bytes - len(mark.encode())].decode("utf-8", "ignore") + mark, True
