"""What is handed over to a cloud model: one turn, and of its sound no more than was said to the box."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from agentbox.daemon.activation import Opened
from agentbox.messages import JSON, SAMPLE_RATE_HZ, Caller, Reply, ToolCall, ToolResult, Transcript, Utterance

ANSWER_S = 4.5
"""So long after the owner's last word the first of others' answer may take, whoever is asked one after the other and
whatever goes wrong: with the box's own answer after it, the owner waits for five seconds at most."""

ANYHOW_S = 2.0
"""It is given in any case, however late the box was itself."""

WORTH_S = 1.2
"""With less time left nobody is asked any more: what was sent would be sent for nothing."""


def answer_by(speech_ended_s: float, now: float) -> float:
    """Until when others' answer to a turn that is handed over `now` is waited for."""
    return max(speech_ended_s + ANSWER_S, now + ANYHOW_S)


@dataclass(frozen=True, slots=True)
class Handover:
    """One turn. `pcm`: mono signed 16-bit little-endian, 16 kHz; empty where nobody wants it."""

    id: str
    text: str
    pcm: bytes
    spoken: bool
    """It was said; otherwise it was written, and is answered in writing."""
    speech_ended_s: float
    """On the monotonic clock."""
    answer_by_s: float
    """On the monotonic clock, too: see `answer_by`. All who are asked have it together."""
    undertone: str = ""
    """What the voice told besides the words, for a model that reads and does not hear; empty where it told nothing."""

    language: str = ""
    """Of its text (BCP-47)."""

    def left_s(self, now: float) -> float:
        """How long may still be waited; zero where it is not worth while to ask anybody."""
        left_s = self.answer_by_s - now
        return left_s if left_s >= WORTH_S else 0.0


class Host(Protocol):
    """Who runs the tools, and answers where the cloud does not."""

    async def run_tool(
        self, turn_id: str, tool: str, arguments: dict[str, JSON], caller: Caller
    ) -> tuple[ToolCall, ToolResult]:
        """Run a tool, under the owner's policy for the caller (`cloud` or `brain`)."""
        ...

    def ask_owner(self, call: ToolCall, question: str) -> Reply:
        """Ask whether `call` may run, in the box's own voice."""
        ...

    def answer(self, reply: Reply) -> None:
        """What the turn is answered with."""
        ...

    def phrase(self, key: str) -> str:
        """One of the box's own sentences."""
        ...


class Switch(Protocol):
    """Who is asked for an answer: see `cloud.Cloud`, which is imported only where the owner wants it."""

    policy: Literal["local_first", "cloud_first"]

    @property
    def is_on(self) -> bool:
        """Whether it may be asked now."""
        ...

    @property
    def answers(self) -> bool:
        """Whether it gives answers."""
        ...

    async def take(self, turn: Handover, host: Host, local: Callable[[], Awaitable[None]]) -> bool: ...


def goes_as_text(others: Sequence[Switch], brain: Switch | None) -> bool:
    """Whether the words of a turn that `others` are asked about, one after the other, are what the first to answer is
    given: a cloud model hears the sound itself."""
    first = next((other for other in others if other.answers), None)
    return first is not None and first is brain


class Cloud(Switch, Protocol):
    """A switch that can also have a turn written down."""

    async def recognise(self, turn: Handover) -> Written | None:
        """What a recogniser makes of the turn's sound; null: there is none, or it made nothing of it."""
        ...


class Written(NamedTuple):
    """What somebody else heard."""

    by: str
    """The owner's name for them, and the model."""
    text: str


_PLAIN = (None, "neutral", "speech")
"""What goes without saying."""


def undertone(transcript: Transcript) -> str:
    """How something was said and what else was heard, as a note to a model; empty where that is nothing special."""
    told = []
    if transcript.emotion not in _PLAIN:
        told.append(f"By the voice, the speaker of what follows is {transcript.emotion}.")
    if transcript.sound_event not in _PLAIN:
        told.append(f"Heard besides the words: {transcript.sound_event}.")
    return " ".join([*told, "Take that into account, and do not mention it."]) if told else ""


def meant_sound(utterance: Utterance, opened: Opened) -> bytes:
    """The sound from the wake phrase (or, where none was needed, from the first speech) on.

    What was kept from before the speech is cut off, and so is a word before the phrase, as far along as its letters are
    in the text: that may take the phrase's first consonant, and leaves nothing that was said before the gate opened.
    """
    begin_ms = utterance.lead_ms + opened.lead * utterance.spoken_ms
    return utterance.pcm[int(begin_ms * SAMPLE_RATE_HZ / 1000) * 2 :]
