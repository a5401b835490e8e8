"""What a tool is given and what it gives back. Together with `@tool` this is all that a plugin needs to know."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

from agentbox.config import Persona
from agentbox.errors import ToolError
from agentbox.messages import JSON, Caller, Notice, Reply, Role, Undo
from agentbox.tools.phrases import Phrases
from agentbox.tools.store import Store
from agentbox.tools.time_source import Clock

if TYPE_CHECKING:
    from agentbox.tools.declaration import Tool

S = TypeVar("S", bound="Service")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a tool's work ended, where a bare sentence is not enough."""

    text: str
    """What the owner hears."""
    data: JSON = None
    """The same for programs."""
    undo: Undo | None = None
    """The call that takes it back ("cancel that"); it must name a tool of the same module."""
    instead: Undo | None = None
    """A call to make in place of this one; only the box's own tools may (that is how "cancel that" works)."""
    warns: bool = False
    """What was asked for was not done, or had no need to be, and `text` says so: no wording of the owner's for what was
    done is said in its place."""
    aloud: str = ""
    """A secret: told in place of `text` to the owner who asked (aloud where they spoke), and kept nowhere. Only the
    box's own tools have any."""


class Invitation(NamedTuple):
    """With what one more phone can pair."""

    place: str
    """Where the page is: `https://kitchen.local:8443`."""
    code: str
    """For fingers: `K7PQ-2M4X`."""
    seconds: float
    """How long it can be used."""


class ConfirmationNeededError(Exception):
    """Ends a call with a question; see `ToolContext.confirm`."""

    def __init__(self, question: str) -> None:
        super().__init__("a confirmation is needed")
        self.question = question


class Conversation(Protocol):
    """What the daemon knows of the talk so far."""

    @property
    def last_reply(self) -> str:
        """The last thing the box said, empty if nothing."""

    @property
    def last_undo(self) -> Undo | None:
        """The call that takes back the last thing done, while it still can be meant."""

    def silence(self) -> bool:
        """Stop what the box is playing; whether there was anything."""

    def use_backend(self, name: str) -> None:
        """Ask this cloud model first from now on; `local`: none."""

    async def invite(self, role: Role) -> Invitation:
        """Let one more phone in. Raises `ControlError` `page_closed`, `not_running`; `ConfigError`."""


@dataclass(frozen=True, kw_only=True)
class ModuleContext:
    """What belongs to a tool module for as long as the box runs."""

    language: str
    """BCP-47, such as `en` or `zh-CN`: in a call that of the turn, else the box's own."""
    phrases: Phrases
    persona: Persona
    """Who the box is."""
    clock: Clock
    store: Store
    """The module's own; nobody else's keys are in it."""
    options: Mapping[str, JSON]
    """What the owner wrote under `tools.options.<module>`."""
    emit: Callable[[Reply | Notice], None]
    """Say something unasked, or report something about the box. May be called from the module's own thread."""
    other_phrases: Mapping[str, Phrases] = field(default_factory=dict)
    """By language, where the box answers in more than one."""

    def phrases_in(self, language: str) -> Phrases:
        """The box's own sentences in `language` (BCP-47); in its own language where it does not know that."""
        return self.other_phrases.get(language, self.phrases)

    def now(self) -> datetime:
        """The wall clock, aware, in the machine's zone."""
        return self.clock.read().wall

    def monotonic(self) -> float:
        """Seconds on a clock that never jumps and counts sleep."""
        return self.clock.read().elapsed_s

    def say(self, key: str, **values: object) -> str:
        """One of the box's own sentences (phrases/*.yaml) in the owner's language."""
        return self.phrases.say(key, **values)


class Service(ABC):
    """The background life of a tool module: one object, made when the box starts, whose `run` the daemon supervises.

    A module declares it by defining one subclass; its tools reach the object by `context.service(TheSubclass)`.
    """

    def __init__(self, context: ModuleContext) -> None:
        self.context = context

    @abstractmethod
    async def run(self) -> None:
        """Live until cancelled. When it raises, it is started again after a while."""

    def silence(self) -> bool:
        """The owner said "stop": end what makes noise, and say whether anything did."""
        return False


@dataclass(frozen=True, kw_only=True)
class ToolContext(ModuleContext):
    """What one call of a tool is given."""

    caller: Caller
    utterance_id: str = ""
    confirmed: bool = False
    """The owner was asked about this very call and agreed."""
    conversation: Conversation
    tools: Sequence[Tool]
    """Everything the box can do."""
    silence: Callable[[], bool]
    """Stop everything that makes noise: playback and every module's service. Whether anything did."""
    running: Service | None = None

    def service(self, kind: type[S]) -> S:
        """The module's service. Raises `ToolError` `service_missing` when it could not be started."""
        if isinstance(self.running, kind):
            return self.running
        raise ToolError("service_missing", f"{kind.__name__} is not running.", "The log says why.")

    def confirm(self, question: str) -> None:
        """Go on only if the owner agreed: otherwise the call ends here and they are asked `question`.

        When they say yes, the tool is called again with the same arguments and this returns.
        """
        if not self.confirmed:
            raise ConfirmationNeededError(question)
