"""The parameters of a control request, checked."""

from __future__ import annotations

from typing import TypeAlias, TypeVar

import msgspec

from agentbox.errors import InputError
from agentbox.messages import JSON

Params: TypeAlias = dict[str, JSON]
T = TypeVar("T")


def want(params: Params, name: str, kind: type[T]) -> T:
    """The parameter, checked. Raises `InputError` `bad_parameter`."""
    try:
        return msgspec.convert(params.get(name), kind)
    except msgspec.ValidationError as error:
        raise InputError("bad_parameter", f"{name} must be of type {kind.__name__}.", "See docs/control.md.") from error


def maybe(params: Params, name: str, kind: type[T]) -> T | None:
    """`want`, for a parameter that may be left out."""
    return want(params, name, kind) if name in params else None
