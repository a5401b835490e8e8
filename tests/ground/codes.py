"""Reads the program's source for every code it can give an error, a notice or a tool's result.

A code must be found without running anything: written out, or made of what is written out in the same function
(a variable, an f-string over a `Literal` parameter, `"a" if x else "b"`), in a call of the helper that makes the
error, or in the tuple that another function returns. Whatever else it is comes back as null.
"""

from __future__ import annotations

import ast
import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

CODE_KEYWORD = {"Notice": "code", "ToolResult": "error_code"}
"""Messages that carry a code, and the field it is in."""

TABLED, TABLE = "CloudError", "PROBLEMS"
"""The one error whose codes are the keys of a table."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Given(NamedTuple):
    """A place in the source that gives a code; `code` is null where it cannot be told. `kind`: the class given."""

    kind: str
    code: str | None
    place: str


class Call(NamedTuple):
    """A call in the source."""

    node: ast.Call
    inside: Function | None
    """The innermost function around it."""
    path: str


@dataclass
class Source:
    """Every function of the program by name, every call with where it stands, and every class of error with its
    parent."""

    trees: dict[str, ast.Module]
    functions: dict[str, list[Function]] = field(default_factory=lambda: defaultdict(list))
    parents: dict[str, str] = field(default_factory=dict)
    calls: dict[str, list[Call]] = field(default_factory=lambda: defaultdict(list))
    """By the last name of what is called."""

    @classmethod
    def read(cls, root: Path) -> Source:
        paths = sorted((root / "agentbox").rglob("*.py"))
        return cls.parsed({str(path.relative_to(root)): path.read_text(encoding="utf-8") for path in paths})

    @classmethod
    def parsed(cls, texts: dict[str, str]) -> Source:
        source = cls({path: ast.parse(text) for path, text in texts.items()})
        bases: dict[str, str] = {}
        for node in itertools.chain.from_iterable(map(ast.walk, source.trees.values())):
            if isinstance(node, Function):
                source.functions[node.name].append(node)
            elif isinstance(node, ast.ClassDef):
                bases[node.name] = next((base.id for base in node.bases if isinstance(base, ast.Name)), "")
        for path, tree in source.trees.items():
            for call, function in calls(tree):
                source.calls[called(call)].append(Call(call, function, path))
        names = {"AgentboxError"}
        while more := {name for name, base in bases.items() if base in names} - names:
            names |= more
        source.parents = {name: bases[name] for name in names if name in bases}
        return source

    def given(self) -> list[Given]:
        """Every code that the program can give, once for each place that gives it."""
        found = []
        for name in sorted({*self.parents, *CODE_KEYWORD} - {TABLED}):
            for call, function, path in self.calls[name]:
                expression = argument(call, 0, "code") if name in self.parents else keyword(call, CODE_KEYWORD[name])
                codes = self.values(expression, function)
                found += [Given(name, code, f"{path}:{call.lineno}") for code in sorted(codes, key=str)]
        for path, tree in self.trees.items():
            for node in tree.body:
                if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == TABLE:
                    assert isinstance(node.value, ast.Dict)
                    keys = [key.value for key in node.value.keys if isinstance(key, ast.Constant)]
                    found += [Given(TABLED, str(key), f"{path}:{node.lineno}") for key in keys]
        return found

    def values(self, node: ast.expr | None, function: Function | None) -> set[str | None]:
        """The texts that an expression in `function` can be; null among them where it could be anything."""
        match node:
            case None | ast.Constant(value=None):
                return set()
            case ast.Constant(value=str(text)):
                return {text}
            case ast.IfExp():
                return self.values(node.body, function) | self.values(node.orelse, function)
            case ast.Attribute(attr="code" | "error_code"):
                return set()  # another error's code, counted where that one is made
            case ast.FormattedValue(value=inner) | ast.Call(func=ast.Name(id="str"), args=[inner]):
                return self.values(inner, function)
            case ast.JoinedStr():
                parts = [self.values(part, function) for part in node.values]
                return {None if None in choice else "".join(map(str, choice)) for choice in itertools.product(*parts)}
            case ast.Name(id=name) if function is not None:
                return self.variable(name, function)
            case ast.Starred(value=ast.Call() as call):
                return self.returned(called(call))
            case _:
                return {None}

    def variable(self, name: str, function: Function) -> set[str | None]:
        """What a parameter or a local variable can be."""
        assigned = [
            node.value
            for node in ast.walk(function)
            if isinstance(node, ast.Assign) and any(isinstance(to, ast.Name) and to.id == name for to in node.targets)
        ]
        if assigned:
            return set().union(*(self.values(value, function) for value in assigned))
        parameters = parameters_of(function)
        if name not in parameters:
            return {None}
        annotation, default = parameters[name]
        match annotation:
            case ast.Subscript(value=ast.Name(id="Literal"), slice=choices):
                nodes = choices.elts if isinstance(choices, ast.Tuple) else [choices]
                return set().union(*(self.values(node, None) for node in nodes))
        position = list(parameters).index(name)
        passed = [self.values(argument(call, position, name), caller) for call, caller, _ in self.calls[function.name]]
        return self.values(default, None).union(*passed)

    def returned(self, name: str) -> set[str | None]:
        """The first of the values that the functions of that name return."""
        return {
            code
            for function in self.functions[name]
            for node in ast.walk(function)
            if isinstance(node, ast.Return)
            for code in (self.values(node.value.elts[0], function) if isinstance(node.value, ast.Tuple) else {None})
        } or {None}


def calls(tree: ast.Module) -> Iterator[tuple[ast.Call, Function | None]]:
    """Every call in a module, with the innermost function around it."""

    def below(nodes: Iterable[ast.AST], function: Function | None) -> Iterator[tuple[ast.Call, Function | None]]:
        for node in nodes:
            if isinstance(node, ast.Call):
                yield node, function
            yield from below(ast.iter_child_nodes(node), node if isinstance(node, Function) else function)

    return below([tree], None)


def called(call: ast.Call) -> str:
    """The last name of what is called: `f` of `f()` and of `self.f()`."""
    return call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")


def argument(call: ast.Call, position: int, name: str) -> ast.expr | None:
    return call.args[position] if len(call.args) > position else keyword(call, name)


def keyword(call: ast.Call, name: str) -> ast.expr | None:
    return next((one.value for one in call.keywords if one.arg == name), None)


def parameters_of(function: Function) -> dict[str, tuple[ast.expr | None, ast.expr | None]]:
    """Name -> (annotation, default) of each parameter but `self`, in order."""
    found = function.args
    plain = [*found.posonlyargs, *found.args]
    defaults: list[ast.expr | None] = [None] * (len(plain) - len(found.defaults))
    pairs = [
        *zip(plain, [*defaults, *found.defaults], strict=True),
        *zip(found.kwonlyargs, found.kw_defaults, strict=True),
    ]
    return {one.arg: (one.annotation, default) for one, default in pairs if one.arg not in ("self", "cls")}
