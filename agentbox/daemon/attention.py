"""Whether what was heard is for the box, and what it means: activation, the box's own voice, and understanding."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol

from agentbox.asr.engine import Recognition
from agentbox.asr.listener import Ask
from agentbox.audio.segment import Completeness
from agentbox.daemon.activation import Activation, Opened
from agentbox.daemon.hearing import Heard
from agentbox.daemon.meaning import ASKED_IN, Meanings, asking
from agentbox.daemon.mind import Mind
from agentbox.daemon.own_words import begins, overlap
from agentbox.daemon.questions import Questions
from agentbox.intents.decide import Decision
from agentbox.intents.followups import FollowUps
from agentbox.messages import JSON, ActivatedBy, Intent
from agentbox.tools.policy import Confirmations

STOP = "AgentboxStop"

OWN_SHARE = 0.8
"""If so much of what was heard while the box spoke is what it said, the rest was misheard."""

LEAST_OWN = 3

FIRST_WORDS_S = 0.7
"""What was heard so soon after the box began to say something, or before its first sound was noticed, may be that."""

UNASKED = ("always", "follow_up")
"""Nobody called the box: others are talked to as well, and what is not sure to be a command is none."""


QUESTIONS = ("confirmation", "asked")
"""Keys of the context that say that a question of the box's is open."""

MOST_GUESTS = 64
"""Whose talk is remembered apart; past that the first is forgotten."""


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

    def began(self, begin_s: float, end_s: float) -> list[str]: ...

    def confiding(self, begin_s: float, end_s: float) -> bool:
        """Whether it said between two moments what is kept nowhere."""
        ...


@dataclass(slots=True)
class Talk:
    """What the talk with the box stands on; a new configuration makes a new one."""

    mind: Mind
    activation: Activation
    followups: FollowUps
    confirmations: Confirmations
    questions: Questions
    asked: Intent | None = None
    """What the open question asks whether it was meant; null where it was clear and is risky."""
    confirming: Intent | None = None
    """What the call carries out that the open question is about; null: nothing that was said as a sentence."""
    asked_in: str = ""
    """The language of the last question."""
    _guests: dict[str, Talk] = field(default_factory=dict)

    def of(self, guest: str) -> Talk:
        """The talk with this guest, who neither answers nor goes on with what was said to others. Empty: the owner's,
        who are whoever speaks at the box, and those whom they let in as owners."""
        if not guest:
            return self
        if guest not in self._guests:
            if len(self._guests) >= MOST_GUESTS:
                del self._guests[next(iter(self._guests))]
            self._guests[guest] = replace(
                self,
                followups=FollowUps(self.followups.seconds),
                confirmations=Confirmations(self.confirmations.valid_s),
                questions=Questions(self.questions.valid_s),
                asked=None,
                confirming=None,
                _guests={},
            )
        return self._guests[guest]

    def context(self, now: float) -> dict[str, JSON]:
        """What the last turns left open, as hassil's intent context."""
        context = dict(self.followups.context(now))
        if self.confirmations.pending(now) is not None:
            context["confirmation"] = "pending"
        if (asked := self.questions.asked(now)) is not None:
            context["asked"] = asked
        if len(self.mind.tongues) > 1 and not context.keys().isdisjoint(QUESTIONS):
            context[ASKED_IN] = self.asked_in
        return context


class Verdict(NamedTuple):
    """What became of an utterance."""

    opened: Opened | None
    """Null: it is not for the box."""
    state: str
    """Why it is not: `not_activated`, `suppressed` or `own_voice`."""
    recognition: Recognition | None
    """What to understand it by besides its words; null where the sound holds others' words as well."""


