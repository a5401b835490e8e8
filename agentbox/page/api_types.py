"""What comes out of the HTTP interface, as types: they check the daemon's answers, and become its description.

Answers may hold more keys than stand here: later versions add some.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta

from agentbox.messages import JSON, Caller, MatchKind, Role, Scope


class NoticeRow(msgspec.Struct, frozen=True):
    code: str
    what: str
    todo: str
    level: str


class Status(msgspec.Struct, frozen=True):
    running: bool
    version: str
    model: str
    language: str
    other_languages: list[str]
    activation: str
    cloud: str
    backends: dict[str, str]
    notices: list[NoticeRow]
    sound: str
    microphone: str | None
    echo: str
    muted: bool
    muted_until: float | None
    level_dbfs: float | None
    speaking: bool
    cloud_uses: int
    inference: bool
    queue: int
    healthy: bool
    up_s: float
    utterances_last_hour: int
    pid: int
    set_up: bool
    config: str | None = None
    memory_mb: float | None = None
    last_error: str | None = None
    second_model: str | None = None
    second_model_state: str = "off"


class Asked(msgspec.Struct, frozen=True):
    text: str
    intent: str | None
    slots: dict[str, JSON]
    tool: str | None
    ok: bool
    reply: str
    outcome: str
    language: str


class Understood(msgspec.Struct, frozen=True):
    text: str
    intent: str | None
    slots: dict[str, JSON]
    confidence: float
    match: MatchKind | None
    source: str | None
    sentence: str | None
    tool: str | None
    policy: str | None


class Reloaded(msgspec.Struct, frozen=True):
    reloaded: bool


class Tool(msgspec.Struct, frozen=True):
    name: str
    description: str
    module: str
    intents: list[str]
    parameters: dict[str, JSON]
    effects: bool
    risk: str
    speech: str
    policy: dict[str, str]
    fixed: list[str]
    example: str | None


class LastCall(msgspec.Struct, frozen=True):
    tool: str
    at: float
    caller: str
    state: str
    error_code: str | None


class PolicySet(msgspec.Struct, frozen=True):
    tool: str
    caller: Caller
    policy: str


class Timer(msgspec.Struct, frozen=True):
    id: int
    kind: str
    name: str
    message: str
    left_s: float
    paused: bool
    ringing: bool
    rings_at: Annotated[str, Meta(description="ISO 8601; null while it is paused.")] | None


class ListItem(msgspec.Struct, frozen=True):
    text: str
    done: bool


class KeptList(msgspec.Struct, frozen=True):
    name: str
    items: list[ListItem]


class SentenceFile(msgspec.Struct, frozen=True):
    id: str
    path: str
    page: bool
    writable: bool


class SentenceText(SentenceFile, frozen=True):
    text: str
    version: str


class SentenceFinding(msgspec.Struct, frozen=True):
    file: str
    line: int
    code: str
    level: str
    what: str
    todo: str


class SentencesSaved(msgspec.Struct, frozen=True):
    version: str
    findings: list[SentenceFinding]


class Backend(msgspec.Struct, frozen=True):
    name: str
    kind: str
    model: str
    state: str
    problem: str | None
    connected: bool


class Tested(msgspec.Struct, frozen=True):
    acknowledged_s: float


class EgressRow(msgspec.Struct, frozen=True):
    id: str
    started_at: float
    backend: str
    model: str
    reason: str
    turn_id: str
    seconds_out: float
    seconds_in: float
    bytes_out: int
    bytes_in: int
    units: JSON
    price: float
    duration_ms: float
    outcome: str


class EgressDay(msgspec.Struct, frozen=True):
    day: str
    backend: str
    uses: int
    turns: int
    seconds_out: float
    seconds_in: float
    bytes_out: int
    bytes_in: int
    price: float


class EgressBudget(msgspec.Struct, frozen=True):
    day: str
    policy: str
    backends: list[str]
    text_model: str
    quiet_hours: str | None
    minutes_per_day: float | None
    money_per_day: float | None
    spent_minutes: float
    spent_money: float
    left_minutes: float | None
    left_money: float | None


class Kept(msgspec.Struct, frozen=True):
    turns: int
    with_sound: int
    oldest_at: float | None
    transcripts: bool
    audio: bool
    retention_days: int


class Turn(msgspec.Struct, frozen=True):
    id: str
    started_at: float
    activated_by: str
    text: str
    intent: str | None
    slots: JSON
    tool: str | None
    tool_state: str | None
    reply: str | None
    outcome: str | None
    latency: JSON = None


class WholeTurn(msgspec.Struct, frozen=True):
    id: str
    started_at: float
    activated_by: str
    text: str
    transcript: dict[str, JSON] | None
    readings: list[dict[str, JSON]]
    intent: dict[str, JSON] | None
    tool_calls: list[dict[str, JSON]]
    replies: list[dict[str, JSON]]
    stages: list[dict[str, JSON]]
    audio: bool


class Deleted(msgspec.Struct, frozen=True):
    deleted: int


class Size(msgspec.Struct, frozen=True):
    size_bytes: int


class Muted(msgspec.Struct, frozen=True):
    muted: bool
    muted_until: float | None
    closed: bool


class Unmuted(msgspec.Struct, frozen=True):
    muted: bool
    muted_until: float | None


class Restarting(msgspec.Struct, frozen=True):
    restarting: bool


class Updates(msgspec.Struct, frozen=True):
    check: bool
    asked_at: float | None
    newest: str
    newer: bool


class System(msgspec.Struct, frozen=True):
    agentbox: str
    python: str
    onnxruntime: str
    model: str
    name: str
    up_s: float | None
    memory_mb: float | None
    machine_memory_mb: float | None
    machine_free_mb: float | None
    sound: str | None
    microphone: str | None
    speaker: str
    notices: list[NoticeRow]
    updates: Updates
    folder: str
    folder_bytes: int
    free_bytes: int | None
    at: float
    zone: str
    offset_s: float
    clock_is_set: bool


class Check(msgspec.Struct, frozen=True):
    check: str
    state: Literal["ok", "warn", "fail"]
    what: str
    todo: str


class LogRecord(msgspec.Struct, frozen=True):
    at: float
    level: str
    source: str = msgspec.field(name="from")
    message: str


class Setting(msgspec.Struct, frozen=True):
    key: str
    value: JSON
    source: Literal["default", "file", "settings"]
    changeable: bool
    restart_needed: bool


class ConfigChanged(msgspec.Struct, frozen=True):
    changed: list[str]
    restart_needed: bool


class Secret(msgspec.Struct, frozen=True):
    name: str
    set: bool
    source: str | None
    shown: Annotated[str, Meta(description="Its last four signs.")]
    used_by: list[str]
    problem: str | None


class SoundDevice(msgspec.Struct, frozen=True):
    name: str
    default: bool


class SoundDevices(msgspec.Struct, frozen=True):
    inputs: list[SoundDevice]
    outputs: list[SoundDevice]


class PairedDevice(msgspec.Struct, frozen=True):
    id: str
    name: str
    role: Role
    scopes: list[Scope]
    paired_at: float
    seen_at: float
    rotated_at: float
    offered_at: float
    address: str


class NewDevice(msgspec.Struct, frozen=True):
    device: PairedDevice
    token: Annotated[str, Meta(description="Shown this once.")]


class AuditRow(msgspec.Struct, frozen=True):
    id: int
    at: float
    device_id: str
    device_name: str
    address: str
    action: str
    target: str
    outcome: str


class Error(msgspec.Struct, frozen=True):
    """What went wrong: a code that stays, what happened, and what to do about it."""

    code: str
    what: str
    todo: str


Answer: TypeAlias = Any
"""A type of this module or of messages.py, or a list of one."""
