"""What an adapter is: a state machine without input and output, between a vendor's frames and our events.

The box owns the turns. It hears by itself when the owner has finished and when they speak over an answer, so every
session is set up without the vendor's own voice detection: sound goes out only between the moment the gate opened and
the end of the turn, and one turn gets one answer.

Whoever drives an adapter calls its commands and `receive`, and after each of them sends what `frames()` gives, in
order. Commands may be given before the session is `Ready`; their frames wait until it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from agentbox.messages import JSON
from agentbox.realtime.events import Event, Failed
from agentbox.realtime.failures import failure

Frame: TypeAlias = str | bytes
"""A text or a binary message of a WebSocket."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where and how to connect."""

    url: str
    """`wss://...`; never a key in it."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Hold the key: never logged."""
    ping_s: float | None = 20.0
    """How often to ask whether the other side is alive; null where it minds."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What one model can do. They belong to a model, not to an address."""

    input_rate_hz: int = 16_000
    output_rate_hz: int = 24_000
    tools: bool = True
    truncates: bool = False
    """It can be told how much of an answer was heard, and forgets the rest."""
    tells_heard: bool = True
    """It tells what it understood of the owner's speech."""
    takes_text: bool = True
    """A turn may be written instead of spoken."""
    survives_interrupt: bool = True
    """What comes after an `interrupt` is taken as well; otherwise the session is of no more use then."""
    session_s: float | None = None
    """The vendor closes a session after so long; a new one takes over before."""
    idle_s: float | None = None
    """The vendor closes a session in which nothing happens for so long."""


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool that the model may ask for; `parameters` is a JSON schema."""

    name: str
    description: str
    parameters: dict[str, JSON]


@dataclass(frozen=True, slots=True)
class Account:
    """Whom to talk to, and as whom."""

    key: str = field(repr=False)
    model: str
    url: str = ""
    """Another address than the vendor's usual one, without the query."""
    app_id: str = ""
    """Where the vendor wants one beside the key."""
    workspace: str = ""
    options: Mapping[str, JSON] = field(default_factory=dict)
    """What the owner sets besides, as the vendor names it; laid over what the adapter would send."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What a session is to be."""

    instructions: str = ""
    voice: str = ""
    """Empty: the vendor's default."""
    language: str = "en"
    """BCP-47, of the owner's speech."""
    tools: tuple[ToolSpec, ...] = ()
    hotwords: tuple[str, ...] = ()
    resume: str = ""
    """A handle of `Resumable`, to go on with an earlier conversation."""


class Session(Protocol):
    """What dialogs, recognition and synthesis have in common."""

    @property
    def capabilities(self) -> Capabilities: ...

    @property
    def endpoint(self) -> Endpoint: ...

    def opened(self) -> Sequence[Event] | None:
        """The connection stands: introduce the session. Gives what that means already: a service that acknowledges
        nothing is `Ready` at once."""
        ...

    def receive(self, frame: Frame) -> list[Event]:
        """What a frame of the other side means. Never raises: a frame that makes no sense is a `Failed`."""
        ...

    def closed(self, code: int | None, reason: str) -> list[Event]:
        """The connection ended with this close code (null: without one, RFC 6455 1006)."""
        ...

    def frames(self) -> list[Frame]:
        """What is to be sent now; each frame once."""
        ...

    def finish(self) -> None:
        """End the session cleanly, as far as the protocol has a word for it; the connection is closed afterwards."""
        ...


class RealtimeDialog(Session, Protocol):
    """Speech to speech, with tools and interruption."""

    def append(self, pcm: bytes) -> None:
        """More of the turn: mono signed 16-bit little-endian PCM at `input_rate_hz`, an even number of bytes."""
        ...

    def commit(self) -> None:
        """The turn is over: answer it."""
        ...

    def discard(self) -> None:
        """What was appended since the last `commit` was not meant."""
        ...

    def write(self, text: str) -> None:
        """A written turn: answer it."""
        ...

    def note(self, text: str) -> None:
        """Something the model should know and not answer (what the box did by itself meanwhile)."""
        ...

    def tool_result(self, call_id: str, output: JSON) -> None:
        """What came of a tool; unknown and cancelled calls are ignored."""
        ...

    def interrupt(self, heard_ms: float) -> None:
        """The owner spoke over the answer, of which so much was heard. Nothing of it is told any more."""
        ...


class StreamingASR(Session, Protocol):
    """Sound in, text out: `Heard` partial and final, then `Finished`."""

    def append(self, pcm: bytes) -> None: ...

    def commit(self) -> None:
        """There is no more sound: tell the rest."""
        ...


class StreamingTTS(Session, Protocol):
    """Text in, sound out: `AnswerSound`, then `Finished`."""

    def say(self, text: str) -> None:
        """More text; it may be half a sentence."""
        ...

    def commit(self) -> None:
        """There is no more text: tell the rest."""
        ...

    def interrupt(self, heard_ms: float) -> None: ...


class Outbox:
    """The frames an adapter wants sent: those of a command wait until the session is configured."""

    def __init__(self) -> None:
        self._now: list[Frame] = []
        self._later: list[Frame] = []
        self.is_open = False
        """The session is configured."""

    def hello(self, frame: Frame) -> None:
        """Send at once: part of setting up."""
        self._now.append(frame)

    def add(self, frame: Frame) -> None:
        """Send as soon as the session is configured."""
        (self._now if self.is_open else self._later).append(frame)

    def open(self) -> None:
        self.is_open = True
        self._now += self._later
        self._later = []

    def shut(self) -> None:
        """Another introduction is needed before more is sent."""
        self.is_open = False

    def clear(self) -> None:
        """Forget what was not sent."""
        self._now, self._later = [], []

    def take(self) -> list[Frame]:
        taken, self._now = self._now, []
        return taken


def packed(message: Mapping[str, JSON]) -> str:
    """A JSON text frame."""
    return json.dumps(message, ensure_ascii=False, separators=(",", ":"))


def unpacked(frame: Frame) -> dict[str, JSON] | None:
    """The object in a JSON frame, text or binary; null where it holds none."""
    try:
        message = json.loads(frame)
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) else None


def nonsense() -> list[Event]:
    """For a frame that cannot be read."""
    return [Failed(failure("cloud_protocol"))]


def text_of(message: JSON, *keys: str) -> str:
    """The text at a path of keys; empty where there is none."""
    value = at(message, *keys)
    return value if isinstance(value, str) else ""


def at(message: JSON, *keys: str) -> JSON:
    """The value at a path of keys; null where there is none."""
    for key in keys:
        if not isinstance(message, dict):
            return None
        message = message.get(key)
    return message


def number_of(message: JSON, *keys: str) -> float | None:
    """The finite number at a path of keys."""
    value = at(message, *keys)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < 1e15 else None  # json reads NaN and Infinity; both fail the comparison


RATES_HZ = (8_000, 48_000)
"""The lowest and the highest that a service is asked for."""


def rate_of(account: Account, usual: int, *keys: str) -> int:
    """The rate among the account's options (at `keys`; without, `sample_rate`), if it is one; whatever else stands
    there is the service's to refuse."""
    asked = number_of(account.options, *(keys or ("sample_rate",)))
    return int(asked) if asked is not None and RATES_HZ[0] <= asked <= RATES_HZ[1] else usual


def merged(base: Mapping[str, JSON], over: Mapping[str, JSON]) -> dict[str, JSON]:
    """`over` laid over `base`, object by object; anything but an object is replaced."""
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        result[key] = merged(below, value) if isinstance(below, dict) and isinstance(value, Mapping) else value
    return result
