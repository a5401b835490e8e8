"""Spaces in scripts without them: none counts beside such a letter, wherever another script stands amidst it.

"打开 living room 的灯" and "打开living room的灯" are one sentence, and "turn on 客厅的灯" is said by one template with
"turn on living room 的灯". hassil ignores only spaces between two letters of such a script. So texts lose those at its
edges too, and templates take a space, or none, where two parts meet that may both be in another script.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from hassil import (
    Alternative,
    Expression,
    Group,
    ListReference,
    RuleReference,
    Sentence,
    SlotList,
    TextChunk,
    TextSlotList,
)
from hassil import Sequence as InOrder

from agentbox.intents.chinese import CJK

_AT_EDGE = re.compile(rf"(?<=[{CJK}])\s+|\s+(?=[{CJK}])")
_OTHER_LETTER = re.compile(rf"(?![{CJK}])[^\W\d_]")


def squeezed(text: str) -> str:
    """`text` without the spaces beside letters of scripts without spaces."""
    return _AT_EDGE.sub("", text)


def loosen(expressions: Iterable[Expression], rules: Mapping[str, Sentence], lists: Mapping[str, SlotList]) -> None:
    """Have parsed templates, which name `rules` and `lists`, match squeezed texts. They are changed in place."""
    _Loosening(rules, lists).all(expressions)


class _Loosening:
    def __init__(self, rules: Mapping[str, Sentence], lists: Mapping[str, SlotList]) -> None:
        self._rules = rules
        self._lists = lists
        self._known: dict[str, bool] = {}

    def all(self, expressions: Iterable[Expression]) -> None:
        for expression in expressions:
            if isinstance(expression, TextChunk):
                expression.text = squeezed(expression.text)
            elif isinstance(expression, Group):
                self.all(expression.items)
                if isinstance(expression, InOrder):
                    self._part(expression)

    def _part(self, sequence: InOrder) -> None:
        """Take a space or none between two parts that may both be in another script, and where one is written between
        two rules or lists."""
        for item in sequence.items:
            if isinstance(item, TextChunk) and item.text.strip():
                item.text = item.text.strip()
        parts: list[Expression] = []
        for item in sequence.items:
            if isinstance(item, TextChunk) and item.text.isspace():
                parts.append(_perhaps_a_space())
                continue
            if parts and self._is_other(parts[-1]) and self._is_other(item):
                parts.append(_perhaps_a_space())
            parts.append(item)
        sequence.items = parts

    def _is_other(self, expression: Expression) -> bool:
        """Whether it may be said in another script. Free text and numbers put up with spaces by themselves."""
        if isinstance(expression, TextChunk):
            return _OTHER_LETTER.search(expression.text) is not None
        if isinstance(expression, Group):
            return any(map(self._is_other, expression.items))
        if isinstance(expression, RuleReference):
            name = f"<{expression.rule_name}>"
            if name not in self._known:
                self._known[name] = False  # a circle is told elsewhere
                self._known[name] = self._is_other(self._rules[expression.rule_name].expression)
            return self._known[name]
        if isinstance(expression, ListReference):
            slot_list = self._lists[expression.list_name]
            return isinstance(slot_list, TextSlotList) and any(
                self._is_other(value.text_in) for value in slot_list.values
            )
        return False


def _perhaps_a_space() -> Alternative:
    return Alternative(items=[TextChunk(" "), TextChunk("")], is_optional=True)
