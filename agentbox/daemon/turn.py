"""One turn: from the words to the deed and the answer. Attention, policy, tool, reply, in this order."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Literal

import msgspec

from agentbox.daemon.activation import Opened
from agentbox.daemon.attention import UNASKED, Attention, Talk
from agentbox.daemon.conversation import Conversation
from agentbox.daemon.events import Events
from agentbox.daemon.for_cloud import ForCloud
from agentbox.daemon.handover import Cloud, Handover, Switch, Written, answer_by, goes_as_text, meant_sound, undertone
from agentbox.daemon.hearing import Heard
from agentbox.daemon.mind import ANSWERS, YES_OR_NO, Mind
from agentbox.daemon.own_intents import WORDLESS, is_own
from agentbox.daemon.second_reading import Reading, SecondReading
from agentbox.intents.decide import Decision
from agentbox.languages import is_in_letters_of
from agentbox.messages import (
    JSON,
    ActivatedBy,
    Caller,
    Intent,
    Notice,
    NotUnderstood,
    Reply,
    SoundName,
    Speak,
    ToolCall,
    ToolResult,
    Transcript,
    new_id,
)
from agentbox.messages import Activation as Activated
from agentbox.tools.policy import OWNERS

MOST_WRITTEN = 32

Outcome = Literal["done", "failed", "not_understood", "question", "attention", "cancelled"]


class Turns:
    """Takes what was heard, or text that counts as heard, one turn at a time.

    `durable` waits until everything emitted so far is on disk: a call with effects starts only after that, so that
    a crash can never leave a deed without its row.
    """

    def __init__(
        self,
        attention: Attention,
        events: Events,
        conversation: Conversation,
        *,
        durable: Callable[[], Awaitable[bool]],
        confide: Callable[[Reply, str], None] = lambda reply, words: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`confide`: say words aloud that stand nowhere; the reply is what is told of them."""
        self._confide = confide
        self._attention = attention
        self._events = events
        self._conversation = conversation
        self._durable = durable
        self._monotonic = monotonic
        self.cloud: Cloud | None = None
        """Null: the owner's policy is that nothing leaves the box."""
        self.brain: Switch | None = None
        """A text model for what nobody else understood; null: there is none."""
        self.second: SecondReading | None = None
        """A stronger speech model for what was not surely understood; null: there is none."""
        self._written: deque[str] = deque(maxlen=MOST_WRITTEN)
        """Turns that were typed: who typed reads the answer."""

    @property
    def _mind(self) -> Mind:
        return self._attention.talk.mind

    def _talk(self, turn_id: str) -> Talk:
        """The talk that the turn belongs to."""
        return self._attention.talk.of(self._conversation.guest_of(turn_id))

    async def heard(self, heard: Heard) -> Reply | None:
        """A spoken turn. Null when the words were not for the box, or were none."""
        utterance, transcript = heard.utterance, heard.transcript
        opened, state, recognition = self._attention.judge(heard)
        if opened is None:
            self._events.emit("transcript", state, utterance_id=utterance.id, timings=heard.timings)
            return None
        activated = Activated(utterance_id=utterance.id, by=opened.by, phrase=opened.phrase, command=opened.command)
        self._events.emit("activation", "opened", utterance_id=utterance.id, message=activated)
        if self._attention.confiding(heard):
            # Of words that are kept nowhere none is kept because it was heard again.
            utterance = msgspec.structs.replace(utterance, pcm=b"")
            transcript = msgspec.structs.replace(transcript, text=opened.command, as_read="")
        self._events.emit("utterance", "kept", utterance_id=utterance.id, message=utterance)
        self._events.emit("transcript", "final", utterance_id=utterance.id, message=transcript, timings=heard.timings)
        self._attention.activation.answered()
        if opened.phrase is not None and not opened.command:
            self._attention.activation.attend(self._monotonic())
            return self._reply(utterance.id, "", "heard", "attention")
        decision = self._attention.understand(recognition, opened, utterance.id)
        amidst = state == "own_voice"
        sound = meant_sound(utterance, opened) if self.cloud is not None and not amidst else b""
        if self.second is not None and utterance.pcm and not amidst:
            as_text = goes_as_text(self._others(None, opened.by), self.brain)
            reading = await self.second.of(Reading(heard, opened, decision), as_text=as_text)
            transcript, opened, decision = reading.heard.transcript, reading.opened, reading.decision
        answer_by_s = answer_by(heard.speech_ended_s, self._monotonic())
        turn = Handover(
            utterance.id, opened.command, sound, True, heard.speech_ended_s, answer_by_s, undertone(transcript)
        )
        # What was said amidst the box's own words cannot be told from them.
        return await self._mean(turn, decision, opened.by, "speech", alone=amidst)

    async def asked(self, text: str, caller: Caller = "cli", guest: str = "") -> Reply | None:
        """A turn from text, as if it had been heard and was meant for the box. `guest`: who typed it, if that is no
        owner."""
        turn_id = new_id()
        self._conversation.begin(turn_id, guest)
        self._written.append(turn_id)
        opened = self._attention.activation.decide(text, "control")
        command = opened.command if opened is not None and opened.command else text
        activated = Activated(utterance_id=turn_id, by="control", command=command)
        self._events.emit("activation", "opened", utterance_id=turn_id, message=activated)
        decision = self._attention.understand(None, Opened("control", command), turn_id, guest=guest)
        now = self._monotonic()
        turn = Handover(turn_id, command, b"", False, now, answer_by(now, now))
        return await self._mean(turn, decision, "control", caller)

    async def call(self, tool: str, arguments: dict[str, JSON], caller: Caller) -> ToolResult:
        """Run one tool directly (`agentbox tools call`), through policy and journal like any other call."""
        turn_id = new_id()
        activated = Activated(utterance_id=turn_id, by="control")
        self._events.emit("activation", "opened", utterance_id=turn_id, message=activated)
        return await self._run(self._new_call(turn_id, tool, arguments, caller), self._monotonic())

    async def _mean(
        self,
        turn: Handover,
        decision: Decision,
        by: ActivatedBy,
        caller: Caller,
        *,
        alone: bool = False,
        reheard: bool = False,
    ) -> Reply | None:
        """Answer the turn; `alone`: without the cloud; `reheard`: its words are others' already. Null where others
        answer it, or nobody was asked."""
        intent = decision.intent
        self._conversation.speaks(turn.id, decision.language or self._mind.language)
        turn = replace(turn, language=self._language(turn.id))
        if intent is not None and decision.outcome == "act" and intent.name not in YES_OR_NO:
            intent = self._talk(turn.id).questions.answered(intent, self._monotonic())
            # An answer to the box's own question is no others' business.
            alone = alone or intent is not decision.intent
        # Whoever leaves the gate open also talks to others: what is not sure to be a command is none.
        asks = decision.outcome == "ask" and by not in UNASKED
        means = intent is not None and (decision.outcome == "act" or asks) and not (asks and intent.name in ANSWERS)
        if not (alone or reheard or means) and turn.spoken and self.cloud is not None and self._others(None, by):
            # Somebody else may have understood the words; what they mean is the box's own to say.
            written = await self.cloud.recognise(turn)
            if written is not None:
                turn, decision = self._reheard(turn, written, by)
                return await self._mean(turn, decision, by, caller, reheard=True)
        if not alone:
            answered: list[Reply] = []
            for asked in self._others(intent if means else None, by):
                if await self._hand_over(asked, turn, decision, by, caller, answered):
                    return answered[-1] if answered else None
        if intent is None or not means:
            missed = NotUnderstood(utterance_id=turn.id, text=turn.text)
            self._events.emit(
                "intent", "none", utterance_id=turn.id, message=missed, timings={"score": decision.confidence}
            )
            if by in UNASKED:
                return None
            if by == "attention" and self._attention.is_asking:
                # The question stands; whoever was not understood says it again.
                self._attention.activation.attend(self._monotonic())
            key = "cloud_unreachable" if any(one.answers for one in self._others(None, by)) else "not_understood"
            return self._reply(turn.id, self._say(key, turn.id), "failed", "not_understood")
        state = intent.match if decision.outcome == "act" else "unsure"
        self._events.emit("intent", state, utterance_id=turn.id, message=intent, timings={"score": intent.score})
        if intent.name in YES_OR_NO:
            return await self._answer(turn.id, intent, caller, turn.speech_ended_s)
        tool = self._mind.runner.registry.for_intent(intent.name)
        if tool is None:
            return self._reply(turn.id, self._say("cannot", turn.id), "failed", "not_understood")
        call = self._new_call(turn.id, tool.name, tool.arguments(intent.slots), caller)
        if asks:
            question = self._mind.runner.phrases_of(turn.id).say("did_you_mean", what=intent.text)
            return self._ask(call, question, intent, unsure=True)
        self._talk(turn.id).followups.note(intent, self._monotonic())
        return await self._act(call, turn.speech_ended_s, intent)

    def _reheard(self, turn: Handover, written: Written, by: ActivatedBy) -> tuple[Handover, Decision]:
        """The turn by others' words."""
        transcript = Transcript(
            utterance_id=turn.id,
            text=written.text,
            engine=written.by,
            language=self._mind.likeliest(written.text)[0].language,
        )
        self._events.emit("transcript", "reheard", utterance_id=turn.id, message=transcript)
        opened = self._attention.activation.decide(written.text, by)
        command = opened.command if opened is not None and opened.command else written.text
        decision = self._attention.understand(None, Opened(by, command), turn.id)
        return replace(turn, text=command), decision

    def _others(self, meant: Intent | None, by: ActivatedBy) -> list[Switch]:
        """Who is asked before the box answers by itself. Who did not call the box, and what stops it or answers its own
        question, is never others' business."""
        if by == "follow_up" or (by == "attention" and self._attention.is_asking):
            return []
        others = [self.cloud, self.brain] if meant is None else [self.cloud]
        return [
            other
            for other in others
            if other is not None
            and other.is_on
            and (meant is None or (other.policy == "cloud_first" and not is_own(meant)))
        ]

    async def _hand_over(
        self,
        other: Switch,
        turn: Handover,
        decision: Decision,
        by: ActivatedBy,
        caller: Caller,
        answered: list[Reply],
    ) -> bool:
        async def local() -> None:
            if (reply := await self._mean(turn, decision, by, caller, alone=True)) is not None:
                answered.append(reply)

        host = ForCloud(turn.id, answered, self._run_for, self._ask, self._answer_of_cloud, self._say)
        return await other.take(turn, host, local)

    async def _run_for(
        self, turn_id: str, tool: str, arguments: dict[str, JSON], caller: Caller
    ) -> tuple[ToolCall, ToolResult]:
        call = self._new_call(turn_id, tool, arguments, caller)
        return call, await self._run(call, self._monotonic())

    def _answer_of_cloud(self, reply: Reply) -> Reply:
        # A model may answer in another language than it was asked in.
        found = self._mind.likeliest(reply.text, asked=self._language(reply.utterance_id))
        reply = msgspec.structs.replace(reply, language=found[0].language)
        self._conversation.said(reply)
        self._events.emit("reply", reply.outcome, utterance_id=reply.utterance_id, message=reply)
        return reply

    def _ask(self, call: ToolCall, question: str, intent: Intent | None = None, *, unsure: bool = False) -> Reply:
        """Ask before `call` runs, which carries out `intent`; `unsure`: whether that was meant."""
        now, talk = self._monotonic(), self._talk(call.utterance_id)
        talk.asked, talk.confirming = intent if unsure else None, intent
        talk.asked_in = self._language(call.utterance_id)
        confirmation = talk.confirmations.ask(call, question, now)
        self._events.emit("confirmation", "asked", utterance_id=call.utterance_id, message=confirmation)
        self._attend(call.utterance_id, now, talk.confirmations.valid_s)
        return self._reply(call.utterance_id, question, "question", "question")

    async def _answer(self, turn_id: str, meaning: Intent, caller: Caller, speech_ended_s: float) -> Reply:
        talk = self._talk(turn_id)
        agreed = talk.confirmations.answer(meaning.name == "AgentboxYes", self._monotonic(), by=caller)
        self._events.emit("confirmation", "given" if agreed else "refused", utterance_id=turn_id)
        if agreed is None:
            return self._reply(turn_id, self._say("cancelled", turn_id), "done", "cancelled")
        asked, meant = talk.asked, talk.confirming
        talk.asked = talk.confirming = None
        if asked is not None:
            talk.followups.note(asked, self._monotonic())
        # A call of its own, so that the journal tells the question's turn from the answer's.
        # A page that says yes to somebody else's question lends it no rights that a page has not.
        made_by = caller if caller == "page" and agreed.caller in OWNERS else agreed.caller
        call = self._new_call(turn_id, agreed.tool, agreed.arguments, made_by)
        # Who says what was meant has not said yet that it is no mistake.
        return await self._act(call, speech_ended_s, meant, confirmed=asked is None)

    async def _act(
        self, call: ToolCall, speech_ended_s: float, intent: Intent | None, *, confirmed: bool = False
    ) -> Reply:
        """Run `call`, which carries out `intent`, and answer with what came of it."""
        result = await self._run(call, speech_ended_s, confirmed=confirmed)
        if result.error_code == "confirmation_needed":
            return self._ask(call, result.text, intent)
        if result.asks and result.error_code is not None and intent is not None:
            now = self._monotonic()
            talk = self._talk(call.utterance_id)
            talk.questions.ask(intent, result.error_code, now)
            talk.asked_in = self._language(call.utterance_id)
            self._attend(call.utterance_id, now)
            return self._reply(call.utterance_id, result.text, "question", "question")
        state: Literal["done", "failed"] = "done" if result.ok else "failed"
        text = self._worded(result, intent)
        if result.aloud and call.caller in ("speech", "cli"):
            return self._tell_in_confidence(call.utterance_id, text, result.aloud)
        return self._reply(call.utterance_id, text, state, state, _aloud(call, result, intent))

    def _tell_in_confidence(self, turn_id: str, text: str, words: str) -> Reply:
        """Answer with words that no event carries: whoever spoke hears them, and whoever typed is given them."""
        reply = self._reply(turn_id, text, None, "done", "never")
        if turn_id not in self._written:
            self._confide(msgspec.structs.replace(reply, speak="always"), words)
        return msgspec.structs.replace(reply, text=words)

    def _worded(self, result: ToolResult, intent: Intent | None) -> str:
        """What is said of a call that carried out `intent`: where it went well, the owner's response if they wrote one.
        What else a tool says is news that no wording foresaw."""
        if intent is None or not result.ok or result.warns:
            return result.text
        said = self._mind.in_language(intent.language).understander.responses.say(intent, result.text)
        if isinstance(said, Notice):
            self._events.notice(said)
            return result.text
        return result.text if said is None else said

    def _new_call(self, turn_id: str, tool: str, arguments: dict[str, JSON], caller: Caller) -> ToolCall:
        known = self._mind.runner.registry.tools.get(tool)
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
            result = await self._mind.runner.run(call, confirmed=confirmed)
        except asyncio.CancelledError:
            # The box ends: what is under way is cut off, and the journal says so.
            cut_off = ToolResult(call_id=call.id, tool=call.tool, ok=False, text="", error_code="tool_interrupted")
            self._events.emit("tool_result", "failed", utterance_id=turn_id, message=cut_off)
            raise
        state = "ok" if result.ok else "failed"
        self._events.emit(
            "tool_result",
            state,
            utterance_id=turn_id,
            message=msgspec.structs.replace(result, aloud=""),
            timings={"duration_ms": result.duration_ms},
        )
        self._conversation.did(result, turn_id)
        return result

    def _attend(self, turn_id: str, now: float, for_s: float | None = None) -> None:
        """Listen for the answer to a question; a guest types it."""
        if not self._conversation.guest_of(turn_id):
            self._attention.activation.attend(now, for_s)

    def _say(self, key: str, turn_id: str) -> str:
        return self._mind.runner.phrases_of(turn_id).say(key)

    def _language(self, turn_id: str) -> str:
        return self._conversation.language_of(turn_id) or self._mind.language

    def _reply(
        self, turn_id: str, text: str, sound: SoundName | None, outcome: Outcome, speak: Speak = "always"
    ) -> Reply:
        aloud = "never" if turn_id in self._written else speak
        language = self._language(turn_id)
        if not is_in_letters_of(text, language):
            language = self._mind.likeliest(text)[0].language  # said again, or somebody else's words
        reply = Reply(
            utterance_id=turn_id,
            text=text,
            sound=sound,
            outcome=outcome,
            speak=aloud,
            language=language,
        )
        self._conversation.said(reply)
        self._events.emit("reply", outcome, utterance_id=turn_id, message=reply)
        return reply


def _aloud(call: ToolCall, result: ToolResult, intent: Intent | None) -> Speak:
    """Whether the answer is worth words: what failed is, and what was asked; after "stop" none is."""
    if not result.ok:
        return "always"
    if intent is not None and intent.name in WORDLESS:
        return "never"
    return "in_full" if call.effects else "always"
