"""What an utterance means: the sound itself under the sentences where the engine can do that, else its words.

Where the box knows several languages, the words are read by the sentences of the one that they are likeliest in, then
by those of the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import msgspec

from agentbox.asr.engine import Recognition
from agentbox.asr.listener import Ask, Sentences
from agentbox.daemon.activation import Activation, Opened
from agentbox.daemon.mind import ANSWERS, Mind, Tongue
from agentbox.intents.decide import Decision, decide
from agentbox.languages import is_in_letters_of
from agentbox.messages import JSON, ActivatedBy, Intent

Context = dict[str, JSON]

ASKED_IN = "language"
"""In the context: the language of the box's open question."""


def asking(mind: Mind, activation: Activation, context: Context, by: ActivatedBy | None, *, ringing: bool) -> Ask:
    """Which sentences a sound may be that began with the gate as `by` says: none, unless its words open it.

    None either where the words are a sentence as they stand: they need no second hearing. While it rings everything
    is looked at, for "stop"; whoever asked leaves the rest alone.
    """
    own = mind.tongues[0]
    roots = tuple(own.understander.spoken.active(context))

    def sentences(text: str, heard: str | None, start: int = 0) -> Sentences:
        # The box's own language is always heard.
        tongue = next(one for one in mind.likeliest(text, heard, _asked_in(context)) if one.heard)
        spoken = tongue.understander.spoken
        return Sentences(spoken.grammar, roots if tongue is own else tuple(spoken.active(context)), start)

    def ask(recognition: Recognition) -> Sentences | None:
        opened = activation.decide(recognition.text, by, recognition.wake)
        if opened is None:
            return sentences(recognition.text, recognition.language) if ringing else None
        if not opened.command and (opened.phrase is not None or not recognition.tokens):
            return None
        tongues = _tried(mind, opened.command, context, recognition.language)
        if any(tongue.understander.free_slots(opened.command, context) == 0 for tongue in tongues):
            return None
        return sentences(opened.command, recognition.language, opened.start)

    return ask


def of_speech(mind: Mind, recognition: Recognition, opened: Opened, context: Context) -> Decision:
    """What a recognition means; by its words where it was not decoded under the sentences."""
    if recognition.constrain_ms is None:
        return of_text(mind, opened.command, context, recognition.language)
    likeliest = mind.likeliest(opened.command, recognition.language, _asked_in(context))[0]
    tongue = mind.in_language(recognition.sentences_in or likeliest.language)
    decision = decide(tongue.understander, recognition.candidates, recognition.free, context)
    if decision.outcome == "none" and len(mind.tongues) > 1:
        tried = _tried(mind, opened.command, context, recognition.language)
        exact = _exact(tried, opened.command, context) or _in_others(mind, tried, opened.command, context)
        if exact is not None and exact.language != tongue.language:
            return Decision("act", exact, language=exact.language)
    return replace(decision, language=tongue.language)


def of_text(mind: Mind, text: str, context: Context, heard: str | None = None) -> Decision:
    """What written words mean: the sentence they are, or the nearest one. `heard`: the language that an engine told."""
    tongues = tried = _tried(mind, text, context, heard)
    if len(tongues) > 1 and (exact := _exact(tongues, text, context)) is not None:
        tongues = [mind.in_language(exact.language)]
    for tongue in tongues:
        meaning = tongue.understander.understand(text, context=context)
        if isinstance(meaning, Intent):
            return Decision("act", meaning, language=tongue.language)
    if (other := _in_others(mind, tried, text, context)) is not None:
        return Decision("act", other, language=other.language)
    return Decision("none", language=tongues[0].language)


def _in_others(mind: Mind, tried: Sequence[Tongue], text: str, context: Context) -> Intent | None:
    """A sentence of a language in whose letters no word is ("movie time" among the owner's Chinese ones)."""
    readings = (one.understander.read(text, context) for one in mind.tongues if one not in tried)
    return next((intent for intent in readings if intent is not None), None)


def _exact(tongues: Sequence[Tongue], text: str, context: Context) -> Intent | None:
    """A sentence that the text is as it stands, in the first of the languages. What only answers the box's question is
    meant in the language of the question, where it can be said there: "OK", "iPad"."""
    readings = (one.understander.read(text, context) for one in tongues)
    found = [intent for intent in readings if intent is not None]
    if found and found[0].name in ANSWERS:
        return next((intent for intent in found if intent.language == context.get(ASKED_IN)), found[0])
    return found[0] if found else None


def _tried(mind: Mind, text: str, context: Context, heard: str | None) -> list[Tongue]:
    """The languages worth trying, the likeliest first: those in whose letters any word is, and that of the question."""
    asked = _asked_in(context)
    first, *others = mind.likeliest(text, heard, asked)
    return [first, *(one for one in others if one.language == asked or is_in_letters_of(text, one.language))]


def _asked_in(context: Context) -> str:
    return str(context.get(ASKED_IN, ""))


class Meanings:
    """Remembers the last meaning: what was worked out in a pause is not worked out again when the turn ends."""

    def __init__(self) -> None:
        self._last: tuple[tuple[Mind, Recognition | None, Opened, Context], Decision] | None = None

    def of(
        self, mind: Mind, recognition: Recognition | None, opened: Opened, context: Context, turn_id: str
    ) -> Decision:
        """The meaning of what was heard, or (recognition null) written."""
        asked = (mind, recognition, opened, context)
        if self._last is None or self._last[0] != asked:
            decision = (
                of_text(mind, opened.command, context)
                if recognition is None
                else of_speech(mind, recognition, opened, context)
            )
            self._last = (asked, decision)
        decision = self._last[1]
        if decision.intent is None:
            return decision
        return replace(decision, intent=msgspec.structs.replace(decision.intent, utterance_id=turn_id))
