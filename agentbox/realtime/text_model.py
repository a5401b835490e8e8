"""What a text model is: a request made of a conversation, and a reader of the stream that answers it. No input and
output here; `event_stream` carries, `brain` goes round the tools.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from agentbox.messages import JSON
from agentbox.realtime.events import Event
from agentbox.realtime.failures import Failure, of_status, of_words
from agentbox.realtime.session import ToolSpec, at, text_of, unpacked

MOST_TURNS = 20
MOST_LETTERS = 24_000
"""Of turns before the present one: some 6,000 tokens, which every model of today has room for."""

_UNKNOWN = "The call was cut short; it is not known whether it was carried out."


@dataclass(frozen=True, slots=True)
class Call:
    """A tool that the model wants; `arguments` null: what it wrote is no JSON object."""

    id: str
    name: str
    arguments: dict[str, JSON] | None


@dataclass(frozen=True, slots=True)
class Result:
    text: str
    ok: bool = True


@dataclass(slots=True)
class Round:
    """What one request brought: words, tools that were asked for, and what came of them."""

    text: str = ""
    calls: tuple[Call, ...] = ()
    results: dict[str, Result] = field(default_factory=dict)
    kept: JSON = None
    """What the service wants back, within the same turn, as it sent it (a model's thoughts)."""

    def result(self, call: Call) -> Result:
        """Every call has one, whenever the round was cut short: services refuse a call without."""
        return self.results.get(call.id, Result(_UNKNOWN, ok=False))


@dataclass(slots=True)
class Turn:
    """What the owner said, and the answer to it."""

    said: str
    rounds: list[Round] = field(default_factory=list)

    @property
    def answer(self) -> list[Round]:
        """The rounds that hold anything."""
        return [one for one in self.rounds if one.text.strip() or one.calls]

    @property
    def letters(self) -> int:
        written = sum(len(one.text) + sum(len(result.text) for result in one.results.values()) for one in self.rounds)
        return len(self.said) + written


class Conversation:
    """What was said, as far as it is remembered. It may be asked for and gone on with after any interruption."""

    def __init__(
        self, instructions: str = "", *, most_turns: int = MOST_TURNS, most_letters: int = MOST_LETTERS
    ) -> None:
        self.instructions = instructions
        self.turns: list[Turn] = []
        self._most_turns = max(1, most_turns)
        self._most_letters = most_letters
        self._notes: list[str] = []

    def say(self, text: str) -> None:
        """A turn of the owner's begins."""
        self.turns.append(Turn("\n\n".join([*self._notes, text.strip()])))
        self._notes.clear()
        del self.turns[: -self._most_turns]

    def note(self, text: str) -> None:
        """Something the model should know and not answer (what the box did by itself meanwhile): told with the next
        turn, since many models take nothing but their owner's words between two answers."""
        self._notes.append(f"({text.strip()})")
        del self._notes[: -self._most_turns]

    def begin(self) -> Turn:
        """The present turn, to be answered. What an earlier attempt left half said is forgotten; what its tools did is
        kept, so that none is run twice."""
        turn = self.turns[-1]
        while turn.rounds and not turn.rounds[-1].calls:
            turn.rounds.pop()
        return turn

    def heard(self, text: str) -> None:
        """The owner spoke over the last answer: of its words only these came to be heard."""
        if self.turns:
            _cut(self.turns[-1].rounds, text)

    def recent(self) -> list[Turn]:
        """The turns that are told, the last one always; those that got no answer are told as part of the next."""
        told: list[Turn] = []
        left = self._most_letters
        for turn in reversed(self.turns):
            left -= turn.letters if told else 0
            if left < 0:
                break
            if told and not turn.answer:
                told[0] = Turn(f"{turn.said}\n\n{told[0].said}", told[0].rounds)
            else:
                told.insert(0, turn)
        return told


def _cut(rounds: Sequence[Round], heard: str) -> None:
    """Spaces do not count: a voice is given text without those at the seams."""
    spoken = "".join(heard.split())
    if "".join("".join(one.text for one in rounds).split()).startswith(spoken):
        left = len(spoken)
        for one in rounds:
            one.text, left = _beginning(one.text, left)
        return
    # Not as it was written: numbers are spoken as words.
    texts = [one for one in rounds if one.text.strip()]
    for one in texts:
        one.text = heard.strip() if one is texts[-1] else ""


def _beginning(text: str, letters: int) -> tuple[str, int]:
    """As much of `text` as has so many letters, and how many are left over."""
    for end, char in enumerate(text):
        if not char.isspace():
            if not letters:
                return text[:end].rstrip(), 0
            letters -= 1
    return text, letters


@dataclass(frozen=True, slots=True)
class Request:
    """A POST of JSON that is answered by an event stream."""

    url: str
    headers: Mapping[str, str] = field(repr=False)
    """Hold the key: never logged."""
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ToolGarbled:
    """The model wanted a tool, and what it wrote for arguments is no JSON object."""

    answer_id: str
    call_id: str
    name: str


TextEvent: TypeAlias = Event | ToolGarbled


class Reader(Protocol):
    """Reads the answer to one request."""

    kept: JSON
    """See `Round.kept`, once the answer is done."""

    def receive(self, data: str) -> list[TextEvent]:
        """What the data of one server-sent event means. Never raises: what makes no sense is a `Failed`. Nothing is
        told after `AnswerDone` or `Failed`."""
        ...

    def closed(self) -> list[TextEvent]:
        """The stream ended."""
        ...


class TextModel(Protocol):
    """One model of one service."""

    def request(self, conversation: Conversation, tools: Sequence[ToolSpec], *, may_call: bool = True) -> Request:
        """Ask for the answer to the conversation's last turn. `may_call` false: in words, with no more tools."""
        ...

    def reader(self) -> Reader: ...


def encoded(body: Mapping[str, JSON]) -> bytes:
    """A JSON body; what is null at its top is left out, so that an option can take away what would be sent."""
    given = {key: value for key, value in body.items() if value is not None}
    # Halves of a character, which only a broken stream holds, become question marks.
    return json.dumps(given, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def clean(text: str) -> str:
    """`text` with whole characters only: a stream may hold, or may have been cut into, half ones."""
    return text if text.isascii() else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_DEEPEST = 32


def call_id_of(written: str, number: int) -> str:
    """An id that every service takes back: theirs where it has the form that Anthropic asks for."""
    return written if _ID.fullmatch(written) else f"call_{number}"


def arguments_of(written: str | dict[str, JSON]) -> dict[str, JSON] | None:
    """A call's arguments; null where they are no JSON object, or one that JSON could not carry back."""
    arguments = unpacked(written.strip() or "{}") if isinstance(written, str) else written
    return arguments if arguments is not None and _is_plain(arguments, _DEEPEST) else None


def _is_plain(value: JSON, left: int) -> bool:
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return left > 0 and all(_is_plain(one, left - 1) for one in inner)
    # json reads NaN and Infinity, which are no JSON.
    return not isinstance(value, float) or value - value == 0


_SETTINGS = re.compile(
    r"not.?support|unsupported|unknown.?(parameter|field)|unrecognized|extra.?inputs|not permitted|max_(completion_)?"
    r"tokens|temperature|tool_choice|stream_options|thinking",
    re.IGNORECASE,
)
_TOO_LONG = re.compile(r"context.?(length|window)|too.?(long|large|many tokens)|maximum.{0,24}length", re.IGNORECASE)


def failure_of(status: int | None, error: JSON) -> Failure:
    """What an error means: `{type, code, message}`, as most services have it, or whatever came with an HTTP status
    (null: it came in the stream)."""
    if isinstance(error, str):
        error = {"message": error}
    kind, words = text_of(error, "type"), text_of(error, "message")[:2000]
    code = text_of(error, "code") or kind or str(status or "")
    if status is None:
        default = "cloud_down"
    elif 300 <= status < 400:
        default = "cloud_address"
    else:
        default = "cloud_refused" if status in (400, 422) else of_status(status).code
    if status in (400, 422):
        if _SETTINGS.search(code):
            return of_words(code, default="cloud_settings")
        if _TOO_LONG.search(f"{code} {words}") and "tokens is too large" not in words:
            default = "cloud_input"
        elif _SETTINGS.search(words):
            default = "cloud_settings"
    if status == 404 and words.startswith("model"):
        default = "cloud_model"
    return of_words(code, kind, words, default=default)


def error_in(body: bytes) -> JSON:
    """The error object in the body of a refusal; null where it holds none (a page of some gateway's)."""
    message = unpacked(body)
    return (at(message, "error") or message) if message is not None else None
