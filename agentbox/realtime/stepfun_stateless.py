"""StepFun's realtime model that keeps nothing between two answers: each request carries what was said before, its
instructions and its tools.

Source: the vendor's own command line client (Step-Realtime-CLI), whose comments tell what its authors measured. The
rules: no greeting; sound is refused from a request on, until `session.restore` was sent after the answer and
`session.restored` came; `response.cancel` is ignored, but a request that says so breaks an answer off, after which the
end of an answer is told twice and the session may be restored only once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from agentbox.messages import JSON
from agentbox.realtime.events import AnswerText, Event, Heard, Ready, ToolCalled, Used
from agentbox.realtime.failures import Failure
from agentbox.realtime.like_openai import Message, nested_tools, units_of
from agentbox.realtime.retelling import heard_words
from agentbox.realtime.session import Account, Endpoint, Setup, at, merged, packed, text_of
from agentbox.realtime.stepfun import URL, StepFunDialog, persona, sent_options

STATELESS_URL = f"{URL}/stateless"
STATELESS_MODEL = "step-overture-preview"

_MOST_ITEMS = 48
"""Of the conversation: about a dozen turns, as the vendor's client keeps."""

_MOST_TEXT = 4_000
"""Characters of one of them."""

_MOST_NOTES = 20
_MOST_PARTS = 64


@dataclass(slots=True)
class Item:
    """Part of the conversation: the `text` of a role, or a call or its result in `fields`."""

    role: str
    text: str = ""
    fields: Message | None = None

    def told(self, number: int) -> Message:
        if self.fields is not None:
            return {"id": f"item_{number}", "status": "completed", **self.fields}
        content: JSON = [{"type": "input_text" if self.role == "user" else "text", "text": self.text}]
        return {"id": f"item_{number}", "type": "message", "role": self.role, "content": content}


