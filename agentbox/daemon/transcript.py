"""From what an engine made of an utterance to the transcript that the rest of the house is told of."""

from __future__ import annotations

from collections.abc import Sequence

from agentbox.asr.engine import Recognition
from agentbox.languages import likeliest
from agentbox.messages import Transcript, Utterance


def transcript_of(
    recognition: Recognition, utterance: Utterance, languages: Sequence[str], engine: str = ""
) -> Transcript:
    """`languages`: all that may be spoken (BCP-47), the box's own first. `engine`: who heard it, where the recognition
    does not say."""
    return Transcript(
        utterance_id=utterance.id,
        text=recognition.text,
        engine=recognition.engine or engine,
        language=likeliest(recognition.text, languages, heard=recognition.language)[0],
        confidence=recognition.confidence,
        audio_ms=utterance.audio_ms,
        decode_ms=recognition.decode_ms,
        suppressed=recognition.suppressed,
        emotion=recognition.emotion,
        as_read=recognition.as_read,
        sound_event=recognition.sound_event,
    )
