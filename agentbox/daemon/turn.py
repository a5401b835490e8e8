"""One turn: from the words to the deed and the answer. Activation, meaning, policy, tool, reply, in this order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Literal, Protocol

from agentbox.asr.engine import Recognition
from agentbox.asr.listener import Ask
from agentbox.audio.segment import Completeness
from agentbox.daemon.activation import Activation, Opened
from agentbox.daemon.conversation import Conversation
from agentbox.daemon.events import Events
from agentbox.daemon.hearing import Heard
from agentbox.daemon.meaning import Meanings, asking
from agentbox.daemon.mind import ANSWERS, Mind
from agentbox.daemon.own_words import overlap
from agentbox.intents.decide import Decision
from agentbox.intents.followups import FollowUps
from agentbox.messages import (
    JSON,
    ActivatedBy,
    Caller,
    Intent,
    NotUnderstood,
    Reply,
    SoundName,
    Speak,
    ToolCall,
    ToolResult,
    new_id,
)
from agentbox.messages import Activation as Activated
from agentbox.tools.policy import Confirmations

STOP = "AgentboxStop"

WORDLESS = frozenset({STOP, "HassNevermind"})
"""Intents after which the box must not begin to talk."""

OWN_SHARE = 0.8
"""If so much of what was heard while the box spoke is what it said, the rest was misheard."""

Outcome = Literal["done", "failed", "not_understood", "question", "attention", "cancelled"]


class OwnVoice(Protocol):
    """What the box said itself: see `Speaking`."""

    half_duplex: bool
    """The microphone hears the box while it speaks."""

    @property
    def held(self) -> bool:
        """It fell silent, for somebody spoke."""
        ...

    @property
    def audible(self) -> bool:
        """It speaks."""
        ...

    def said(self, begin_s: float, end_s: float) -> str: ...


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
        voice: OwnVoice | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.mind = mind
        self.activation = activation
        self._events = events
        self._conversation = conversation
        self.followups = followups
        self.confirmations = confirmations
        self._durable = durable
        self._voice = voice
        self._monotonic = monotonic
        self._meanings = Meanings()
        self._by_speech = True
        """Whether the turn under way is a spoken one."""
        self._asked: Intent | None = None
        """What the open question asks whether it was meant; null where it was clear and is risky."""

    def context(self) -> dict[str, JSON]:
        """What the last turns left open, as hassil's intent context."""
        now = self._monotonic()
        context = dict(self.followups.context(now))
        if self.confirmations.pending(now) is not None:
            context["confirmation"] = "pending"
        return context

    def asking(self, by: ActivatedBy | None) -> Ask:
        """Which sentences a sound may be that began with the gate as `by` says."""
        ringing = self.activation.alerting(self._monotonic())
        return asking(self.mind, self.activation, self.context(), by, ringing=ringing)

    def completeness(self, recognition: Recognition, by: ActivatedBy | None) -> Completeness:
        """How words stand as a command, for endpointing; all that is kept of them is their meaning, until the next."""
        opened = self.activation.decide(recognition.text, by, recognition.wake)
        if opened is None or (opened.phrase is not None and not opened.command):
            return "no"
        # What it means is looked up in the pause too, where it costs nobody any time.
        decision = self._understand(recognition, opened, "")
        if decision.outcome != "act" or decision.intent is None or decision.intent.match == "forgiving":
            return "no"
        return self.mind.understander.completeness(decision.intent.text, self.context())

    async def heard(self, heard: Heard) -> Reply | None:
        """A spoken turn. Null when the words were not for the box, or were none."""
        self._by_speech = True
        utterance, transcript = heard.utterance, heard.transcript
        own = self._own_words(heard)
        opened, recognition = (
            (self._opened(heard), heard.recognition) if not own else (self._amidst(transcript.text, own), None)
        )
        if opened is None or self._is_murmur(opened, recognition):
            state = "own_voice" if own else "not_activated" if transcript.text else "suppressed"
            self._events.emit("transcript", state, utterance_id=utterance.id, timings=heard.timings)
            return None
        activated = Activated(utterance_id=utterance.id, by=opened.by, phrase=opened.phrase, command=opened.command)
        self._events.emit("activation", "opened", utterance_id=utterance.id, message=activated)
        self._events.emit("utterance", "kept", utterance_id=utterance.id, message=utterance)
        self._events.emit("transcript", "final", utterance_id=utterance.id, message=transcript, timings=heard.timings)
        if opened.phrase is not None and not opened.command:
            self.activation.attend(self._monotonic())
            return self._reply(utterance.id, "", "heard", "attention")
        decision = self._understand(recognition, opened, utterance.id)
        return await self._mean(utterance.id, opened.command, decision, opened.by, "speech", heard.speech_ended_s)

    def _understand(self, recognition: Recognition | None, opened: Opened, turn_id: str) -> Decision:
        return self._meanings.of(self.mind, recognition, opened, self.context(), turn_id)

    def _own_words(self, heard: Heard) -> str:
        """What the box said meanwhile, where it may be what was heard."""
        if self._voice is None:
            return ""
        begin_s = heard.speech_ended_s - (heard.utterance.audio_ms - heard.utterance.silence_ms) / 1000
        own = self._voice.said(begin_s, heard.speech_ended_s)
        if own and (self._voice.half_duplex or overlap(heard.transcript.text, own).share >= OWN_SHARE):
            return own
        return ""

    def overheard(self) -> bool:
        """Whether what is heard now may be the box itself."""
        return self._voice is not None and self._voice.half_duplex and self._voice.audible

    def amidst(self, text: str, begin_s: float) -> bool:
        """Whether the words so far of an utterance that began at `begin_s` hold somebody's order amidst the box's own
        words. Where the microphone does not hear the box, there is no need to know before the utterance is over."""
        if self._voice is None or not self._voice.half_duplex:
            return False
        own = self._voice.said(begin_s, self._monotonic())
        return bool(own) and self._amidst(text, own) is not None

    def _amidst(self, text: str, own: str) -> Opened | None:
        """Whether somebody spoke to the box amidst its own words: "stop", or a wake phrase and a command. By the words
        alone: the sound is of both."""
        for rest in overlap(text, own).others:
            for opened in (self.activation.decide(rest, None), Opened("attention", rest)):
                if opened is None or not opened.command:
                    continue
                decision = self._understand(None, opened, "")
                if decision.intent is not None and (opened.phrase is not None or _is_stop(decision)):
                    return opened
        return None

    def _is_murmur(self, opened: Opened, recognition: Recognition | None) -> bool:
        """Whether what interrupted the box means nothing to it, and nothing was called out to it: it goes on."""
        held = self._voice is not None and self._voice.held
        if not held or opened.by in ("push_to_talk", "wake_phrase"):
            return False
        return self._understand(recognition, opened, "").outcome == "none"

    def _opened(self, heard: Heard) -> Opened | None:
        """Whether the words are for the box. While it rings, "stop" always is; whatever else is said then is not.

        Words that a guard threw away are for the box where the sound is a command all the same.
        """
        text, recognition = heard.transcript.text, heard.recognition
        opened = self.activation.decide(text, heard.by, recognition.wake)
        if opened is not None and (text or self._understand(recognition, opened, "").outcome == "act"):
            return opened
        if opened is None and self.activation.alerting(self._monotonic()):
            stop = Opened("attention", text)
            if _is_stop(self._understand(recognition, stop, "")):
                return stop
        return None

    async def asked(self, text: str, caller: Caller = "cli") -> Reply | None:
        """A turn from text, as if it had been heard and was meant for the box."""
        self._by_speech = False
        turn_id = new_id()
        opened = self.activation.decide(text, "control")
        command = opened.command if opened is not None and opened.command else text
        activated = Activated(utterance_id=turn_id, by="control", command=command)
        self._events.emit("activation", "opened", utterance_id=turn_id, message=activated)
        decision = self._understand(None, Opened("control", command), turn_id)
        return await self._mean(turn_id, command, decision, "control", caller, self._monotonic())

    async def call(self, tool: str, arguments: dict[str, JSON], caller: Caller) -> ToolResult:
        """Run one tool directly (`agentbox tools call`), through policy and journal like any other call."""
        turn_id = new_id()
        activated = Activated(utterance_id=turn_id, by="control")
        self._events.emit("activation", "opened", utterance_id=turn_id, message=activated)
        return await self._run(self._new_call(turn_id, tool, arguments, caller), self._monotonic())

    async def _mean(
        self, turn_id: str, text: str, decision: Decision, by: ActivatedBy, caller: Caller, speech_ended_s: float
    ) -> Reply | None:
        intent = decision.intent
        # Whoever leaves the gate open also talks to others: what is not sure to be a command is none.
        asks = decision.outcome == "ask" and by != "always"
        if intent is None or not (decision.outcome == "act" or asks) or (asks and intent.name in ANSWERS):
            missed = NotUnderstood(utterance_id=turn_id, text=text)
            self._events.emit(
                "intent", "none", utterance_id=turn_id, message=missed, timings={"score": decision.confidence}
            )
            if by == "always":
                return None
            return self._reply(turn_id, self._say("not_understood"), "failed", "not_understood")
        state = intent.match if decision.outcome == "act" else "unsure"
        self._events.emit("intent", state, utterance_id=turn_id, message=intent, timings={"score": intent.score})
        if intent.name in ANSWERS:
            return await self._answer(turn_id, intent, caller, speech_ended_s)
        tool = self.mind.runner.registry.for_intent(intent.name)
        if tool is None:
            return self._reply(turn_id, self._say("cannot"), "failed", "not_understood")
        call = self._new_call(turn_id, tool.name, tool.arguments(intent.slots), caller)
        if asks:
            return self._ask(call, self.mind.runner.phrases.say("did_you_mean", what=intent.text), intent)
        self.followups.note(intent, self._monotonic())
        return await self._act(call, speech_ended_s, wordless=intent.name in WORDLESS)

    def _ask(self, call: ToolCall, question: str, intent: Intent | None = None) -> Reply:
        """Ask before `call` runs; `intent`, where it is not sure that it was meant."""
        now = self._monotonic()
        self._asked = intent
        confirmation = self.confirmations.ask(call, question, now)
        self._events.emit("confirmation", "asked", utterance_id=call.utterance_id, message=confirmation)
        self.activation.attend(now, self.confirmations.valid_s)
        return self._reply(call.utterance_id, question, "question", "question")

    async def _answer(self, turn_id: str, meaning: Intent, caller: Caller, speech_ended_s: float) -> Reply:
        agreed = self.confirmations.answer(meaning.name == "AgentboxYes", self._monotonic(), by=caller)
        self._events.emit("confirmation", "given" if agreed else "refused", utterance_id=turn_id)
        if agreed is None:
            return self._reply(turn_id, self._say("cancelled"), "done", "cancelled")
        asked, self._asked = self._asked, None
        if asked is not None:
            self.followups.note(asked, self._monotonic())
        # A call of its own, so that the journal tells the question's turn from the answer's.
        call = self._new_call(turn_id, agreed.tool, agreed.arguments, agreed.caller)
        # Who says what was meant has not said yet that it is no mistake.
        return await self._act(call, speech_ended_s, confirmed=asked is None)

    async def _act(
        self, call: ToolCall, speech_ended_s: float, *, confirmed: bool = False, wordless: bool = False
    ) -> Reply:
        result = await self._run(call, speech_ended_s, confirmed=confirmed)
        if result.error_code == "confirmation_needed":
            return self._ask(call, result.text)
        state: Literal["done", "failed"] = "done" if result.ok else "failed"
        speak: Speak = "never" if wordless and result.ok else "in_full" if call.effects and result.ok else "always"
        return self._reply(call.utterance_id, result.text, state, state, speak)

    def _new_call(self, turn_id: str, tool: str, arguments: dict[str, JSON], caller: Caller) -> ToolCall:
        known = self.mind.runner.registry.tools.get(tool)
        effects = known is None or known.effects
        return ToolCall(
            id=new_id(), utterance_id=turn_id, tool=tool, arguments=arguments, caller=caller, effects=effects
        )

    async def _run(self, call: ToolCall, speech_ended_s: float, *, confirmed: bool = False) -> ToolResult:
        since_ms = (self._monotonic() - speech_ended_s) * 1000
        turn_id = call.utterance_id
        self._events.emit(
            "tool_call", "started", utterance_id=turn_id, message=call, timings={"since_speech_end_ms": since_ms}
        )
        try:
            if call.effects:
                await self._durable()
            result = await self.mind.runner.run(call, confirmed=confirmed)
        except asyncio.CancelledError:
            # The box ends: what is under way is cut off, and the journal says so.
            cut_off = ToolResult(call_id=call.id, tool=call.tool, ok=False, text="", error_code="tool_interrupted")
            self._events.emit("tool_result", "failed", utterance_id=turn_id, message=cut_off)
            raise
        state = "ok" if result.ok else "failed"
        self._events.emit(
            "tool_result", state, utterance_id=turn_id, message=result, timings={"duration_ms": result.duration_ms}
        )
        self._conversation.did(result)
        return result

    def _say(self, key: str) -> str:
        return self.mind.runner.phrases.say(key)

    def _reply(self, turn_id: str, text: str, sound: SoundName, outcome: Outcome, speak: Speak = "always") -> Reply:
        # Who typed reads the answer.
        aloud = speak if self._by_speech else "never"
        reply = Reply(utterance_id=turn_id, text=text, sound=sound, outcome=outcome, speak=aloud)
        self._conversation.said(reply)
        self._events.emit("reply", outcome, utterance_id=turn_id, message=reply)
        return reply


def _is_stop(decision: Decision) -> bool:
    intent = decision.intent
    return decision.outcome == "act" and intent is not None and intent.name == STOP and intent.match != "forgiving"
