"""Turns as the box tells them: the stage events of docs/events.md, in their order."""

from __future__ import annotations

import time
from collections.abc import Iterator

import msgspec

from agentbox.messages import (
    Activation,
    Intent,
    Message,
    Notice,
    Reply,
    Stage,
    StageEvent,
    ToolCall,
    ToolResult,
    Transcript,
    Utterance,
    new_id,
)

NOW = 1_790_000_000.0


def event(
    turn: str, stage: Stage, state: str, message: Message | None = None, *, at: float = NOW, **timings: float
) -> StageEvent:
    return StageEvent(
        stage=stage,
        state=state,
        at=at,
        monotonic_s=time.monotonic(),
        utterance_id=turn,
        timings=timings,
        message=message,
    )


def heard(
    turn: str,
    text: str,
    *,
    at: float = NOW,
    pcm: bytes = b"\1\0" * 1600,
    emotion: str | None = None,
    sound_event: str | None = None,
) -> list[StageEvent]:
    """A spoken turn up to its transcript."""
    utterance = Utterance(
        id=turn, started_at=at, first_sample=16000, pcm=pcm, speech_ms=80, silence_ms=20, end_reason="silence"
    )
    transcript = Transcript(
        utterance_id=turn,
        text=text,
        engine="moonshine",
        language="en",
        confidence=0.9,
        decode_ms=7.0,
        emotion=emotion,
        sound_event=sound_event,
    )
    return [
        event(turn, "speech", "started", at=at, level_dbfs=-30.0),
        event(turn, "utterance", "ended", at=at, audio_ms=100.0),
        event(turn, "activation", "opened", Activation(utterance_id=turn, by="always", command=text), at=at),
        event(turn, "utterance", "kept", utterance, at=at),
        event(turn, "transcript", "final", transcript, at=at, decode_ms=7.0),
    ]


def read_again(turn: str, state: str, text: str, *, at: float = NOW, as_read: str = "") -> StageEvent:
    """What a second speech model made of it (`taken`, `unused`), or (`reheard`) a recogniser elsewhere."""
    stage: Stage = "transcript" if state == "reheard" else "second"
    transcript = Transcript(
        utterance_id=turn, text=text, engine="strong", language="en", confidence=0.97, decode_ms=70.0, as_read=as_read
    )
    transcript = msgspec.structs.replace(transcript, command=text)
    return event(turn, stage, state, transcript, at=at, second_wait_ms=90.0)


def called(turn: str, *, at: float = NOW, words: str = "milk") -> StageEvent:
    call = ToolCall(id=new_id(), utterance_id=turn, tool="list_add", arguments={"item": words}, caller="speech")
    return event(turn, "tool_call", "started", call, at=at)


def acted(turn: str, text: str, *, at: float = NOW) -> list[StageEvent]:
    """What follows: meaning, deed and answer; the words in every place that holds words."""
    intent = Intent(
        utterance_id=turn, name="HassListAddItem", slots={"item": text}, text=text, source="builtin", match="exact"
    )
    meant = event(turn, "intent", "exact", intent, at=at, score=1.0)
    call = called(turn, at=at, words=text)
    assert isinstance(call.message, ToolCall)
    result = ToolResult(call_id=call.message.id, tool="list_add", ok=True, text=text, data={"item": text})
    return [
        meant,
        call,
        event(turn, "tool_result", "ok", result, at=at, duration_ms=1.0),
        event(turn, "reply", "done", Reply(utterance_id=turn, text=text, sound="done", outcome="done"), at=at),
    ]


def whole_turn(
    text: str,
    *,
    at: float = NOW,
    turn: str | None = None,
    emotion: str | None = None,
    sound_event: str | None = None,
) -> tuple[str, list[StageEvent]]:
    turn = turn or new_id()
    spoken = heard(turn, text, at=at, emotion=emotion, sound_event=sound_event)
    return turn, [*spoken, *acted(turn, text, at=at)]


def unasked(text: str, *, at: float = NOW) -> Iterator[StageEvent]:
    """What belongs to no turn: an alert and a notice."""
    yield event("", "reply", "alert", Reply(utterance_id="", text=text, sound="timer", outcome="alert"), at=at)
    yield event("", "notice", "some_code", Notice(code="some_code", what=text), at=at)
