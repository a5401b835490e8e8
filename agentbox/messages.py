"""Everything that happens in the house, one frozen class each.

Rooms take messages in and give messages out. Every message goes to JSON and back (`to_json`, `from_json`);
a test walks this module and round-trips each one, so none can be forgotten. They are msgspec structs, which are
frozen dataclasses that also carry their name as `type` in JSON and are checked when they are read back.

Times: `*_at` fields are seconds since 1970 (wall clock, may jump); `*_ms` and `*_s` fields are durations
taken from a monotonic clock or counted in samples.
"""

from __future__ import annotations

import time
import uuid
from typing import Any, Literal, TypeAlias

import msgspec

SAMPLE_RATE_HZ = 16_000
"""The one sample rate inside the house; sound is resampled at the door (audio/capture, audio/files)."""

MOST_ARCHIVE_BYTES = 2 << 30
"""Of a backup: what the box gives, and what it takes back, by command or page."""

JSON: TypeAlias = Any
"""A value that JSON can carry. (A recursive alias would be exact, and unreadable in every error message.)"""

Caller: TypeAlias = Literal["speech", "cli", "cloud", "brain", "page", "plugin"]
"""Who asks for a tool call; the policy is looked up by it."""

Role: TypeAlias = Literal["owner", "guest", "script"]
"""What a paired device is: an owner's phone, a guest's, or a program of the owner's with a token."""

Scope: TypeAlias = Literal["state", "talk", "words", "settings", "admin"]
"""What a device may do: see how the box is; talk to it by text; read what was said; change settings; let devices in and
out, set secrets, and end it all. None includes another."""

MatchKind: TypeAlias = Literal["exact", "forgiving", "spoken"]

ActivatedBy: TypeAlias = Literal["always", "wake_phrase", "attention", "follow_up", "push_to_talk", "control"]


