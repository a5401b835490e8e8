"""Looks at templates without matching them: what they name, whether they can be empty, what is wrong with them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache

from hassil import Expression, Group, ListReference, Permutation, RuleReference, Sentence, TextChunk, parse_sentence
from hassil import Sequence as InOrder
from hassil.parser import ParseError

from agentbox.intents.words import words_of
from agentbox.messages import JSON


class TemplateError(ValueError):
    """A template that cannot be parsed; the text says why."""


@lru_cache(maxsize=1024)
def parsed(template: str) -> Sentence:
    """The template parsed by hassil. Raises `TemplateError`."""
    try:
        return parse_sentence(template, keep_text=True)
    except (ParseError, AssertionError, RecursionError) as error:
        raise TemplateError(_syntax_fault(template)) from error


def parts_of(expression: Expression) -> list[Expression]:
    """All expressions inside `expression`, itself included; rules and lists are not entered."""
    parts, rest = [], [expression]
    while rest:
        parts.append(rest.pop())
        if isinstance(parts[-1], Group):
            rest += parts[-1].items
    return parts


def names_in(template: str) -> Iterable[str]:
    """The rules `<name>` and lists `{name}` that a template names, written that way."""
    for part in parts_of(parsed(template).expression):
        if isinstance(part, RuleReference):
            yield f"<{part.rule_name}>"
        elif isinstance(part, ListReference):
            yield f"{{{part.list_name}}}"


def _syntax_fault(template: str) -> str:
    for opening, closing in ("()", "[]", "{}", "<>"):
        if template.count(opening) > template.count(closing):
            return f"a {opening} is never closed by {closing}"
        if template.count(opening) < template.count(closing):
            return f"a {closing} closes nothing"
        if opening + closing in template:
            return f"{opening}{closing} is empty"
    return "the brackets () [] {} <> do not fit together"


class Definitions:
    """The lists and rules that sentences of one place can name, in hassil's format."""

    def __init__(self, lists: Mapping[str, JSON], rules: Mapping[str, str]) -> None:
        self.lists = dict(lists)
        self.rules = dict(rules)

    def with_more(self, lists: Mapping[str, JSON], rules: Mapping[str, str]) -> Definitions:
        """These and more; of two with one name the new one counts."""
        return Definitions({**self.lists, **lists}, {**self.rules, **rules})

    def templates(self, name: str) -> list[str]:
        """The templates that a rule `<name>` or a list `{name}` stands for."""
        bare = name[1:-1]
        if name.startswith("<"):
            return [self.rules[bare]] if bare in self.rules else []
        values = self.lists.get(bare, {}).get("values", ())
        return [value if isinstance(value, str) else value["in"] for value in values]

    def drop(self, name: str) -> None:
        (self.rules if name.startswith("<") else self.lists).pop(name[1:-1], None)

    def circle(self, name: str) -> list[str]:
        """The names by which `name` comes back to itself; none when it does not."""
        way: list[str] = []
        done: set[str] = set()

        def search(here: str) -> bool:
            if here in way:
                return here == name
            if here in done:
                return False
            way.append(here)
            if any(search(named) for template in self.templates(here) for named in names_in(template)):
                return True
            way.pop()
            done.add(here)
            return False

        return [*way, name] if search(name) else []

    def needed(self, templates: Iterable[str]) -> Definitions:
        """Only what these templates name, directly or through others."""
        names: set[str] = set()
        rest = list(templates)
        while rest:
            new = set(names_in(rest.pop())) - names
            names |= new
            rest += [template for name in new for template in self.templates(name)]
        return Definitions(
            {name: value for name, value in self.lists.items() if f"{{{name}}}" in names},
            {name: value for name, value in self.rules.items() if f"<{name}>" in names},
        )

    def may_be_empty(self, expression: Expression) -> bool:
        """Whether `expression` can be said without a word."""
        if isinstance(expression, TextChunk):
            return not words_of(expression.text)
        if isinstance(expression, RuleReference):
            return self.may_be_empty(parsed(self.rules[expression.rule_name]).expression)
        if not isinstance(expression, Group):
            return False
        empty: Collection[bool] = [self.may_be_empty(item) for item in expression.items]
        return all(empty) if isinstance(expression, InOrder | Permutation) else any(empty)


def local_templates(block: Mapping[str, JSON]) -> list[str]:
    """The templates inside a block's own lists and rules."""
    own = Definitions(block["lists"], block["expansion_rules"])
    names = [f"<{name}>" for name in own.rules] + [f"{{{name}}}" for name in own.lists]
    return [template for name in names for template in own.templates(name)]
