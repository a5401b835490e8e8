"""A sentence of the owner's in Jinja2, as Home Assistant has them: what may stand in one, and how it becomes words.

It is rendered in Jinja2's sandbox, in the box's own loop, so it must never be long about it. Nothing is timed: every
value is small, and all that is done with values is counted and has an end, the same one on every machine.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Collection, ItemsView, Iterator, KeysView, Mapping, ValuesView
from functools import wraps
from itertools import islice
from types import CodeType
from typing import Any, NoReturn

from jinja2 import Template, TemplateError, Undefined, meta, nodes, pass_context
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from agentbox.messages import JSON

VARIABLES = frozenset(("slots", "answer"))
"""What a template can name, besides what it sets itself and `range`."""

MOST_LETTERS = 1_000
"""Of what is said, and letters and items of any value on the way there: with values so small, whatever one step makes
of two of them is small too."""
MOST_SOURCE = 8_000
"""Letters of a template; the longest of the community's (package home-assistant-intents 2026.10) has 6,800."""
MOST_WORK = 20_000
"""Letters, items and steps of all that is done in one rendering: some ten milliseconds."""
_MOST_BITS = 256
"""Of a whole number."""
_MOST_ROUND = 15
"""Digits after the point that rounding may ask for."""

_FILTERS = (
    "abs", "capitalize", "count", "d", "default", "first", "float", "format", "int", "items", "join", "last", "length",
    "list", "lower", "map", "max", "min", "reject", "rejectattr", "replace", "reverse", "round", "select",
    "selectattr", "sort", "string", "sum", "title", "trim", "unique", "upper",
)  # fmt: skip

_ATTRIBUTES: Mapping[type, Collection[str]] = {
    str: (
        "capitalize", "count", "endswith", "find", "format", "isalpha", "isdigit", "isnumeric", "join", "lower",
        "lstrip", "removeprefix", "removesuffix", "replace", "rstrip", "split", "startswith", "strip", "title", "upper",
    ),
    dict: ("get", "items", "keys", "values"),
    list: ("count", "index"),
    tuple: ("count", "index"),
    float: ("is_integer",),
    LoopContext: (
        "cycle", "first", "index", "index0", "last", "length", "nextitem", "previtem", "revindex", "revindex0",
    ),
}  # fmt: skip
"""What can be asked of a value. Everything else, and with it everything inside Python, is not there."""

_NODES = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Const, nodes.Name, nodes.Getattr, nodes.Getitem,
    nodes.Slice, nodes.If, nodes.CondExpr, nodes.For, nodes.Assign, nodes.Compare, nodes.Operand, nodes.BinExpr,
    nodes.UnaryExpr, nodes.Concat, nodes.Filter, nodes.Test, nodes.Call, nodes.Keyword, nodes.List, nodes.Tuple,
    nodes.Dict, nodes.Pair,
)  # fmt: skip
_NAMES_OF_JINJA = frozenset(("self", "super", "caller", "varargs", "kwargs"))

_WIDE_PERCENT = re.compile(r"%(?:\([^)]*\))?[-+ #0]*(?:\*|\d{3}|\d*\.(?:\*|\d{3}))")
_WIDE_BRACES = re.compile(r"\d{3}|\{")

_MISTAKES = (TemplateError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RecursionError)
"""What Jinja2, and Python below it, raise for a template that is wrong."""


class ResponseError(Exception):
    """A template that cannot be used, or that made no sentence. The text says why, and holds nothing that was said."""


