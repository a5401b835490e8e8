"""Stage events as lines a person can follow: what was heard, understood, done and answered."""

from __future__ import annotations

import json
from datetime import datetime

import click

from agentbox.messages import (
    Activation,
    Confirmation,
    Intent,
    Message,
    Notice,
    NotUnderstood,
    PartialTranscript,
    Reply,
    StageEvent,
    ToolCall,
    ToolResult,
    Transcript,
)

_COLOURS = {
    "notice": "yellow",
    "transcript": "cyan",
    "second": "cyan",
    "intent": "green",
    "reply": "bright_white",
    "partial": "blue",
}


def echo_event(event: StageEvent, *, words: bool) -> None:
    """Print one event on one line; with `words` false only what carries no words."""
    line = describe(event, words=words)
    if line is None:
        return
    stamp = datetime.fromtimestamp(event.at).astimezone().strftime("%H:%M:%S")
    label = click.style(f"{event.stage.replace('_', ' '):12}", fg=_COLOURS.get(event.stage))
    click.echo(f"{stamp}  {label} {line}")


def describe(event: StageEvent, *, words: bool) -> str | None:
    """The event in words, or null for one that only figures are interested in."""
    message, figures = event.message, event.timings
    if isinstance(message, Notice):
        # The log tells it, on standard error: once is enough.
        return None
    if event.stage == "box":
        return event.state.replace("_", " ")
    if event.stage == "speech" and event.state == "started":
        return "somebody speaks"
    if event.stage == "utterance" and event.state == "ended":
        return f"{figures['speech_ms'] / 1000:.1f} s of speech, ended after {figures['silence_ms']:.0f} ms of silence"
    if event.stage == "transcript" and event.state == "not_activated":
        return f"not for the box (decoded in {figures['decode_ms']:.0f} ms)"
    if event.stage == "transcript" and event.state == "suppressed":
        return f"no words in it (decoded in {figures['decode_ms']:.0f} ms)"
    if event.stage == "second":
        read = f"“{message.text}”" if words and isinstance(message, Transcript) else ""
        waited = f"(read again, {event.state.replace('_', ' ')}, waited {figures['second_wait_ms']:.0f} ms)"
        return f"{read}  {waited}".strip()
    if message is None:
        return None
    text = _words(message) if words else event.state.replace("_", " ")
    return None if text is None else text + _figures(event)


def _words(message: Message) -> str | None:
    match message:
        case PartialTranscript():
            return f"{message.text} …"
        case Transcript():
            return f"“{message.text}”"
        case Activation():
            return f"by {message.by.replace('_', ' ')}" if message.by not in ("always", "control") else None
        case Intent():
            slots = " ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in message.slots.items())
            how = message.match if message.match == "exact" else f"{message.match} {message.score:.2f}"
            return f"{message.name} {slots} ({how}, {message.source})".replace("  ", " ")
        case NotUnderstood():
            return "no command"
        case ToolCall():
            return f"{message.tool} {json.dumps(message.arguments, ensure_ascii=False)}"
        case ToolResult():
            return f"{message.tool} {'ok' if message.ok else message.error_code}"
        case Confirmation():
            return message.question
        case Reply():
            return message.text or (f"({message.sound})" if message.outcome == "attention" else None)
        case _:
            return None


def _figures(event: StageEvent) -> str:
    figures = event.timings
    if event.stage == "transcript":
        return f"  decoded in {figures.get('decode_ms', 0):.0f} ms"
    if event.stage == "tool_call" and "since_speech_end_ms" in figures:
        return f"  {figures['since_speech_end_ms']:.0f} ms after the last word"
    if event.stage == "tool_result":
        return f"  in {figures.get('duration_ms', 0):.0f} ms"
    return ""