class Attention:
    """The `Judge` that hearing asks while somebody speaks, and the one who decides when they have spoken."""

    def __init__(
        self, talk: Talk, voice: OwnVoice | None = None, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.talk = talk
        self._voice = voice
        self._monotonic = monotonic
        self._meanings = Meanings()

    @property
    def activation(self) -> Activation:
        return self.talk.activation

    def context(self) -> dict[str, JSON]:
        """What the last turns left open, now."""
        return self.talk.context(self._monotonic())

    @property
    def is_asking(self) -> bool:
        """Whether a question of the box's is open."""
        return not self.context().keys().isdisjoint(QUESTIONS)

    def understand(self, recognition: Recognition | None, opened: Opened, turn_id: str, *, guest: str = "") -> Decision:
        """What was heard, or (recognition null) written, means now; `guest`: who wrote it, if that is no owner."""
        context = self.talk.of(guest).context(self._monotonic())
        return self._meanings.of(self.talk.mind, recognition, opened, context, turn_id)

    def asking(self, by: ActivatedBy | None) -> Ask:
        """Which sentences a sound may be that began with the gate as `by` says."""
        ringing = self.activation.alerting(self._monotonic())
        return asking(self.talk.mind, self.activation, self.context(), by, ringing=ringing)

    def completeness(self, recognition: Recognition, by: ActivatedBy | None) -> Completeness:
        """How words stand as a command, for endpointing; all that is kept of them is their meaning, until the next."""
        opened = self.activation.decide(recognition.text, by, recognition.wake)
        if opened is None:
            # What is to be silent is not made to wait.
            return "complete" if self._stopped(recognition, recognition.text) is not None else "no"
        if opened.phrase is not None and not opened.command:
            return "no"
        # What it means is looked up in the pause too, where it costs nobody any time.
        decision = self.understand(recognition, opened, "")
        if decision.outcome != "act" or decision.intent is None or decision.intent.match == "forgiving":
            return "no"
        tongue = self.talk.mind.in_language(decision.language)
        return tongue.understander.completeness(decision.intent.text, self.context())

    def overheard(self) -> bool:
        """Whether what is heard now may be the box itself."""
        return self._voice is not None and self._voice.half_duplex and self._voice.audible

    def amidst(self, text: str, begin_s: float) -> bool:
        """Whether the words so far of an utterance that began at `begin_s` hold somebody's order amidst the box's own
        words. Where the microphone does not hear the box, there is no need to know before the utterance is over."""
        if self._voice is None or not self._voice.half_duplex:
            return False
        own = self._voice.said(begin_s, self._monotonic())
        opened = self._amidst(text, own) if own else None
        if opened is None or opened.phrase is None:
            return opened is not None
        # An order may go on.
        tongue = self.talk.mind.likeliest(opened.command)[0]
        return tongue.understander.completeness(opened.command, self.context()) == "complete"

    def judge(self, heard: Heard) -> Verdict:
        """Whether an utterance is for the box."""
        text, recognition = heard.transcript.text, heard.recognition
        if own := self._own_words(heard):
            return Verdict(self._amidst(text, own), "own_voice", None)
        opened = self._opened(heard)
        if opened is not None and self._is_murmur(opened, recognition):
            opened = None
        return Verdict(opened, "not_activated" if text else "suppressed", recognition)

    def confiding(self, heard: Heard) -> bool:
        """Whether the box said meanwhile what is kept nowhere: no word of that may be kept as something heard."""
        return self.confided(heard.speech_began_s, heard.speech_ended_s)

    def confided(self, begin_s: float, end_s: float) -> bool:
        return self._voice is not None and self._voice.confiding(begin_s, end_s)

    def _opened(self, heard: Heard) -> Opened | None:
        """Whether the words are for the box. While it rings or speaks, "stop" always is; whatever else is said then is
        not.

        Words that a guard threw away are for the box where the sound is a command all the same.
        """
        text, recognition = heard.transcript.text, heard.recognition
        opened = self.activation.decide(text, heard.by, recognition.wake)
        if opened is None:
            return self._stopped(recognition, text)
        return opened if text or self.understand(recognition, opened, "").outcome == "act" else None

    def _stopped(self, recognition: Recognition, text: str) -> Opened | None:
        """ "Stop" without a wake phrase, where it counts."""
        if not self.activation.alerting(self._monotonic()):
            return None
        stop = Opened("attention", text)
        return stop if _is_stop(self.understand(recognition, stop, "")) else None

    def _is_murmur(self, opened: Opened, recognition: Recognition) -> bool:
        """Whether it means nothing to the box, and nobody called it: "mm-hm" while it speaks, talk with others."""
        held = self._voice is not None and self._voice.held
        if opened.phrase is not None or not (
            opened.by == "follow_up" or (held and opened.by in ("attention", "always"))
        ):
            return False
        return self.understand(recognition, opened, "").outcome != "act"

    def _own_words(self, heard: Heard) -> str:
        """What the box said meanwhile, where it may be what was heard."""
        if self._voice is None:
            return ""
        begin_s = heard.speech_began_s
        own = self._voice.said(begin_s, heard.speech_ended_s)
        if not own:
            return ""
        if self.confiding(heard):
            return own
        text = heard.transcript.text
        words, share, _ = overlap(text, own)
        if self._voice.half_duplex:
            return own if share > 0.0 else ""
        # Before the echo is learnt, its first words may come through; nobody answers a question with its own beginning.
        if any(begins(text, talk) for talk in self._voice.began(begin_s - FIRST_WORDS_S, begin_s + FIRST_WORDS_S)):
            return own
        # A word or two that the box has said as well are rather an answer than the rest of an echo.
        return own if share >= OWN_SHARE and words >= LEAST_OWN else ""

    def _amidst(self, text: str, own: str) -> Opened | None:
        """Whether somebody spoke to the box amidst its own words: "stop", or a wake phrase and a command. By the words
        alone: the sound is of both."""
        for rest in overlap(text, own).others:
            called = self.activation.decide(rest, None)
            if called is not None and called.command and self.understand(None, called, "").intent is not None:
                return called
            stop = Opened("attention", rest)
            if _is_stop(self.understand(None, stop, "")):
                return stop
        return None


def _is_stop(decision: Decision) -> bool:
    intent = decision.intent
    return decision.outcome == "act" and intent is not None and intent.name == STOP and intent.match != "forgiving"
