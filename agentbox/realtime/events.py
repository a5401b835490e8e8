"""What cloud models tell, said the same way for all of them. Adapters make these out of their vendor's frames."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from agentbox.messages import JSON
from agentbox.realtime.failures import Failure


@dataclass(frozen=True, slots=True)
class Ready:
    """The vendor acknowledged the configuration: only now does the session count as one. A greeting alone does not:
    some greet whoever comes and hang up later."""

    session_id: str = ""


@dataclass(frozen=True, slots=True)
class Heard:
    """What the vendor understood of the owner's speech. `text` is the whole of the turn (of the segment, where there
    is one) so far, and replaces what was told of it before."""

    text: str
    final: bool
    segment: int = 0
    """Streaming recognition cuts long speech; a dialog's turn is one segment."""


@dataclass(frozen=True, slots=True)
class AnswerStarted:
    answer_id: str


@dataclass(frozen=True, slots=True)
class AnswerSound:
    """A piece of the answer: mono signed 16-bit little-endian PCM at the capabilities' `output_rate_hz`."""

    answer_id: str
    pcm: bytes


@dataclass(frozen=True, slots=True)
class AnswerText:
    """More of the words of the answer (what its sound says, or what a text-only model writes)."""

    answer_id: str
    more: str


@dataclass(frozen=True, slots=True)
class ToolCalled:
    """The model wants a tool run. The answer goes on after `tool_result` was given for each call."""

    answer_id: str
    call_id: str
    name: str
    arguments: dict[str, JSON]


@dataclass(frozen=True, slots=True)
class ToolsCancelled:
    """The model wants these calls no more; their results are not waited for."""

    call_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AnswerDone:
    """No more comes of this answer. `completed` with `calls` true: the model waits for its tools' results."""

    answer_id: str
    status: Literal["completed", "cancelled", "incomplete", "failed"]
    calls: bool = False
    failure: Failure | None = None
    """Why, where it failed."""


@dataclass(frozen=True, slots=True)
class Used:
    """What the vendor says it will bill, since the last `Used`; fields are named as the vendor names them."""

    units: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Expiring:
    """The session will be closed by the vendor; a new one should take over between two turns."""

    left_s: float | None = None
    """Null: it did not say when."""


@dataclass(frozen=True, slots=True)
class Resumable:
    """A new connection may go on with the same conversation by this handle."""

    handle: str


@dataclass(frozen=True, slots=True)
class Finished:
    """What was asked for is complete (a recognition, a text that was to be spoken); the session may be used again
    where the capabilities say so."""


@dataclass(frozen=True, slots=True)
class Failed:
    """Something went wrong. `session` true: the session is of no more use."""

    failure: Failure
    session: bool = True


Event: TypeAlias = (
    Ready
    | Heard
    | AnswerStarted
    | AnswerSound
    | AnswerText
    | ToolCalled
    | ToolsCancelled
    | AnswerDone
    | Used
    | Expiring
    | Resumable
    | Finished
    | Failed
)