class _Message(msgspec.Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    """What all messages share: they do not change, and their JSON names their class in `type`."""


def new_id() -> str:
    """A new id: 32 hex digits, ordered by the time it was made to the millisecond (as UUID version 7 is)."""
    milliseconds = time.time_ns() // 1_000_000
    return f"{milliseconds & 0xFFFFFFFFFFFF:012x}{uuid.uuid4().hex[:20]}"


class Utterance(_Message, frozen=True):
    """One stretch of speech, cut out of the sound by the segmenter.

    `pcm` is 16 kHz mono signed 16-bit little-endian. It holds the pre-roll and at most the end-of-turn silence.
    `first_sample` counts from the start of the capture, so utterances can be laid side by side.
    """

    id: str
    started_at: float
    first_sample: int
    pcm: bytes
    speech_ms: int
    silence_ms: int
    """Silence after the last speech: the wait that endpointing added."""
    end_reason: Literal["silence", "max_length", "end_of_input", "released", "understood"]
    lead_ms: int = 0
    """Sound before the first speech, rounded down: the pre-roll. It never leaves the box."""

    @property
    def audio_ms(self) -> int:
        return len(self.pcm) // 2 * 1000 // SAMPLE_RATE_HZ

    @property
    def spoken_ms(self) -> int:
        """From the first speech to the last, with the pauses between."""
        return max(0, self.audio_ms - self.lead_ms - self.silence_ms)


class PartialTranscript(_Message, frozen=True):
    """What an engine has made of an utterance so far; the next one may differ from its first word on."""

    utterance_id: str
    text: str
    audio_ms: int


class Transcript(_Message, frozen=True):
    """What an engine made of a whole utterance. Empty text: nothing that deserves the name of speech."""

    utterance_id: str
    text: str
    engine: str
    language: str
    confidence: float | None = None
    """Mean probability the model gave its own tokens, 0..1, uncalibrated; null where an engine cannot tell."""
    audio_ms: int = 0
    decode_ms: float = 0.0
    suppressed: str | None = None
    """Why a guard threw the text away (`loop`, `no_speech`, ...); the text is empty then."""
    emotion: str | None = None
    """How it was said (`happy`, `sad`, `angry`, `fearful`, `disgusted`, `surprised`, `neutral`); null where the engine
    does not tell."""
    command: str = ""
    """Without the wake phrase, of a second reading; of the first it is told by the activation."""
    as_read: str = ""
    """The words before names of the owner's were put right in them; empty where none was."""
    sound_event: str | None = None
    """What was heard besides the words (`speech`: nothing else; `music`, `laughter`, ...: docs/events.md); null where
    the engine does not tell."""


class Activation(_Message, frozen=True):
    """The gate opened for this utterance: from here on its words may be shown, stored and acted on."""

    utterance_id: str
    by: ActivatedBy
    phrase: str | None = None
    command: str = ""
    """The transcript without the wake phrase; empty when the phrase stood alone."""


class Intent(_Message, frozen=True):
    """What was meant: the name and slots of the sentence that matched."""

    utterance_id: str
    name: str
    slots: dict[str, JSON]
    text: str
    source: str
    """`builtin` (home-assistant-intents), `agentbox` (our own sentences), or the owner's file name."""
    match: MatchKind
    """`exact` and `forgiving`: the words of the transcript; `spoken`: the sound itself, decoded under the sentences."""
    score: float = 1.0
    """1.0 for an exact match; the likeness 0..1 for a forgiving one; for a spoken one the probability that it was
    meant."""
    sentence: str = ""
    """The template that matched."""
    language: str = "en"
    alternatives: list[dict[str, JSON]] = msgspec.field(default_factory=list)
    """What else the sound may have meant, the likeliest first: `name`, `slots`, `text`, and `behind`, how much less
    likely each is than the first (natural logarithm)."""
    said: dict[str, JSON] = msgspec.field(default_factory=dict)
    """The slots as text: what was said for them, numbers in digits; without those that the sentence brings itself."""
    response: str = ""
    """The name of the response that the sentence asks for; empty: the default one."""


class NotUnderstood(_Message, frozen=True):
    """Words were heard and no sentence matched."""

    utterance_id: str
    text: str


class ToolCall(_Message, frozen=True):
    """A tool is about to be run. The row is on disk before the tool starts when `effects` is true."""

    id: str
    utterance_id: str
    tool: str
    arguments: dict[str, JSON]
    caller: Caller
    effects: bool = True


class ToolResult(_Message, frozen=True):
    """How a tool call ended. `text` is for the owner's ear, `data` for programs."""

    call_id: str
    tool: str
    ok: bool
    text: str
    data: JSON = None
    error_code: str | None = None
    duration_ms: float = 0.0
    undo: Undo | None = None
    asks: bool = False
    """It failed for want of something, and `text` asks for that."""
    warns: bool = False
    """It went well and did not do what was asked ("milk is already on your list"): `text` says why."""
    aloud: str = ""
    """What is told in place of `text` to whoever asked, and to nobody else: no event ever carries it."""


class Undo(_Message, frozen=True):
    """The call that takes back what a call did ("cancel that")."""

    tool: str
    arguments: dict[str, JSON]


class Confirmation(_Message, frozen=True):
    """A question that must be answered before a call runs. Bound to these exact arguments, single use."""

    id: str
    utterance_id: str
    tool: str
    arguments: dict[str, JSON]
    caller: Caller
    question: str
    expires_at: float


Speak: TypeAlias = Literal["always", "in_full", "never"]

SoundName: TypeAlias = Literal["heard", "done", "failed", "question", "timer"]


class Reply(_Message, frozen=True):
    """The box's answer: text, the sound that marks it, and what happened.

    `utterance_id` is empty for what the box says unasked (a timer that rings).
    """

    utterance_id: str
    text: str
    sound: SoundName | None
    outcome: Literal["done", "failed", "not_understood", "question", "attention", "cancelled", "alert"]
    speak: Speak = "always"
    """Whether its words are said aloud: `in_full`, unless the owner likes it short, since a sound says as much ("timer
    set"); `never`: it is shown, and only its sound is heard."""
    language: str = ""
    """Of its words (BCP-47); empty: the box's own."""


class Notice(_Message, frozen=True):
    """Something about the box itself that its owner should know (no microphone, disk full, a broken file)."""

    code: str
    what: str
    todo: str = ""
    level: Literal["info", "warning", "error"] = "warning"


class Egress(_Message, frozen=True):
    """What left the box, to whom, and why: one use of a connection. A row is there from before it begins."""

    id: str
    backend: str
    """The owner's name for it."""
    model: str
    reason: Literal["connect", "turn", "reply", "probe", "test", "close", "update"]
    """`connect`: a session was set up (who the box is, and what it can do); `turn`: something was said to it; `probe`,
    `test`: to see if it works; `close`: a farewell, and what came late; `update`: is there a newer version."""
    turn_id: str = ""
    seconds_out: float = 0.0
    """Of sound."""
    seconds_in: float = 0.0
    bytes_out: int = 0
    bytes_in: int = 0
    units: dict[str, float] = msgspec.field(default_factory=dict)
    """What the vendor says that it bills, as it names it."""
    price: float = 0.0
    """By the owner's prices."""
    duration_ms: float = 0.0
    outcome: str = ""
    """`ok`, or the code of what went wrong; empty: it never ended."""


class Audit(_Message, frozen=True):
    """What a paired device changed, or who tried to come in. No value of anything, and no code or token."""

    action: str
    """The control method (docs/control.md)."""
    target: str = ""
    """What it was done to: an id, a key of the configuration, the name of a secret."""
    device_id: str = ""
    """Empty: none yet, or a command on the box itself."""
    device_name: str = ""
    address: str = ""


Message: TypeAlias = (
    Utterance
    | PartialTranscript
    | Transcript
    | Activation
    | Intent
    | NotUnderstood
    | ToolCall
    | ToolResult
    | Undo
    | Confirmation
    | Reply
    | Notice
    | Egress
    | Audit
)

Stage: TypeAlias = Literal[
    "box",
    "capture",
    "speech",
    "utterance",
    "partial",
    "transcript",
    "second",
    "activation",
    "intent",
    "tool_call",
    "tool_result",
    "confirmation",
    "reply",
    "speaking",
    "cloud",
    "egress",
    "audit",
    "notice",
]


class StageEvent(_Message, frozen=True):
    """One thing that happened at one stage; the only source of every log, journal row, page and figure.

    `message` is null where words may not be shown: before activation an event carries timings only.
    """

    stage: Stage
    state: str
    """What happened at that stage: `started`, `ended`, `dropped`, ... (docs/events.md lists them all)."""
    at: float
    """Wall clock, seconds since 1970."""
    monotonic_s: float
    utterance_id: str = ""
    timings: dict[str, float] = msgspec.field(default_factory=dict)
    """Durations in milliseconds and counts, never words."""
    message: Message | None = None


def to_json(message: Message | StageEvent) -> dict[str, JSON]:
    """The message as plain JSON values: its fields, and its class in `type`. Bytes become base64."""
    plain: dict[str, JSON] = msgspec.to_builtins(message)
    return plain


def from_json(plain: dict[str, JSON]) -> Message | StageEvent:
    """The inverse of `to_json`.

    Raises `msgspec.ValidationError` (a `ValueError`) for an unknown `type`, a missing or unknown field, or a
    value of the wrong type.
    """
    return msgspec.convert(plain, Message | StageEvent)  # type: ignore[no-any-return]


def public_json(event: StageEvent) -> dict[str, JSON]:
    """The event as JSON for programs and pages: without the sound itself."""
    if isinstance(event.message, Utterance):
        event = msgspec.structs.replace(event, message=None)
    return to_json(event)