class ResponseTemplate:
    """One template, compiled. Not changed by use."""

    def __init__(self, text: str) -> None:
        """Raises `ResponseError`."""
        if len(text) > MOST_SOURCE:
            _refuse(f"it must have at most {MOST_SOURCE} letters")
        environment = _Environment()
        try:
            tree = environment.parse(text)
            _check(tree)
            tree = _Counting().visit(tree)
            tree.set_environment(environment)
            self._code: CodeType = environment.compile(tree)
        except ResponseError:
            raise
        except TemplateError as error:
            # Its message names what stands in the template, which nobody has said yet.
            raise ResponseError(f"line {getattr(error, 'lineno', 1)} of it is no Jinja2: {error.message}") from error
        except (*_MISTAKES, SyntaxError, MemoryError) as error:
            raise ResponseError("it is no Jinja2, or too deeply nested") from error

    def render(self, slots: Mapping[str, JSON], answer: str) -> str:
        """The sentence, in one line; empty where it says nothing. Raises `ResponseError`."""
        environment = _Environment()
        template = Template.from_code(environment, self._code, environment.make_globals(None))
        chunks: list[str] = []
        length = 0
        try:
            for chunk in template.generate(slots=dict(slots), answer=answer):
                length += len(chunk)
                if length > MOST_LETTERS:
                    _refuse(f"it says more than {MOST_LETTERS} letters")
                chunks.append(chunk)
        except (*_MISTAKES, MemoryError) as error:
            # The error's own text may hold what was said.
            raise ResponseError(f"it fails ({type(error).__name__})") from error
        letters = (letter for letter in "".join(chunks) if letter.isprintable() or letter.isspace())
        return " ".join("".join(letters).split())


