"""A line of the HTTP interface's table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import msgspec

from agentbox.messages import JSON, Scope
from agentbox.page import api_params as p
from agentbox.page import api_types as t

Verb: TypeAlias = Literal["GET", "POST", "DELETE"]


def _as_they_are(params: p.Params) -> dict[str, JSON]:
    plain: dict[str, JSON] = msgspec.to_builtins(params)
    return plain


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """`answer`: the type of the result, or of a stream's items. `sends`: the method's parameters."""

    verb: Verb
    path: str
    method: str
    scope: Scope
    summary: str
    answer: t.Answer
    params: type[p.Params] = p.Params
    streams: bool = False
    may_be_null: bool = False
    """Null means that there is no such thing."""
    sends: Callable[[Any], dict[str, JSON]] = _as_they_are
