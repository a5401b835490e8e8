"""Stage events as rows: which event becomes what. Called by the writer, inside its transaction.

Nothing here remembers anything: an event can be written again after a failure, and what belongs to a turn that is
not in the file (deleted while it was under way) is let go.
"""

from __future__ import annotations

import io
import json
import sqlite3
from typing import Any

import msgspec
import numpy as np
import soundfile
from sqlite_utils import Database

from agentbox.messages import (
    SAMPLE_RATE_HZ,
    Activation,
    Audit,
    Egress,
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

UNWRITABLE = (
    ValueError,
    TypeError,
    OverflowError,
    RecursionError,
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
)
"""What a value that no row can hold raises. It must not keep the rows behind it from being written."""


def write(db: Database, event: StageEvent, sound: bytes | None = None) -> None:
    """Write the rows of one event; `sound` is its utterance as FLAC, where that is kept."""
    turn, message = event.utterance_id, event.message
    if not turn:
        _without_turn(db, event)
        return
    if isinstance(message, Activation):
        _begin(db, event, message)
    elif not db.execute("SELECT 1 FROM turns WHERE id = ?", [clean(turn)]).fetchone():
        return
    _stage_time(db, event)
    match message:
        case Utterance():
            _utterance(db, event, message)
            if sound is not None:
                _insert(db, "audio", {"turn_id": turn, "flac": sound})
        case Transcript():
            _transcript(db, event, message)
        case Intent():
            row = _fields(message, "name", "source", "match", "score", "sentence", "language")
            _insert(db, "intents", {"turn_id": turn, "slots": as_json(message.slots), **row})
        case ToolCall():
            row = {"turn_id": turn, "state": "started", "started_at": event.at, "effects": int(message.effects)}
            row |= {"arguments": as_json(message.arguments), **_fields(message, "id", "tool", "caller")}
            _insert(db, "tool_calls", row)
        case ToolResult():
            _result(db, message)
        case Reply():
            _reply(db, event, message)
        case _:
            return


def as_flac(pcm: bytes) -> bytes:
    """16 kHz mono signed 16-bit sound, a third smaller or more. Raises `ValueError` for half a sample."""
    out = io.BytesIO()
    soundfile.write(out, np.frombuffer(pcm, dtype="<i2"), SAMPLE_RATE_HZ, format="FLAC", subtype="PCM_16")
    return out.getvalue()


def clean(text: str) -> str:
    """Text that SQLite takes: halves of surrogate pairs (bytes that were no UTF-8) become `?`."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _begin(db: Database, event: StageEvent, activation: Activation) -> None:
    row = {
        "id": event.utterance_id,
        "started_at": event.at,
        "activated_by": activation.by,
        "phrase": activation.phrase,
        "text": activation.command,
    }
    if number := _insert(db, "turns", row):
        _execute(db, "INSERT INTO search (rowid, words) VALUES (?, ?)", number, indexed(activation.command))


def _utterance(db: Database, event: StageEvent, utterance: Utterance) -> None:
    values = _fields(utterance, "started_at", "first_sample", "audio_ms", "speech_ms", "silence_ms", "end_reason")
    # Where the sound itself was let go early, its length is among the timings (pending.py).
    values["audio_ms"] = int(event.timings.get("audio_ms", values["audio_ms"]))
    names = ", ".join(f"{name} = ?" for name in values)
    _execute(db, f"UPDATE turns SET {names} WHERE id = ?", *values.values(), event.utterance_id)  # noqa: S608


def _transcript(db: Database, event: StageEvent, transcript: Transcript) -> None:
    """The words that the box goes by are the turn's transcript; what else they were read as stands beside it."""
    turn = event.utterance_id
    read = _fields(transcript, "text", "engine", "language", "confidence", "decode_ms")
    undertone = _fields(transcript, "emotion", "sound_event")
    match event.stage, event.state:
        case "second", "taken":
            columns = ", ".join(read)
            sql = f"SELECT turn_id, 'first', {columns} FROM transcripts WHERE turn_id = ?"  # noqa: S608
            _execute(db, f"INSERT OR IGNORE INTO readings (turn_id, kind, {columns}) {sql}", turn)
            values = read | undertone
            names = ", ".join(f"{name} = ?" for name in values)
            _execute(db, f"UPDATE transcripts SET {names} WHERE turn_id = ?", *values.values(), turn)  # noqa: S608
            _execute(db, "UPDATE turns SET text = ? WHERE id = ?", transcript.command, turn)
            by, counts = "second", True
        case "second", _:
            by, counts = "second", False
        case _, "reheard":
            by, counts = "elsewhere", False
        case _:
            _insert(db, "transcripts", {"turn_id": turn, **read, **undertone})
            by, counts = "first", True
    if not counts:
        _insert(db, "readings", {"turn_id": turn, "kind": by, **read})
    if transcript.as_read:
        _insert(db, "readings", {"turn_id": turn, "kind": f"{by}_as_read", **read, "text": transcript.as_read})
    every = "SELECT text FROM transcripts WHERE turn_id = ? UNION SELECT text FROM readings WHERE turn_id = ?"
    words = " ".join(indexed(text) for (text,) in _execute(db, every, turn, turn).fetchall())
    _execute(db, "UPDATE search SET words = ? WHERE rowid = (SELECT number FROM turns WHERE id = ?)", words, turn)


def _result(db: Database, result: ToolResult) -> None:
    _execute(
        db,
        "UPDATE tool_calls SET state = ?, text = ?, data = ?, error_code = ?, duration_ms = ? WHERE id = ?",
        "done" if result.ok else "unknown" if result.error_code == "tool_interrupted" else "failed",
        result.text,
        as_json(result.data),
        result.error_code,
        result.duration_ms,
        result.call_id,
    )


def _without_turn(db: Database, event: StageEvent) -> None:
    if isinstance(event.message, Reply):
        _reply(db, event, event.message)
    elif isinstance(event.message, Egress):
        _egress(db, event, event.message)
    elif isinstance(event.message, Audit):
        row = _fields(event.message, "device_id", "device_name", "address", "action", "target")
        _insert(db, "audit", {"at": event.at, "outcome": event.state, **row})
    elif isinstance(event.message, Notice):
        _insert(db, "notices", {"at": event.at, **_fields(event.message, "code", "what", "level")})


def _egress(db: Database, event: StageEvent, egress: Egress) -> None:
    begun = _fields(egress, "id", "backend", "model", "reason", "turn_id") | {"started_at": event.at}
    so_far = _fields(egress, "seconds_out", "seconds_in", "bytes_out", "bytes_in", "price", "duration_ms", "outcome")
    so_far["units"] = as_json(egress.units)
    _insert(db, "egress", begun | so_far)
    names = ", ".join(f"{name} = ?" for name in so_far)
    _execute(db, f"UPDATE egress SET {names} WHERE id = ?", *so_far.values(), egress.id)  # noqa: S608


def _reply(db: Database, event: StageEvent, reply: Reply) -> None:
    row = {"turn_id": event.utterance_id or None, "at": event.at, **_fields(reply, "text", "outcome", "language")}
    _insert(db, "replies", row)


def _stage_time(db: Database, event: StageEvent) -> None:
    row = _fields(event, "stage", "state", "at", "monotonic_s")
    _insert(db, "stage_times", {"turn_id": event.utterance_id, **row, "timings": as_json(event.timings)})


def _insert(db: Database, table: str, row: dict[str, Any]) -> int:
    """The number of the new row. A second row of the same key is not taken, and gives 0: the first stands.

    Names come from this module; values are bound.
    """
    marks = ", ".join("?" * len(row))
    sql = f"INSERT OR IGNORE INTO {table} ({', '.join(row)}) VALUES ({marks})"  # noqa: S608
    cursor = _execute(db, sql, *row.values())
    return int(cursor.lastrowid) if cursor.rowcount else 0


def _execute(db: Database, sql: str, *values: Any) -> Any:
    return db.execute(sql, [clean(value) if isinstance(value, str) else value for value in values])


def _fields(message: Any, *names: str) -> dict[str, Any]:
    return {name: getattr(message, name) for name in names}


def as_json(value: Any) -> str:
    """JSON in which what is no number (NaN, infinity) is null, as RFC 8259 has no word for it.

    Raises `TypeError`, `ValueError` or, for what is nested too deeply, `RecursionError`.
    """
    value = msgspec.to_builtins(value)
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except ValueError:
        finite = json.loads(json.dumps(value), parse_constant=lambda _: None)
        return json.dumps(finite, ensure_ascii=False, allow_nan=False)
