"""A sentence that starts something, for whoever wants to know what to say."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

from hassil import Alternative, Expression, Group, ListReference, RangeSlotList, RuleReference, TextChunk, TextSlotList

from agentbox.intents.check.saying import any_word
from agentbox.intents.grammar import Grammar, Scope

_NUMBER = 10
"""Said where any number fits; the nearest where it does not."""

_ARTICLES = ("a", "an", "the")
"""May be left out, and are not by people."""

_TRIED = 20


def example(grammars: Sequence[Grammar], intents: Collection[str], means: Callable[[str], str | None]) -> str | None:
    """A sentence for one of `intents` that needs nothing said before; null where there is none.

    `means`: the intent of a text. Only a sentence that is understood as it should be is given.
    """
    for number, text in enumerate(_texts(grammars, intents)):
        if text and means(text) in intents:
            return text
        if number >= _TRIED:
            return None
    return None


def _texts(grammars: Sequence[Grammar], intents: Collection[str]) -> Iterator[str]:
    for grammar in grammars:
        for scope in grammar.scopes:
            for template in scope.templates:
                if template.intent in intents and not template.block.requires_context:
                    yield " ".join(_said(template.sentence.expression, scope).split())


def _said(expression: Expression, scope: Scope) -> str:
    """The plainest sentence of `expression`: the first of alternatives, and nothing that may be left out."""
    if isinstance(expression, TextChunk):
        return expression.original_text
    if isinstance(expression, RuleReference):
        return _said(scope.rules[expression.rule_name].expression, scope)
    if isinstance(expression, ListReference):
        return _value(expression, scope)
    assert isinstance(expression, Group)
    if isinstance(expression, Alternative):
        said = [_said(item, scope) for item in expression.items]
        may_be_left_out = expression.is_optional or "" in said
        if may_be_left_out and said[0].strip() not in _ARTICLES:
            return ""
        return said[0]
    return "".join(_said(item, scope) for item in expression.items)


def _value(reference: ListReference, scope: Scope) -> str:
    values = scope.lists[reference.list_name]
    if isinstance(values, TextSlotList):
        return _said(values.values[0].text_in, scope) if values.values else ""
    if isinstance(values, RangeSlotList):
        nearest = min(max(_NUMBER, values.start), values.stop)
        return str(nearest - (nearest - values.start) % values.step)
    return any_word(scope.grammar.language)
