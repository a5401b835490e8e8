"""What the page lets an owner set, by topic: which settings a form has, and how a field becomes a value."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from agentbox.languages import covers
from agentbox.messages import JSON

Form = Mapping[str, str]


def _text(text: str) -> JSON:
    return text.strip()


def _number(text: str) -> JSON:
    """A number, or the text itself: the box says what it expected."""
    text = text.strip().replace(",", ".")
    if re.fullmatch(r"-?[0-9]{1,9}", text):
        return int(text)
    return float(text) if re.fullmatch(r"-?[0-9]{1,9}\.[0-9]{1,9}", text) else text


def _flag(text: str) -> JSON:
    return text == "on"


def _phrases(text: str) -> JSON:
    """One a line, or with commas between them; null for none: those of the language."""
    return [one for part in re.split(r"[\n,，、;；]", text) if (one := " ".join(part.split()))] or None


def _text_or_none(text: str) -> JSON:
    return text.strip() or None


def _names(text: str) -> JSON:
    """One a line, or with commas between them."""
    return _phrases(text) or []


TOPICS: dict[str, dict[str, Callable[[str], JSON]]] = {
    "name": {"persona.name": _text, "page.name": _text},
    "sound": {"audio.input_device": _text, "audio.output_device": _text, "audio.sounds": _flag},
    "listening": {
        "activation.mode": _text,
        "activation.phrases": _phrases,
        "activation.sensitivity": _number,
        "activation.listen_after": _text,
        "asr.second_model": _text_or_none,
    },
    "names": {"asr.hotwords": _names},
    "voice": {
        "speech.verbosity": _text,
        "speech.voice": _text,
        "speech.pace": _number,
        "speech.quiet_hours": _text,
    },
    "cloud": {"cloud.policy": _text, "cloud.use": _text, "cloud.quiet_hours": _text},
    "keeping": {"storage.retention_days": _number, "storage.transcripts": _flag, "storage.audio": _flag},
    "guests": {"page.guests_read": _flag},
    "secrets": {},
}

STEPS = ("name", "sound", "listening", "wake", "cloud", "try")
"""Of the set-up, in order. `wake` and `try` change nothing: there the owner speaks."""


def changes(topic: str, form: Form, values: Mapping[str, JSON]) -> dict[str, JSON]:
    """What of a form is otherwise than it was; `values`: the settings as they are. A field that the form does not have
    stays as it is, but a box that is not ticked is never sent."""
    found: dict[str, JSON] = {}
    for key, read in TOPICS[topic].items():
        if key in form or (read is _flag and f"{key}?" in form):
            value = read(form.get(key, ""))
            if value != values.get(key) and not (value == "" and values.get(key) is None):
                found[key] = value
    if "model" in form and topic == "listening":
        # A model and its language belong together: either alone would keep the box from its next start.
        model, _, language = form["model"].partition(" ")
        now = str(values.get("asr.language"))
        if model != values.get("asr.model") or (language and not covers(language, now)):
            # Whoever speaks en-GB is not asked for en.
            found |= {"asr.model": model, "asr.language": now if covers(language, now) else language}
    return found


class Hearing(NamedTuple):
    """A model, and one of its languages."""

    model: str
    language: str
    chosen: bool


def hearings(
    models: Iterable[Mapping[str, Any]], values: Mapping[str, JSON], named: Callable[[str], bool]
) -> list[Hearing]:
    """What the box could hear with: each of `models` that is here, in the box's language and in those that the page has
    a name for (`named`). A model of many languages has others too, for who writes them into the configuration."""
    now_model, now = values["asr.model"], str(values["asr.language"])
    found: list[Hearing] = []
    for model in models:
        name, languages = model["name"], model["languages"]
        if model["installed"] or name == now_model:
            offered = [one for one in languages if named(one) or covers(one, now)] or languages[:1]
            found += [Hearing(name, one, name == now_model and covers(one, now)) for one in offered]
    return found


def after(step: str) -> str:
    """The address of what follows a step of the set-up."""
    place = STEPS.index(step) + 1
    return f"/setup/{STEPS[place]}" if place < len(STEPS) else "/"
