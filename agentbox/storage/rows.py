"""Stage events as rows: which event becomes what. Called by the writer, inside its transaction."""

from __future__ import annotations

import io
import json
from collections import OrderedDict
from typing import Any

import msgspec
import numpy as np
import soundfile
from sqlite_utils import Database

from agentbox.messages import (
    SAMPLE_RATE_HZ,
    Activation,
    Intent,
    Notice,
    Reply,
    StageEvent,
    ToolCall,
    ToolResult,
    Transcript,
    Utterance,
)
from agentbox.storage.search import indexed

PENDING_TURNS = 64
"""Utterances not (yet) activated whose timings are kept in memory; their words never come here."""

OPEN_TURNS = 256


class Rows:
    """Writes events. Of an utterance that is never activated nothing is written at all."""

    def __init__(self, *, keep_transcripts: bool, keep_audio: bool) -> None:
        self._keep = keep_transcripts
        self._keep_audio = keep_audio
        self._pending: OrderedDict[str, list[StageEvent]] = OrderedDict()
        self._open: OrderedDict[str, None] = OrderedDict()

    def wants(self, event: StageEvent) -> bool:
        """Whether the event leads to any row."""
        return self._keep and (bool(event.utterance_id) or isinstance(event.message, Reply | Notice))

    def write(self, db: Database, event: StageEvent) -> None:
        turn = event.utterance_id
        if not turn:
            self._without_turn(db, event)
        elif isinstance(event.message, Activation):
            self._begin(db, event, event.message)
        elif turn in self._open:
            self._continue(db, event)
        else:
            self._pending.setdefault(turn, []).append(event)
            if len(self._pending) > PENDING_TURNS:
                self._pending.popitem(last=False)

    def _begin(self, db: Database, event: StageEvent, activation: Activation) -> None:
        turn = event.utterance_id
        _insert(
            db,
            "turns",
            {
                "id": turn,
                "started_at": event.at,
                "activated_by": activation.by,
                "phrase": activation.phrase,
                "text": activation.command,
            },
        )
        _index(db, turn, activation.command)
        self._open[turn] = None
        if len(self._open) > OPEN_TURNS:
            self._open.popitem(last=False)
        for before in self._pending.get(turn, []):
            _stage_time(db, before)
        _stage_time(db, event)

    def _continue(self, db: Database, event: StageEvent) -> None:
        turn, message = event.utterance_id, event.message
        _stage_time(db, event)
        match message:
            case Utterance():
                self._utterance(db, turn, message)
            case Transcript():
                row = {
                    name: getattr(message, name) for name in ("text", "engine", "language", "confidence", "decode_ms")
                }
                _insert(db, "transcripts", {"turn_id": turn, **row})
                _index(db, turn, message.text)
            case Intent():
                names = ("name", "source", "match", "score", "sentence", "language")
                row = {name: getattr(message, name) for name in names}
                _insert(db, "intents", {"turn_id": turn, "slots": _json(message.slots), **row})
            case ToolCall():
                row = {name: getattr(message, name) for name in ("id", "tool", "caller")}
                row |= {"arguments": _json(message.arguments), "effects": int(message.effects)}
                _insert(db, "tool_calls", {"turn_id": turn, "state": "started", "started_at": event.at, **row})
            case ToolResult():
                db.execute(
                    "UPDATE tool_calls SET state = ?, text = ?, data = ?, error_code = ?, duration_ms = ? WHERE id = ?",
                    [
                        "done" if message.ok else "failed",
                        message.text,
                        _json(message.data),
                        message.error_code,
                        message.duration_ms,
                        message.call_id,
                    ],
                )
            case Reply():
                _reply(db, event, message)
            case _:
                return

    def _utterance(self, db: Database, turn: str, utterance: Utterance) -> None:
        names = ("started_at", "first_sample", "audio_ms", "speech_ms", "silence_ms", "end_reason")
        values = [getattr(utterance, name) for name in names]
        db.execute(f"UPDATE turns SET {', '.join(f'{name} = ?' for name in names)} WHERE id = ?", [*values, turn])  # noqa: S608
        if self._keep_audio:
            _insert(db, "audio", {"turn_id": turn, "flac": _flac(utterance.pcm)})

    def _without_turn(self, db: Database, event: StageEvent) -> None:
        if isinstance(event.message, Reply):
            _reply(db, event, event.message)
        elif isinstance(event.message, Notice):
            notice = event.message
            _insert(db, "notices", {"at": event.at, "code": notice.code, "what": notice.what, "level": notice.level})


def _insert(db: Database, table: str, row: dict[str, Any]) -> None:
    """Names come from this module; values are bound. A second row of the same key is not taken: the first stands."""
    marks = ", ".join("?" * len(row))
    db.execute(f"INSERT OR IGNORE INTO {table} ({', '.join(row)}) VALUES ({marks})", list(row.values()))  # noqa: S608


def _index(db: Database, turn: str, text: str) -> None:
    db.execute("DELETE FROM search WHERE turn_id = ?", [turn])
    db.execute("INSERT INTO search (words, turn_id) VALUES (?, ?)", [indexed(text), turn])


def _reply(db: Database, event: StageEvent, reply: Reply) -> None:
    _insert(
        db,
        "replies",
        {"turn_id": event.utterance_id or None, "at": event.at, "text": reply.text, "outcome": reply.outcome},
    )


def _stage_time(db: Database, event: StageEvent) -> None:
    _insert(
        db,
        "stage_times",
        {
            "turn_id": event.utterance_id,
            "stage": event.stage,
            "state": event.state,
            "at": event.at,
            "monotonic_s": event.monotonic_s,
            "timings": _json(event.timings),
        },
    )


def _json(value: Any) -> str:
    return json.dumps(msgspec.to_builtins(value), ensure_ascii=False)


def _flac(pcm: bytes) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, np.frombuffer(pcm, dtype="<i2"), SAMPLE_RATE_HZ, format="FLAC", subtype="PCM_16")
    return out.getvalue()
