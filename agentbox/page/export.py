"""All turns as a file: JSON Lines for programs, CSV for spreadsheets. Neither is ever in memory as a whole."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Any

from starlette.responses import Response, StreamingResponse

from agentbox.errors import InputError
from agentbox.messages import JSON
from agentbox.page.box import Asker
from agentbox.page.paging import today

COLUMNS = (
    "id",
    "started_at",
    "activated_by",
    "text",
    "heard",
    "other_readings",
    "confidence",
    "engine",
    "intent",
    "slots",
    "match",
    "tools",
    "tool_states",
    "replies",
    "outcome",
    "silence_ms",
    "decode_ms",
    "tool_ms",
    "answer_ms",
    "sound_ms",
)

_BYTE_ORDER_MARK = "\ufeff"
"""By which spreadsheets know UTF-8."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How a formula begins, and what some spreadsheets leave out before one."""


async def download(asker: Asker, kind: str) -> Response:
    """`kind`: `jsonl` or `csv`. Raises what the box says before the first turn; a box that ends later breaks the
    download off, so that no part is taken for the whole."""
    if kind not in ("jsonl", "csv"):
        raise InputError("bad_parameter", "format must be jsonl or csv.", "Go back to the list.")
    turns = asker.stream("transcripts.export")
    first = await anext(turns, None)
    line, head, media = (_json, "", "application/x-ndjson") if kind == "jsonl" else (_csv, _heading(), "text/csv")
    name = f"agentbox-{today().isoformat()}.{kind}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(_lines(first, turns, head, line), media_type=f"{media}; charset=utf-8", headers=headers)


async def _lines(first: JSON, turns: AsyncIterator[JSON], head: str, line: Callable[[JSON], str]) -> AsyncIterator[str]:
    async with contextlib.aclosing(turns):  # type: ignore[type-var]
        if head:
            yield head
        if first is not None:
            yield line(first)
            async for turn in turns:
                yield line(turn)


def _json(turn: JSON) -> str:
    return json.dumps(turn, ensure_ascii=False) + "\n"


def _heading() -> str:
    return _BYTE_ORDER_MARK + _row(COLUMNS)


def _csv(turn: dict[str, Any]) -> str:
    """One turn in one row, for the eye: what it has several of is one after the other."""
    transcript, intent = turn["transcript"] or {}, turn["intent"] or {}
    calls, replies = turn["tool_calls"], turn["replies"]
    values = {
        "id": turn["id"],
        "started_at": datetime.fromtimestamp(turn["started_at"]).astimezone().isoformat(timespec="seconds"),
        "activated_by": turn["activated_by"],
        "text": turn["text"],
        "heard": transcript.get("text"),
        "other_readings": "\n".join(one["text"] for one in turn["readings"]),
        "confidence": transcript.get("confidence"),
        "engine": transcript.get("engine"),
        "intent": intent.get("name"),
        "slots": json.dumps(intent["slots"], ensure_ascii=False) if intent else None,
        "match": intent.get("match"),
        "tools": " ".join(call["tool"] for call in calls),
        "tool_states": " ".join(call["state"] for call in calls),
        "replies": "\n".join(reply["text"] for reply in replies),
        "outcome": replies[-1]["outcome"] if replies else None,
        **turn["latency"],
    }
    return _row(tuple(_cell(values[name]) for name in COLUMNS))


def _cell(value: JSON) -> str:
    """As text that no spreadsheet takes for a formula."""
    text = "" if value is None else str(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(_FORMULA) else text


def _row(cells: tuple[str, ...]) -> str:
    """RFC 4180."""
    out = io.StringIO()
    csv.writer(out).writerow(cells)
    return out.getvalue()
