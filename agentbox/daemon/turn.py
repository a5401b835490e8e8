"""One turn: from the words to the deed and the answer. Activation, meaning, policy, tool, reply, in this order."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from agentbox.daemon.activation import Activation
from agentbox.daemon.conversation import Conversation
from agentbox.daemon.events import Events
from agentbox.daemon.hearing import Heard
from agentbox.intents.followups import FollowUps
from agentbox.intents.understand import Understander
from agentbox.messages import (
    JSON,
    ActivatedBy,
    Caller,
    Intent,
    NotUnderstood,
    Reply,
    SoundName,
    ToolCall,
    ToolResult,
    new_id,
)
from agentbox.messages import Activation as Activated
from agentbox.tools.phrases import Phrases
from agentbox.tools.policy import Confirmations, Policies
from agentbox.tools.registry import Registry, Tool
from agentbox.tools.runner import Runner


@dataclass(frozen=True, slots=True)
class Mind:
    """What a turn needs to know and do; replaced as a whole when the configuration is read anew."""

    understander: Understander
    registry: Registry
    runner: Runner
    policies: Policies
    phrases: Phrases


class Turns:
    """Takes what was heard, or text that counts as heard, one turn at a time.

    `durable` waits until everything emitted so far is on disk: a call with effects starts only after that, so that
    a crash can never leave a deed without its row.
    """

    def __init__(
        self,
        mind: Mind,
        activation: Activation,
        events: Events,
        conversation: Conversation,
        followups: FollowUps,
        confirmations: Confirmations,
        *,
        durable: Callable[[], Awaitable[bool]],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.mind = mind
        self.activation = activation
        self._events = events
        self._conversation = conversation
        self._followups = followups
        self._confirmations = confirmations
        self._durable = durable
        self._monotonic = monotonic

    def context(self) -> dict[str, JSON]:
        """What the last turns left open, as hassil's intent context."""
        now = self._monotonic()
        context = dict(self._followups.context(now))
        if self._confirmations.pending(now) is not None:
            context["confirmation"] = "pending"
        return context

    async def heard(self, heard: Heard) -> Reply | None:
        """A spoken turn. Null when the words were not for the box, or were none."""
        utterance, transcript = heard.utterance, heard.transcript
        opened = None if not transcript.text else self.activation.decide(transcript.text, heard.by)
        if opened is None:
            state = "not_activated" if transcript.text else "suppressed"
            self._events.emit("transcript", state, utterance_id=utterance.id, **heard.timings)
            return None
        activated = Activated(
            utterance_id=utterance.id, by=opened.by, phrase=opened.phrase, command=opened.command
        )
        self._events.emit("activation", "opened", utterance_id=utterance.id, message=activated)
        self._events.emit("utterance", "kept", utterance_id=utterance.id, message=utterance)
        self._events.emit(
            "transcript", "final", utterance_id=utterance.id, message=transcript, **heard.timings
        )
        if not opened.command:
            self.activation.attend(self._monotonic())
            return self._reply(utterance.id, "", "heard", "attention")
        return await self._words(utterance.id, opened.command, opened.by, "speech", heard.speech_ended_s)

    async def asked(self, text: str, caller: Caller = "cli") -> Reply | None:
        """A turn from text, as if it had been heard and was meant for the box."""
        turn_id = new_id()
        activated = Activated(utterance_id=turn_id, by="control", command=text)
        self._events.emit("activation", "opened", utterance_id=turn_id, message=activated)
        return await self._words(turn_id, text, "control", caller, self._monotonic())

    async def call(self, tool: Tool, arguments: dict[str, JSON], caller: Caller) -> ToolResult:
        """Run one tool directly (`agentbox tools call`), through policy and journal like any other call."""
        turn_id = new_id()
        self._events.emit(
            "activation", "opened", utterance_id=turn_id, message=Activated(utterance_id=turn_id, by="control")
        )
        if self.mind.policies.decide(tool, caller) == "deny":
            text = self.mind.phrases.say("denied")
            return ToolResult(call_id=turn_id, tool=tool.name, ok=False, text=text, error_code="tool_denied")
        return await self._run(turn_id, tool, arguments, caller, self._monotonic())

    async def _words(
        self, turn_id: str, text: str, by: ActivatedBy, caller: Caller, speech_ended_s: float
    ) -> Reply | None:
        meaning = self.mind.understander.understand(text, utterance_id=turn_id, context=self.context())
        if isinstance(meaning, NotUnderstood):
            self._events.emit("intent", "none", utterance_id=turn_id, message=meaning)
            if by == "always":
                # Whoever leaves the gate open also talks to others: what is no command is not answered.
                return None
            return self._reply(turn_id, self.mind.phrases.say("not_understood"), "failed", "not_understood")
        self._events.emit("intent", meaning.match, utterance_id=turn_id, message=meaning, score=meaning.score)
        if meaning.name in ("AgentboxYes", "AgentboxNo"):
            return await self._answer(turn_id, meaning, speech_ended_s)
        self._followups.note(meaning, self._monotonic())
        tool = self.mind.registry.for_intent(meaning.name)
        if tool is None:
            return self._reply(turn_id, self.mind.phrases.say("cannot"), "failed", "not_understood")
        arguments = tool.arguments(meaning.slots)
        decision = self.mind.policies.decide(tool, caller)
        if decision == "deny":
            return self._reply(turn_id, self.mind.phrases.say("denied"), "failed", "failed")
        if decision == "confirm":
            return self._ask(turn_id, tool, arguments, caller)
        return self._result(turn_id, await self._run(turn_id, tool, arguments, caller, speech_ended_s))

    def _ask(self, turn_id: str, tool: Tool, arguments: dict[str, JSON], caller: Caller) -> Reply:
        now = self._monotonic()
        question = self.mind.phrases.say("confirm", what=tool.describe(arguments))
        call = ToolCall(
            id=new_id(), utterance_id=turn_id, tool=tool.name, arguments=arguments, caller=caller, effects=tool.effects
        )
        confirmation = self._confirmations.ask(call, question, now)
        self._events.emit("confirmation", "asked", utterance_id=turn_id, message=confirmation)
        self.activation.attend(now, self._confirmations.valid_s)
        return self._reply(turn_id, question, "question", "question")

    async def _answer(self, turn_id: str, meaning: Intent, speech_ended_s: float) -> Reply:
        call = self._confirmations.answer(meaning.name == "AgentboxYes", self._monotonic())
        state = "given" if call is not None else "refused"
        self._events.emit("confirmation", state, utterance_id=turn_id)
        tool = self.mind.registry.tools.get(call.tool) if call is not None else None
        if call is None or tool is None:
            return self._reply(turn_id, self.mind.phrases.say("cancelled"), "done", "cancelled")
        return self._result(turn_id, await self._run(turn_id, tool, call.arguments, call.caller, speech_ended_s))

    async def _run(
        self, turn_id: str, tool: Tool, arguments: dict[str, JSON], caller: Caller, speech_ended_s: float
    ) -> ToolResult:
        call = ToolCall(
            id=new_id(), utterance_id=turn_id, tool=tool.name, arguments=arguments, caller=caller, effects=tool.effects
        )
        since_ms = (self._monotonic() - speech_ended_s) * 1000
        self._events.emit("tool_call", "started", utterance_id=turn_id, message=call, since_speech_end_ms=since_ms)
        if tool.effects:
            await self._durable()
        result = await self.mind.runner.run(call)
        self._events.emit(
            "tool_result",
            "ok" if result.ok else "failed",
            utterance_id=turn_id,
            message=result,
            duration_ms=result.duration_ms,
        )
        self._conversation.did(result)
        return result

    def _result(self, turn_id: str, result: ToolResult) -> Reply:
        return self._reply(turn_id, result.text, "done" if result.ok else "failed", "done" if result.ok else "failed")

    def _reply(self, turn_id: str, text: str, sound: SoundName, outcome: str) -> Reply:
        reply = Reply(utterance_id=turn_id, text=text, sound=sound, outcome=outcome)  # type: ignore[arg-type]
        self._conversation.said(reply)
        self._events.emit("reply", outcome, utterance_id=turn_id, message=reply)
        return reply
