"""`{slot}` and `{secret:name}` in what the owner wrote for web requests and programs. Pure.

A template is filled in one pass: what a slot's value holds is never read as a template again, so that nobody can
speak a `{secret:...}` into a request.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from agentbox.errors import ToolError
from agentbox.messages import JSON

_PLACE = re.compile(r"\{(secret:)?([A-Za-z_][A-Za-z0-9_]*)\}")

Find = Callable[[str], str]


def slots(template: JSON) -> list[str]:
    """The names of the slots in a string, or in all strings of a JSON value, in order, each once."""
    names = (name for text in _texts(template) for secret, name in _PLACE.findall(text) if not secret)
    return list(dict.fromkeys(names))


def secrets(template: JSON) -> list[str]:
    """The names of the secrets, likewise."""
    names = (name for text in _texts(template) for secret, name in _PLACE.findall(text) if secret)
    return list(dict.fromkeys(names))


def fill(template: str, values: Mapping[str, str], secret: Find | None = None, quote: Find = str) -> str:
    """The template with values (a missing one is empty) and secrets in place, each passed through `quote`.

    With `secret` null, `{secret:...}` stays as it stands.
    """

    def put(match: re.Match[str]) -> str:
        is_secret, name = match.groups()
        if not is_secret:
            return quote(values.get(name, ""))
        return quote(secret(name)) if secret else match.group()

    return _PLACE.sub(put, template)


def fill_json(template: JSON, values: Mapping[str, JSON], secret: Find) -> JSON:
    """A JSON value with all its strings filled. A string that is one slot and nothing else becomes the slot's value
    as it is, so that numbers stay numbers."""
    if isinstance(template, dict):
        return {key: fill_json(value, values, secret) for key, value in template.items()}
    if isinstance(template, list):
        return [fill_json(value, values, secret) for value in template]
    if not isinstance(template, str):
        return template
    alone = _PLACE.fullmatch(template)
    if alone and not alone.group(1):
        return values.get(alone.group(2))
    return fill(template, texts(values), secret)


def texts(values: Mapping[str, JSON]) -> dict[str, str]:
    """Slot values as text; an absent one is empty."""
    return {name: "" if value is None else str(value) for name, value in values.items()}


def pick(value: JSON, path: str) -> JSON:
    """The part of a JSON value that a path such as `orders.0.total`, `$.orders[0].total` or `orders.length` names.

    `length` of a list is how many items it has. Raises `ToolError` `web_no_value`.
    """
    for step in steps(path):
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        elif isinstance(value, list) and step == "length":
            value = len(value)
        else:
            raise ToolError(
                "web_no_value",
                f"The answer has nothing at {path}.",
                "Compare the request's pick with what the service sends.",
            )
    return value


def steps(path: str) -> list[str]:
    """The keys and indexes of a path. Raises `ToolError` `web_request_wrong` for what is no path."""
    found = re.fullmatch(r"\$?((?:\.?[^.\[\]$]+|\[\d+\])*)", path)
    if not found:
        raise ToolError("web_request_wrong", f"{path} is no path into JSON.", "Write it like orders.0.total.")
    return re.findall(r"[^.\[\]]+", found.group(1))


def known(names: Iterable[str], allowed: Iterable[str]) -> list[str]:
    """Those of `names` that are not among `allowed`."""
    return [name for name in names if name not in set(allowed)]


def _texts(template: JSON) -> Iterator[str]:
    if isinstance(template, str):
        yield template
    elif isinstance(template, dict):
        for value in template.values():
            yield from _texts(value)
    elif isinstance(template, list):
        for value in template:
            yield from _texts(value)
