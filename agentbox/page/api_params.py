"""What goes into the HTTP interface, as types: they check requests, and become its description."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, UnsetType

from agentbox.messages import JSON, Caller, Scope

Id: TypeAlias = Annotated[str, Meta(pattern="^[0-9a-f]{32}$", description="32 hex digits.")]
Limit: TypeAlias = Annotated[int, Meta(ge=1, le=1000, description="How many at most.")]
Moment: TypeAlias = Annotated[float, Meta(ge=-1e12, le=1e12, description="Seconds since 1970.")]
Text: TypeAlias = Annotated[str, Meta(min_length=1, max_length=1000)]
Sentences: TypeAlias = Annotated[str, Meta(description="A file of sentences, in YAML; of 256 KiB at most.")]
Policy: TypeAlias = Literal["allow", "confirm", "deny"]
Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=60)]


class Params(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a request may hold; anything else in it is an error."""


class Some(Params, frozen=True):
    limit: Limit = 50


class Say(Params, frozen=True):
    text: Text


class CallTool(Params, frozen=True):
    tool: Text
    arguments: dict[str, JSON]


class SetPolicy(Params, frozen=True):
    tool: Text
    caller: Caller
    policy: Policy


class OneFile(Params, frozen=True):
    file: Text


class CheckSentences(Params, frozen=True):
    file: Text
    text: Sentences


class SaveSentences(Params, frozen=True):
    file: Text
    text: Sentences
    version: Annotated[Text, Meta(description="The one that was read.")]


class MuteFor(Params, frozen=True):
    minutes: Annotated[float, Meta(gt=0, le=10_080, description="A week at most; else without an end.")] | UnsetType = (
        UNSET
    )


class SetConfig(Params, frozen=True):
    values: Annotated[dict[str, JSON], Meta(min_length=1, description="By dotted key; all count, or none.")]


class OneBackend(Params, frozen=True):
    name: Text


class After(Params, frozen=True):
    """A list goes on where it ended: with the time and the id of its last row."""

    limit: Limit = 50
    before: Annotated[Moment, Meta(description="Only what began earlier.")] | UnsetType = UNSET
    before_id: Annotated[Id, Meta(description="With `before`: or then, with a smaller id.")] | UnsetType = UNSET


class SomeDays(Params, frozen=True):
    limit: Limit = 31
    since: Moment | UnsetType = UNSET


class Span(Params, frozen=True):
    since: Moment | UnsetType = UNSET
    until: Moment | UnsetType = UNSET


class SomeTurns(After, frozen=True):
    since: Moment | UnsetType = UNSET
    until: Moment | UnsetType = UNSET
    text: Text | UnsetType = UNSET
    activated_by: Text | UnsetType = UNSET
    outcome: Text | UnsetType = UNSET
    tool: Text | UnsetType = UNSET


class Search(Params, frozen=True):
    text: Text
    limit: Limit = 20


class One(Params, frozen=True):
    id: Id


class Stretch(Params, frozen=True):
    since: Moment
    until: Moment


class AddDevice(Params, frozen=True):
    name: Name
    scopes: Annotated[list[Scope], Meta(min_length=1, max_length=5)]


class RenameDevice(Params, frozen=True):
    id: Id
    name: Name
