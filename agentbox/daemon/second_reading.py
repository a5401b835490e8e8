"""A second, stronger model reads what the first one was not sure of, before the box goes by its words.

The first model answers at once: it finds the end of an utterance, shows partial transcripts and hears commands. What is
surely a command never waits. Only what was said to the box is read twice, and never what may hold the box's own voice.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple, Protocol

import msgspec
import numpy as np

from agentbox.asr.engine import Recognition
from agentbox.asr.listener import Ask, Sentences
from agentbox.asr.worker import Sound
from agentbox.config import Asr
from agentbox.daemon.activation import Opened
from agentbox.daemon.attention import Attention
from agentbox.daemon.events import Events
from agentbox.daemon.handover import meant_sound
from agentbox.daemon.hearing import Heard
from agentbox.daemon.transcript import transcript_of
from agentbox.intents.decide import Decision
from agentbox.intents.words import words_of
from agentbox.messages import Message

SURE, LIKELY, DOUBTFUL, NOTHING = 3, 2, 1, 0
"""How well words are understood: as a command; as one that is alike; as one that may be meant; not at all."""


class Decoder(Protocol):
    """The second inference thread, as it is used here."""

    def final(self, sound: Sound, speech_ms: int | None = None, ask: Ask | None = None) -> asyncio.Future[Recognition]:
        """See `InferenceThread`."""
        ...


class Reading(NamedTuple):
    """An utterance for the box, as one of the models read it."""

    heard: Heard
    opened: Opened
    decision: Decision


class SecondReading:
    """Asked within a turn, one turn at a time; all in the event loop.

    `decoder`: the second model; null where there is none now. `settings`: the section `asr`.
    """

    def __init__(
        self,
        decoder: Callable[[], Decoder | None],
        settings: Callable[[], Asr],
        attention: Attention,
        events: Events,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._decoder = decoder
        self._settings = settings
        self._attention = attention
        self._events = events
        self._monotonic = monotonic
        self._waiting: asyncio.Future[Recognition] | None = None

    async def of(self, first: Reading, *, as_text: bool) -> Reading:
        """The reading that counts. `as_text`: where the box does not understand it, its words are given to others.

        The second one counts where it comes in time and is not understood less well.
        """
        decoder = self._decoder()
        if decoder is None or not self._is_wanted(first, as_text):
            return first
        began_s = self._monotonic()
        state, recognition = await self._read(decoder, first, began_s)
        timings = {"second_wait_ms": (self._monotonic() - began_s) * 1000}
        second = None if recognition is None else self._understood(first, recognition)
        message: Message | None = None
        if recognition is not None:
            timings["second_decode_ms"] = recognition.decode_ms + (recognition.hotwords_ms or 0.0)
        if second is not None:
            state = self._compared(first, second, as_text)
            message = None if state == "same" else second.heard.transcript
        self._events.emit("second", state, utterance_id=first.heard.utterance.id, message=message, timings=timings)
        return second if second is not None and state == "taken" else first

    def give_up(self) -> None:
        """Somebody's turn comes after this one: it shall not wait."""
        if self._waiting is not None:
            self._waiting.cancel()

    def outdated(self, heard: Heard) -> None:
        """Somebody has spoken meanwhile; where it was to the box, give up: it may be "stop"."""
        if self._waiting is not None and self._attention.judge(heard).opened is not None:
            self.give_up()

    def _is_wanted(self, first: Reading, as_text: bool) -> bool:
        """Whether the words may be others, and that would matter."""
        by, confidence = first.opened.by, first.heard.recognition.confidence
        rank, unsure = rank_of(first.decision), confidence is None or confidence < self._settings().second_below
        if by == "follow_up":
            return False  # nobody called the box
        if rank == SURE:
            return unsure and self._holds_free_words(first.decision)
        if rank == LIKELY:
            return unsure
        if by == "always" and not as_text:
            return False  # others are talked to as well, and nothing comes of it
        return unsure or as_text or rank == DOUBTFUL

    def _holds_free_words(self, decision: Decision) -> bool:
        """Whether a command holds words that no sentence knows (what is to be put on a list): they may be misread,
        however sure the command is."""
        intent = decision.intent
        if intent is None:
            return False
        tongue = self._attention.talk.mind.in_language(decision.language)
        return bool(tongue.understander.free_slots(intent.text, self._attention.context()))

    async def _read(self, decoder: Decoder, first: Reading, now: float) -> tuple[str, Recognition | None]:
        """What became of it, and the reading where there is one: of one that was not finished the words alone."""
        utterance = first.heard.utterance
        # Whoever waits counts from their last word. A box that is behind reads nothing twice.
        left_s = first.heard.speech_ended_s + self._settings().second_within_s - now
        if left_s <= 0:
            return "late", None
        # What was said before the wake phrase is none of the box's business, and may be none of others' either.
        pcm = meant_sound(utterance, first.opened) if first.opened.lead else utterance.pcm
        asking, free = self._attention.asking(first.opened.by), list[Recognition]()

        def ask(read: Recognition) -> Sentences | None:
            # In the inference thread: the words are known here, and decoding under the sentences may take longer.
            free.append(read)
            return asking(read)

        answer = decoder.final(np.frombuffer(pcm, dtype="<i2"), utterance.speech_ms, ask)
        self._waiting = answer
        try:
            await asyncio.wait({answer}, timeout=left_s)
        finally:
            self._waiting = None
            came = answer.done()
            answer.cancel()
        if came and not answer.cancelled():
            # Whoever has the thread was told why.
            return ("failed", None) if answer.exception() is not None else ("nothing", answer.result())
        return "given_up" if came else "late", free[-1] if free else None

    def _understood(self, first: Reading, recognition: Recognition) -> Reading | None:
        """The second reading; null where it holds no words for the box."""
        by, before = first.opened.by, first.heard.transcript
        opened = self._attention.activation.decide(recognition.text, by)
        if opened is None or not opened.command:
            return None
        decision = self._attention.understand(recognition, opened, first.heard.utterance.id)
        languages = [tongue.language for tongue in self._attention.talk.mind.tongues]
        engine = os.path.basename(self._settings().second_model or "")
        transcript = transcript_of(recognition, first.heard.utterance, languages, engine)
        transcript = msgspec.structs.replace(
            transcript,
            command=opened.command,
            emotion=transcript.emotion or before.emotion,
            sound_event=transcript.sound_event or before.sound_event,
        )
        heard = replace(first.heard, transcript=transcript, recognition=recognition)
        return Reading(heard, opened._replace(phrase=first.opened.phrase), decision)

    def _compared(self, first: Reading, second: Reading, as_text: bool) -> str:
        one, other = rank_of(first.decision), rank_of(second.decision)
        if one == other and _words(first.opened.command) == _words(second.opened.command):
            return "same"
        # What the first took for a doubtful command is rather put to others in better words than asked back.
        return "taken" if other >= one or (one == DOUBTFUL and as_text) else "unused"


def _words(text: str) -> list[str]:
    """Without punctuation and capitals."""
    return [word.text for word in words_of(text)]


def rank_of(decision: Decision) -> int:
    """One of `SURE`, `LIKELY`, `DOUBTFUL`, `NOTHING`."""
    if decision.intent is None or decision.outcome == "none":
        return NOTHING
    if decision.outcome == "ask":
        return DOUBTFUL
    return LIKELY if decision.intent.match == "forgiving" else SURE