class _Environment(ImmutableSandboxedEnvironment):
    """Jinja2 for one rendering: it counts what is done."""

    intercepted_binops = frozenset(("+", "-", "*", "/", "//", "**", "%"))

    def __init__(self) -> None:
        # Without the optimizer, and with a `finalize` that wants the context, nothing is worked out while compiling.
        super().__init__(cache_size=0, optimized=False, finalize=_said)
        self.globals = {"range": _range}
        filters = {name: self._counted(name, self.filters[name]) for name in _FILTERS}
        self.filters = {**filters, "_joined": self._joined, "_small": self.small, "_steps": self._steps}
        self._left = MOST_WORK

    def small(self, value: Any) -> Any:
        """The value, counted; what is made while it is read (`map`) as a list. Raises `ResponseError`."""
        if isinstance(value, Iterator | ItemsView | KeysView | ValuesView):
            value = list(islice(value, MOST_LETTERS + 1))
        size = _size(value)
        self._take(size)
        return value

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        names = next((names for kind, names in _ATTRIBUTES.items() if isinstance(obj, kind)), ())
        return attr in names and super().is_safe_attribute(obj, attr, value)

    def unsafe_undefined(self, obj: Any, attribute: str) -> NoReturn:
        raise SecurityError(f"{attribute} of {type(obj).__name__} cannot be used here")

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, dict) and attribute in obj:
            return obj[attribute]  # a slot may be called `items`
        return super().getattr(_formatted(obj, attribute), attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        return super().getitem(_formatted(obj, argument), argument)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805  # as Jinja2's
        for value in (*args, *kwargs.values()):
            __self.small(value)
        return __self.small(super().call(__context, __obj, *args, **kwargs))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        sizes = self.small(left), self.small(right)
        if operator == "*":
            for one, other in (sizes, sizes[::-1]):
                if isinstance(one, int) and isinstance(other, str | list | tuple) and one * len(other) > MOST_LETTERS:
                    _refuse(f"a value has more than {MOST_LETTERS} letters or items")
        elif operator == "**" and isinstance(left, int) and isinstance(right, int):
            if left.bit_length() * abs(right) > _MOST_BITS:
                _refuse("a number is too large")
        elif operator == "%" and isinstance(left, str):
            _check_percent(left)
        return self.small(super().call_binop(context, operator, left, right))

    def _counted(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The filter, which takes and gives small values only."""
        given = 1 if hasattr(function, "jinja_pass_arg") else 0

        @wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            for value in (*args[given:], *kwargs.values()):
                self.small(value)
            if name == "format" and args:
                _check_percent(str(args[0]))
            if name == "round":
                for value in (*args[given + 1 :], *kwargs.values()):
                    if isinstance(value, int) and abs(value) > _MOST_ROUND:
                        _refuse(f"it rounds to more than {_MOST_ROUND} digits")
            return self.small(function(*args, **kwargs))

        return call

    def _joined(self, parts: list[Any]) -> str:
        """What `~` makes."""
        joined: str = self.small("".join(str(self.small(part)) for part in parts))
        return joined

    def _steps(self, value: Any, cost: int) -> list[Any]:
        """What a loop goes through; `cost` of each step."""
        if isinstance(value, Undefined):
            return []
        items: list[Any] = list(self.small(value))
        self._take(cost * len(items))
        return items

    def _take(self, work: int) -> None:
        self._left -= work
        if self._left < 0:
            _refuse("it takes too many steps")


class _Counting(NodeTransformer):
    """Sends through a filter what the sandbox does not: loops, `~`, and lists that are written out."""

    def visit_For(self, node: nodes.For) -> nodes.For:  # noqa: N802
        cost = sum(1 for _ in node.find_all(nodes.Node))
        self.generic_visit(node)
        node.iter = _filtered(node.iter, "_steps", [nodes.Const(cost, lineno=node.lineno)])
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Filter:  # noqa: N802
        self.generic_visit(node)
        return _filtered(nodes.List(node.nodes, lineno=node.lineno), "_joined", [])

    def visit_List(self, node: nodes.List) -> nodes.Filter:  # noqa: N802
        self.generic_visit(node)
        return _filtered(node, "_small", [])

    def visit_Dict(self, node: nodes.Dict) -> nodes.Filter:  # noqa: N802
        self.generic_visit(node)
        return _filtered(node, "_small", [])

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Tuple | nodes.Filter:  # noqa: N802
        self.generic_visit(node)
        return node if node.ctx == "store" else _filtered(node, "_small", [])


def _filtered(node: nodes.Node, name: str, args: list[nodes.Expr]) -> nodes.Filter:
    assert isinstance(node, nodes.Expr)
    return nodes.Filter(node, name, args, [], None, None, lineno=node.lineno)


def _check(tree: nodes.Template) -> None:
    """Whether only what is allowed stands in a template. Raises `ResponseError`."""
    for node in tree.find_all(nodes.Node):
        if not isinstance(node, _NODES):
            _refuse(f"{type(node).__name__.lower()} cannot be used here")
        if isinstance(node, nodes.For) and node.recursive:
            _refuse("a loop cannot be recursive here")
        if isinstance(node, nodes.Filter) and (node.name not in _FILTERS or node.node is None):
            _refuse(f"the filter {node.name} cannot be used here")
        if isinstance(node, nodes.Name) and node.name in _NAMES_OF_JINJA:
            _refuse(f"{node.name} cannot be used here")
    # What is set in one branch alone counts as undeclared for Jinja2.
    own = {node.name for node in tree.find_all(nodes.Name) if node.ctx == "store"}
    unknown = meta.find_undeclared_variables(tree) - VARIABLES - own - {"range"}
    if unknown:
        what = ", ".join(sorted(unknown))
        _refuse(f"{what} cannot be used here: there are `slots` and `answer`")


@pass_context
def _said(context: Context, value: Any) -> Any:
    """A value as it goes into the sentence."""
    if isinstance(value, list | tuple | dict | range):
        _refuse("it says a list: join it first")
    assert isinstance(context.environment, _Environment)
    return context.environment.small("" if value is None else value)


def _range(*bounds: int) -> range:
    numbers = range(*bounds)
    if len(numbers) > MOST_LETTERS:
        _refuse(f"a range has more than {MOST_LETTERS} numbers")
    return numbers


def _size(value: Any) -> int:
    """Letters and items of a value, at most `MOST_LETTERS`; more raises `ResponseError`."""
    size, rest = 0, [value]
    while rest:
        one = rest.pop()
        size += 1
        if isinstance(one, str | range):
            size += len(one)
        elif isinstance(one, list | tuple):
            rest += one
        elif isinstance(one, dict):
            rest += [*one, *one.values()]
        elif isinstance(one, int):
            if one.bit_length() > _MOST_BITS:
                _refuse("a number is too large")
        elif not isinstance(one, float | Undefined | type(None)):
            _refuse(f"a {type(one).__name__} cannot be used here")
        if size + len(rest) > MOST_LETTERS:
            _refuse(f"a value has more than {MOST_LETTERS} letters or items")
    return size


def _formatted(value: Any, attribute: Any) -> Any:
    """The value; a text that is to be formatted asks for no wide fields ("{:999999999}")."""
    if attribute == "format" and isinstance(value, str):
        for _, _, form, _ in string.Formatter().parse(value):
            if form and _WIDE_BRACES.search(form):
                _refuse("it formats to more than 99 letters")
    return value


def _check_percent(form: str) -> None:
    if _WIDE_PERCENT.search(form):
        _refuse("it formats to more than 99 letters")


def _refuse(why: str) -> NoReturn:
    raise ResponseError(why)
