"""`@tool`: one declaration of a tool, for local sentences, cloud function calling, a text brain and MCP alike."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn

import msgspec

from agentbox.errors import ToolError
from agentbox.messages import JSON, Caller
from agentbox.tools.context import Outcome, ToolContext

Risk = Literal["normal", "risky"]
ToolFunction = Callable[..., Awaitable[str | Outcome]]

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Tool:
    """Something the box can do."""

    name: str
    description: str
    function: ToolFunction = field(repr=False)
    """Called as `await function(context, **arguments)`."""
    parameters: type[msgspec.Struct] = field(repr=False)
    """The arguments' names, types and defaults; unknown ones are refused."""
    intents: tuple[str, ...]
    """Sentences with these intents are answered by this tool."""
    slots: Mapping[str, str] = field(default_factory=dict)
    """Slot name -> parameter name, where they differ."""
    sentences: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Language -> hassil templates that mean the first of `intents`."""
    effects: bool = True
    """Whether a call changes anything; if so, it is on record before it starts."""
    risk: Risk = "normal"
    callers: frozenset[Caller] | None = None
    """Who may call it at all, whatever the owner's policy says; null: the policy decides alone."""
    idempotent: bool = False
    """Whether doing it twice is the same as doing it once."""
    timeout_s: float | None = None
    """Null: the configuration's `tools.timeout_s`."""
    ignore_other_slots: bool = False
    """Slots that are no parameter are dropped (the owner's own calls use what they need) and not refused."""
    module: str = ""
    """The module it was found in; the registry fills it in."""

    def __call__(self, context: ToolContext, **arguments: Any) -> Awaitable[str | Outcome]:
        return self.function(context, **arguments)

    @property
    def schema(self) -> dict[str, JSON]:
        """The JSON schema of the arguments."""
        _, components = msgspec.json.schema_components([self.parameters], ref_template="#/$defs/{name}")
        schema = {key: value for key, value in components.pop(self.parameters.__name__).items() if key != "title"}
        return {**schema, "$defs": components} if components else schema

    def arguments(self, slots: Mapping[str, JSON]) -> dict[str, JSON]:
        """An intent's slots as arguments, unchecked."""
        named = {self.slots.get(slot, slot): value for slot, value in slots.items()}
        if not self.ignore_other_slots:
            return named
        return {name: value for name, value in named.items() if name in self.parameters.__struct_fields__}

    def check(self, arguments: Mapping[str, JSON]) -> dict[str, Any]:
        """The arguments with the types that the function wants; "5" is good for an int.

        Raises `ToolError` `tool_bad_arguments`.
        """
        try:
            checked = msgspec.convert(dict(arguments), self.parameters, strict=False)
        except (msgspec.ValidationError, TypeError) as error:
            raise ToolError(
                "tool_bad_arguments",
                f"{self.name} cannot be called like that: {error}.",
                f"`agentbox tools list --json` shows what {self.name} takes.",
            ) from error
        return {name: getattr(checked, name) for name in self.parameters.__struct_fields__}

    def describe(self, arguments: Mapping[str, JSON]) -> str:
        """The call in words, for the question whether it is meant."""
        told = [f"{name.replace('_', ' ')} {value}" for name, value in arguments.items() if value not in (None, "")]
        return ", ".join([self.name.replace("_", " "), *told])


def tool(
    *,
    name: str | None = None,
    intents: Sequence[str] | None = None,
    slots: Mapping[str, str] | None = None,
    sentences: Mapping[str, Sequence[str]] | None = None,
    effects: bool = True,
    risk: Risk = "normal",
    callers: Collection[Caller] | None = None,
    idempotent: bool = False,
    timeout_s: float | None = None,
) -> Callable[[ToolFunction], Tool]:
    """Declare a typed async function to be a tool.

    The first parameter is the `ToolContext`; the others become the JSON schema by their type hints; the docstring is
    the description. `intents` defaults to the tool's own name. The fields of `Tool` say what the rest means.
    Raises `ToolError` `tool_declaration`.
    """

    def declare(function: ToolFunction) -> Tool:
        own: str = name or function.__name__
        if not _NAME.fullmatch(own):
            _wrong(own, "its name must be lower case letters, digits and _, at most 64")
        description = " ".join((inspect.getdoc(function) or "").split("\n\n")[0].split())
        if not description:
            _wrong(own, "it needs a docstring that says what it does")
        if timeout_s is not None and not 0 < timeout_s <= 300:
            _wrong(own, "timeout_s must be above 0 and at most 300")
        if risk not in ("normal", "risky"):
            _wrong(own, "risk must be normal or risky")
        declared = Tool(
            name=own,
            description=description,
            function=function,
            parameters=_parameters(own, function),
            intents=(own,) if intents is None else tuple(intents),
            slots=dict(slots or {}),
            sentences={language: tuple(templates) for language, templates in (sentences or {}).items()},
            effects=effects,
            risk=risk,
            callers=None if callers is None else frozenset(callers),
            idempotent=idempotent,
            timeout_s=timeout_s,
        )
        if unknown := set(declared.slots.values()) - set(declared.parameters.__struct_fields__):
            _wrong(own, f"slots names a parameter that is not there: {', '.join(sorted(unknown))}")
        return declared

    return declare


def parameters_struct(name: str, fields: Sequence[tuple[str, Any] | tuple[str, Any, Any]]) -> type[msgspec.Struct]:
    """A struct of (name, type[, default]) that refuses any other field.

    Raises `ToolError` `tool_declaration` where JSON schema has no words for a type.
    """
    try:
        struct = msgspec.defstruct(name, fields, kw_only=True, frozen=True, forbid_unknown_fields=True)
        msgspec.json.schema_components([struct])
        msgspec.json.Decoder(struct)
    except (TypeError, ValueError, RecursionError) as error:
        _wrong(name, f"its parameters cannot be told in JSON schema ({error})")
    return struct


def _parameters(name: str, function: ToolFunction) -> type[msgspec.Struct]:
    if not inspect.iscoroutinefunction(function):
        _wrong(name, "it must be `async def`")
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError, AttributeError, SyntaxError) as error:
        _wrong(name, f"its type hints cannot be read ({error}); import their types outside of TYPE_CHECKING")
    taken = [*inspect.signature(function).parameters.values()]
    if not taken or hints.get(taken[0].name) is not ToolContext:
        _wrong(name, "its first parameter must be `context: ToolContext`")
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    for parameter in taken[1:]:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            _wrong(name, f"the parameter {parameter.name} must be one that can be given by name")
        if parameter.name not in hints:
            _wrong(name, f"the parameter {parameter.name} needs a type hint")
        required = parameter.default is parameter.empty
        hint = hints[parameter.name]
        fields.append((parameter.name, hint) if required else (parameter.name, hint, parameter.default))
    return parameters_struct(name, fields)


def _wrong(name: str, why: str) -> NoReturn:
    raise ToolError("tool_declaration", f"The tool {name!r} is not declared well: {why}.", "See docs/plugins.md.")
