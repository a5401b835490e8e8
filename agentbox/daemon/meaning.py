"""What an utterance means: the sound itself under the sentences where the engine can do that, else its words."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from agentbox.asr.engine import Recognition
from agentbox.asr.listener import Ask, Sentences
from agentbox.daemon.activation import Activation, Opened
from agentbox.daemon.mind import Mind
from agentbox.intents.decide import Decision, decide
from agentbox.messages import JSON, ActivatedBy, Intent

Context = dict[str, JSON]


def asking(mind: Mind, activation: Activation, context: Context, by: ActivatedBy | None, *, ringing: bool) -> Ask:
    """Which sentences a sound may be that began with the gate as `by` says: none, unless its words open it.

    None either where the words are a sentence as they stand: they need no second hearing. While it rings everything
    is looked at, for "stop"; whoever asked leaves the rest alone.
    """
    spoken = mind.understander.spoken
    roots = tuple(spoken.active(context))

    def ask(recognition: Recognition) -> Sentences | None:
        opened = activation.decide(recognition.text, by, recognition.wake)
        if opened is None:
            return Sentences(spoken.grammar, roots) if ringing else None
        if not opened.command and (opened.phrase is not None or not recognition.tokens):
            return None
        if mind.understander.free_slots(opened.command, context) == 0:
            return None
        return Sentences(spoken.grammar, roots, opened.start)

    return ask


def of_speech(mind: Mind, recognition: Recognition, opened: Opened, context: Context) -> Decision:
    """What a recognition means; by its words where it was not decoded under the sentences."""
    if recognition.constrain_ms is None:
        return of_text(mind, opened.command, context)
    return decide(mind.understander, recognition.candidates, recognition.free, context)


def of_text(mind: Mind, text: str, context: Context) -> Decision:
    """What written words mean: the sentence they are, or the nearest one."""
    meaning = mind.understander.understand(text, context=context)
    return Decision("act", meaning) if isinstance(meaning, Intent) else Decision("none")


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