class StepFunStatelessDialog(StepFunDialog):
    """See `session.RealtimeDialog`. What was not heard of an answer is not told the model again."""

    def __init__(self, account: Account, setup: Setup) -> None:
        super().__init__(account, setup)
        self._model = account.model or STATELESS_MODEL
        self._history: deque[Item] = deque(maxlen=_MOST_ITEMS)
        self._notes: deque[str] = deque(maxlen=_MOST_NOTES)
        self._spoken = Item("user")
        """The turn that is being answered; what was understood of it may be told at any time."""
        self._is_first = True
        """No answer to it was asked for yet: its sound, or its text, stands before the request by itself."""
        self._parts: dict[str, Item] = {}
        """Of this turn's answers, by the vendor's id."""
        self._requested = False
        self._request_id = ""
        self._breaking_off = False
        """An answer was broken off, and nothing of it counts."""
        self._restoring = False
        self._is_wanted = False
        """The next answer is to be asked for when the session is restored."""
        for kind, handler in self._handlers.items():
            if kind.startswith("response.") and kind != "response.done":
                self._handlers[kind] = partial(self._if_it_counts, handler)
        self._handlers["response.raw_text.delta"] = partial(self._if_it_counts, self._on_words)
        self._handlers["session.restored"] = self._on_restored

    @property
    def endpoint(self) -> Endpoint:
        return self._endpoint(self.account.url or STATELESS_URL, self._model)

    @property
    def is_configured(self) -> bool:
        """What is not sent for a while waits for the session to be restored."""
        return True

    def is_ready(self, kind: str, message: Message) -> bool:
        """It was from the start."""
        return False

    def opened(self) -> list[Event]:
        """Nothing acknowledges a session: a connection is one."""
        self._out.open()
        return [Ready()]

    def write(self, text: str) -> None:
        super().write(text)
        self._spoken.text = text[:_MOST_TEXT]

    def note(self, text: str) -> None:
        # There is no place for it in the conversation but the instructions.
        self._notes.append(text[:_MOST_TEXT])

    def interrupt(self, heard_ms: float) -> None:
        super().interrupt(heard_ms)
        self._is_wanted = False

    def stop(self, answer_id: str) -> None:
        if self._breaking_off:
            return
        self._breaking_off = True
        response: Message = {
            "modalities": ["text"],
            "instructions": self.setup.instructions,
            "interrupt_current_response": True,
        }
        self._now("response.create", response=response)

    def truncate(self, item_id: str, heard_ms: int) -> None:
        part, length_ms = self._parts.get(item_id), self._answers.length_ms(item_id)
        if part is not None:
            part.text = heard_words(part.text, heard_ms / length_ms if length_ms else 0.0)

    def tell_result(self, call_id: str, text: str) -> None:
        super().tell_result(call_id, text)
        fields: Message = {"type": "function_call_output", "call_id": call_id, "output": text[:_MOST_TEXT]}
        self._history.append(Item("tool", fields=fields))

    def asking(self) -> Message:
        self._requested = True
        response: Message = {
            "modalities": ["text", "audio"],
            **persona(self._model, self.setup),
            "history": self.history(),
        }
        if self._notes:
            response["instructions"] = "\n".join([text_of(response, "instructions"), *self._notes])
        if self.setup.tools:
            response["tools"] = nested_tools(self.setup)
        self._is_first = False
        return {"response": merged(response, sent_options(self.account))}

    def history(self) -> list[JSON]:
        """What was said before. A tool's result belongs to it until it was answered: later the model would repeat it
        and not call the tool again."""
        items = [item for item in self._history if not (item is self._spoken and self._is_first)]
        spoke = max((number for number, item in enumerate(items) if item.role == "assistant" and item.text), default=-1)
        told: list[JSON] = []
        for number, item in enumerate(items):
            is_result = item.fields is not None and item.fields["type"] == "function_call_output"
            if item.text or (item.fields is not None and (number > spoke or not is_result)):
                told.append(item.told(number))
        return told

    def blamed(self, error: JSON) -> str:
        is_asked = self._requested and self._answers.active is None
        return super().blamed(error) or (self._answers.pending() if is_asked else "")

    def _begin(self) -> None:
        super()._begin()
        self._is_wanted = False
        self._spoken = Item("user")
        self._is_first = True
        self._history.append(self._spoken)
        self._parts.clear()

    def _now(self, kind: str, **fields: JSON) -> None:
        """Send what does not wait for the session to be restored; that it is refused is of no consequence."""
        self._sent += 1
        event_id = f"box_{self._sent}"
        self._harmless[event_id] = kind
        self._out.hello(packed({"type": kind, "event_id": event_id, **fields}))

    def _ask(self) -> None:
        if self._restoring:
            self._is_wanted = True
            return
        super()._ask()
        if self._requested:
            self._request_id = self._answers.pending()
            self._out.shut()

    def _if_it_counts(self, handler: Callable[[Message], list[Event]], message: Message) -> list[Event]:
        return [] if self._breaking_off or not self._requested else handler(message)

    def _on_heard(self, message: Message) -> list[Event]:
        events = super()._on_heard(message)
        for event in events:
            if isinstance(event, Heard):
                self._spoken.text = event.text[:_MOST_TEXT]
        return events

    def _on_words(self, message: Message) -> list[Event]:
        events = super()._on_words(message)
        item_id = text_of(message, "item_id")
        for event in events:
            if not isinstance(event, AnswerText):
                continue
            if item_id not in self._parts and len(self._parts) < _MOST_PARTS:
                self._parts[item_id] = Item("assistant")
                self._history.append(self._parts[item_id])
            if (part := self._parts.get(item_id)) is not None:
                part.text = (part.text + event.more)[:_MOST_TEXT]
        return events

    def _call(self, response_id: str, call_id: str, name: str, written: str) -> list[Event]:
        events = super()._call(response_id, call_id, name, written)
        for event in events:
            if isinstance(event, ToolCalled):
                fields: Message = {"type": "function_call", "call_id": call_id, "name": name, "arguments": written}
                self._history.append(Item("tool", fields=fields))
        return events

    def _on_done(self, message: Message) -> list[Event]:
        if not self._requested:
            return []  # told twice
        self._requested = False
        self._restoring = True
        if self._breaking_off:
            self._answers.done("")
            self._is_wanted = self._is_wanted or self._answers.is_waiting
            units = units_of(at(message, "response", "usage"))
            events: list[Event] = [Used(units)] if units else []
        else:
            events = super()._on_done(message)
        self._now("session.restore")
        return events

    def _on_restored(self, message: Message) -> list[Event]:
        if not self._restoring:
            return []
        self._restoring = self._breaking_off = False
        self._out.open()
        wanted, self._is_wanted = self._is_wanted, False
        if wanted:
            self._ask()
        return []

    def _failed(self, failed: Failure, event_id: str, ends: bool) -> list[Event]:
        if self._requested and event_id and event_id == self._request_id:
            self._requested = False
            self._out.open()
        return super()._failed(failed, event_id, ends)
