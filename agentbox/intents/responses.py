"""What the owner wants said once an intent was carried out: the `responses` of their files of sentences."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple, Protocol

from agentbox.messages import JSON, Intent, Notice
from agentbox.settings import Key

if TYPE_CHECKING:
    from agentbox.intents.response_template import ResponseTemplate

DEFAULT = "default"
"""The response of a sentence that names none."""

_USUAL: Mapping[str, str] = {
    "HassListAddItem": "item_added",
    "HassListCompleteItem": "item_completed",
    "HassListRemoveItem": "item_deleted",
    "HassShoppingListAddItem": "item_added",
    "HassShoppingListCompleteItem": "item_completed",
}
"""Where all of the community's sentences for an intent (package home-assistant-intents 2026.10) name one response that
is not `default`, an owner who brings files from there wrote that one; our own sentences name none."""

_TODO = "docs/sentences.md says what a response can hold."


class Response(NamedTuple):
    """One response of an owner's file."""

    intent: str
    name: str
    file: str
    """The file's name."""
    template: ResponseTemplate


class Wanted(NamedTuple):
    """A response that a sentence of an owner's file names, and the place (`file:line`) where it does."""

    intent: str
    name: str
    place: str


class Note(Protocol):
    """Takes what is wrong at a key of a file."""

    def __call__(self, key: Key, what: str, code: str = ...) -> None: ...


def written(values: JSON, file: str, known: Collection[str], note: Note) -> Iterator[Response]:
    """The responses of a file whose `responses` are `values`. What cannot be used goes to `note`, and so do intents
    that are not `known`."""
    if values is None:
        return
    # Jinja2 is loaded only where somebody uses it: 1.4 MB.
    from agentbox.intents.response_template import ResponseError, ResponseTemplate

    intents = values.get("intents") if isinstance(values, dict) else None
    if not isinstance(intents, dict):
        note(("responses",), "responses must hold `intents` with names and what is said")
        return
    for intent, named in intents.items():
        key: Key = ("responses", "intents", str(intent))
        if intent not in known:
            note(key, f"there are responses for {intent}, but nothing carries it out", "sentences_intent_unknown")
        if not isinstance(named, dict):
            note(key, f"the responses of {intent} must hold names and what is said")
            continue
        for name, text in named.items():
            try:
                if not isinstance(text, str):
                    raise ResponseError("it must be text in quotes")
                yield Response(str(intent), str(name), file, ResponseTemplate(text))
            except ResponseError as error:
                note((*key, str(name)), f"the response {name} of {intent} is left out: {error}")


class Responses:
    """The responses of all files; of two with one name the first counts. Not changed by use."""

    def __init__(self, responses: Iterable[Response] = ()) -> None:
        self._by_intent: dict[str, dict[str, Response]] = {}
        for response in responses:
            self._by_intent.setdefault(response.intent, {}).setdefault(response.name, response)

    def unknown(self, wanted: Iterable[Wanted]) -> Iterator[Notice]:
        """Notices of responses that sentences name and nobody wrote."""
        for one in wanted:
            if one.name not in self._by_intent.get(one.intent, {}):
                what = f"{one.place}: no file has a response {one.name} of {one.intent}."
                yield Notice(code="response_unknown", what=what, todo=_TODO)

    def of(self, intent: Intent) -> Response | None:
        """The one that its sentence names, else the default one."""
        named = self._by_intent.get(intent.name, {})
        names = (intent.response, DEFAULT, _USUAL.get(intent.name, DEFAULT))
        return next((named[name] for name in names if name in named), None)

    def say(self, intent: Intent, answer: str) -> str | Notice | None:
        """What is said now that `intent` was carried out, in place of the tool's `answer`; null where the owner wrote
        nothing; a notice where it fails. Empty: they want no words."""
        response = self.of(intent)
        if response is None:
            return None
        from agentbox.intents.response_template import ResponseError

        try:
            return response.template.render({**intent.slots, **intent.said}, answer)
        except ResponseError as error:
            what = f"{response.file}: the response {response.name} of {intent.name} could not be said: {error}."
            return Notice(code="response_failed", what=what, todo=_TODO)
