"""Reads the owner's sentence files and says in their words what is wrong, at which line; the rest still works.

A mistake costs as little as it can: a wrong sentence costs that sentence, a wrong list costs the sentences that name
it, and only a file that is no YAML costs the file.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from hassil import Expression, ListReference, Permutation, RuleReference, Sentence

from agentbox.errors import ConfigError
from agentbox.intents.responses import Response, Wanted, written
from agentbox.intents.templates import Definitions, TemplateError, local_templates, parsed, parts_of
from agentbox.intents.words import words_of
from agentbox.messages import JSON, Notice
from agentbox.settings import Key, read_yaml

_TODO = "docs/sentences.md explains how sentences are written."
_MAX_PERMUTED = 6
"""`(a;b;c;...)` stands for every order: six parts are 720 orders, and matching tries them all."""
_MAX_SPELLED = 1_000
"""Numbers of a range that are also spelled out in words; spelling takes about 0.05 ms each."""
_TOP_KEYS = ("language", "intents", "lists", "expansion_rules", "skip_words", "responses", "settings")
_BLOCK_KEYS = (
    *("sentences", "slots", "requires_context", "excludes_context", "expansion_rules", "lists", "metadata", "response"),
    *("required_keywords", "inferred_domain", "name_domains", "settings"),
)
_RANGE_KEYS = ("from", "to", "step", "type", "fractions", "multiplier", "digits", "words", "words_language")


class OwnerFile(NamedTuple):
    """What can be used of one file, in hassil's format (null: nothing), and what is wrong with it."""

    values: dict[str, JSON] | None
    problems: list[Notice]
    responses: Sequence[Response] = ()
    wanted: Sequence[Wanted] = ()
    """The responses that its sentences name."""


def load(
    path: Path,
    language: str,
    ours: Mapping[str, JSON] | None,
    intents: Collection[str],
    named_lists: Collection[str],
) -> OwnerFile:
    """Read and check one file of sentences for a box that speaks `language`. Never raises.

    `ours`: our own sentences, whose lists and rules a file may use. `intents`: what the box can carry out; others are
    kept and reported. `named_lists`: lists that the box fills.
    """
    try:
        values, lines = read_yaml(path)
    except ConfigError as error:
        return unusable(error)
    return check(values, path, lines, language, ours, intents, named_lists)


def unusable(error: ConfigError) -> OwnerFile:
    """What is told of a file that is no YAML, or cannot be read."""
    code = "sentences_unreadable" if error.code == "config_unreadable" else "sentences_syntax"
    return OwnerFile(None, [Notice(code=code, what=error.what, todo=_TODO, level="error")])


def check(
    values: Mapping[str, JSON],
    path: Path,
    lines: dict[Key, int],
    language: str,
    ours: Mapping[str, JSON] | None,
    intents: Collection[str],
    named_lists: Collection[str],
) -> OwnerFile:
    """The same for sentences that have been read: `values` from `path`, where each key stands at one of `lines`."""
    checking = _Check(path, lines, ours or {}, intents, named_lists)
    kept = checking.file(values, language)
    problems = [notice for _, notice in sorted(checking.problems, key=lambda problem: problem[0])]
    return OwnerFile(kept, problems, checking.responses, checking.wanted)


class _Check:
    """One pass over one file. What is right is copied, what is wrong is noted with its line."""

    def __init__(
        self,
        path: Path,
        lines: dict[Key, int],
        ours: Mapping[str, JSON],
        intents: Collection[str],
        named_lists: Collection[str],
    ) -> None:
        self.problems: list[tuple[int, Notice]] = []
        """What is wrong, with the line it is in."""
        self.responses: list[Response] = []
        self.wanted: list[Wanted] = []
        self._path = path
        self._lines = lines
        self._our_lists: Mapping[str, JSON] = ours.get("lists", {})
        self._our_rules: Mapping[str, JSON] = ours.get("expansion_rules", {})
        self._carried_out = intents
        self._named_lists = frozenset(named_lists)
        self._broken: set[str] = set()

    def file(self, values: Mapping[str, JSON], language: str) -> dict[str, JSON] | None:
        self._unknown_keys(values, _TOP_KEYS, ())
        spoken = values.get("language", language)
        if not isinstance(spoken, str) or not spoken:
            self._note(("language",), "language must be a tag such as en or zh-CN")
            spoken = language
        if spoken.split("-")[0].lower() != language.split("-")[0].lower():
            what = f"the sentences are for {spoken}, and the box listens to {language}; they are not used"
            self._note(("language",), what, code="sentences_language", level="info")
            return None
        lists = self._lists(values.get("lists"), ("lists",))
        rules = self._rules(values.get("expansion_rules"), ("expansion_rules",))
        scope = Definitions(self._our_lists, self._our_rules).with_more(lists, rules)
        self._check_definitions(scope, lists, rules)
        intents = self._intents(values.get("intents"), scope)
        sentences = [text for intent in intents.values() for block in intent["data"] for text in block["sentences"]]
        local = [text for intent in intents.values() for block in intent["data"] for text in local_templates(block)]
        needed = scope.needed([*sentences, *local])
        known = {*self._carried_out, *intents}
        self.responses += written(values.get("responses"), self._path.name, known, self._note_response)
        settings = values.get("settings")
        return {
            "language": spoken,
            "settings": {
                "ignore_whitespace": language.startswith("zh"),
                **(settings if isinstance(settings, dict) else {}),
            },
            "skip_words": self._texts(values.get("skip_words"), ("skip_words",)),
            "intents": intents,
            "lists": needed.lists,
            "expansion_rules": needed.rules,
        }

    def _intents(self, values: JSON, scope: Definitions) -> dict[str, JSON]:
        intents = {}
        for name, intent, key in self._items(values, ("intents",), "intents"):
            blocks = intent.get("data") if isinstance(intent, dict) else None
            if not isinstance(blocks, list) or not blocks:
                self._note(key, f"intent {name} needs a list `data` with `sentences` in it")
                continue
            self._unknown_keys(intent, ("data",), key)
            kept = [self._block(block, (*key, "data", number), scope) for number, block in enumerate(blocks)]
            good = [block for block in kept if block is not None]
            if good:
                intents[name] = {"data": good}
                if name not in self._carried_out:
                    what = f"{name} is understood, but nothing carries it out{_nearest(name, self._carried_out)}"
                    self._note(key, what, code="sentences_intent_unknown", level="warning")
        return intents

    def _block(self, block: JSON, key: Key, scope: Definitions) -> dict[str, JSON] | None:
        if not isinstance(block, dict) or not isinstance(block.get("sentences"), list) or not block["sentences"]:
            self._note(key, "expected `sentences` with at least one sentence")
            return None
        self._unknown_keys(block, _BLOCK_KEYS, key)
        kept: dict[str, JSON] = {}
        for name in ("slots", "requires_context", "excludes_context", "metadata"):
            value = block.get(name)
            if isinstance(value, dict) and all(isinstance(inner, str) for inner in value):
                kept[name] = value
            elif value is not None:
                self._note((*key, name), f"{name} must hold names and values")
                return None  # without its conditions a sentence would act where it should not
        lists = self._lists(block.get("lists"), (*key, "lists"))
        rules = self._rules(block.get("expansion_rules"), (*key, "expansion_rules"))
        inner = scope.with_more(lists, rules)
        self._check_definitions(inner, lists, rules)
        kept |= {"lists": lists, "expansion_rules": rules}
        response = block.get("response")
        if isinstance(response, str):
            kept["response"] = response
            self.wanted.append(Wanted(str(key[1]), response, f"{self._path}:{self._line((*key, 'response'))}"))
        elif response is not None:
            self._note_response((*key, "response"), "response must be the name of one")
        if "required_keywords" in block:
            kept["required_keywords"] = self._texts(block["required_keywords"], (*key, "required_keywords"))
        kept["sentences"] = [
            text
            for number, text in enumerate(block["sentences"])
            if self._is_good(text, (*key, "sentences", number), inner)
        ]
        return kept if kept["sentences"] else None

    def _is_good(self, text: JSON, key: Key, scope: Definitions) -> bool:
        sentence = self._parse(text, key)
        if sentence is None or not self._refers_right(sentence.expression, text, key, scope):
            return False
        if scope.may_be_empty(sentence.expression):
            self._note(key, f'"{text}" could be said without a word: make a part of it required')
            return False
        return True

    def _parse(self, text: JSON, key: Key) -> Sentence | None:
        if not isinstance(text, str):
            self._note(key, f"expected text in quotes, found {_shown(text)}")
            return None
        if not text.strip():
            self._note(key, "this is empty")
            return None
        try:
            return parsed(text)
        except TemplateError as error:
            self._note(key, f'"{text}": {error}')
            return None

    def _refers_right(self, expression: Expression, text: JSON, key: Key, scope: Definitions) -> bool:
        """Whether every list and rule that is named exists (and is itself right)."""
        for part in parts_of(expression):
            if isinstance(part, Permutation) and len(part.items) > _MAX_PERMUTED:
                self._note(key, f'"{text}": more than {_MAX_PERMUTED} parts in any order (;) are too many')
                return False
            if isinstance(part, RuleReference):
                name, shown, known = part.rule_name, f"<{part.rule_name}>", set(scope.rules)
            elif isinstance(part, ListReference):
                name, shown, known = part.list_name, f"{{{part.list_name}}}", {*scope.lists, *self._named_lists}
                bounds = part.get_inline_range()
                if bounds is not None and name not in known:
                    if bounds[0] <= bounds[1] and bounds[2] > 0 and bounds[1] - bounds[0] <= _MAX_SPELLED:
                        continue
                    self._note(
                        key, f'"{text}": {shown} is no range of numbers from low to high (at most {_MAX_SPELLED})'
                    )
                    return False
            else:
                continue
            if shown in self._broken:
                return False  # told already, where it is defined
            if name not in known:
                kind = "rule" if shown.startswith("<") else "list"
                self._note(key, f'"{text}" names the {kind} {shown}, which does not exist{_nearest(name, known)}')
                return False
        return True

    def _rules(self, values: JSON, key: Key) -> dict[str, str]:
        rules = {}
        for name, text, inner in self._items(values, key, "expansion_rules"):
            if self._parse(text, inner) is None:
                self._broken.add(f"<{name}>")
            else:
                rules[name] = text
        return rules

    def _lists(self, values: JSON, key: Key) -> dict[str, JSON]:
        lists = {}
        for name, definition, inner in self._items(values, key, "lists"):
            checked = self._list(name, definition, inner)
            if checked is None:
                self._broken.add(f"{{{name}}}")
            else:
                lists[name] = checked
        return lists

    def _list(self, name: str, definition: JSON, key: Key) -> dict[str, JSON] | None:
        if not isinstance(definition, dict):
            definition = {}
        if isinstance(definition.get("values"), list) and definition["values"]:
            values = [self._value(value, (*key, "values", number)) for number, value in enumerate(definition["values"])]
            good = [value for value in values if value is not None]
            return {"values": good} if good else None
        if isinstance(definition.get("range"), dict):
            return self._range(definition["range"], (*key, "range"))
        if definition.get("wildcard") is True:
            return {"wildcard": True}
        self._note(key, f"list {name} needs `values: [...]`, `range: {{from, to}}` or `wildcard: true`")
        return None

    def _value(self, value: JSON, key: Key) -> JSON:
        said: JSON = value.get("in") if isinstance(value, dict) else value
        if self._parse(said, key) is None:
            return None
        if not words_of(said):
            self._note(key, f'"{said}" holds no word')
            return None
        if not isinstance(value, dict):
            return value
        self._unknown_keys(value, ("in", "out", "context", "metadata"), key)
        if not isinstance(value.get("context", {}), dict):
            self._note(key, "context must hold names and values")
            return None
        return {name: inner for name, inner in value.items() if name in ("in", "out", "context", "metadata")}

    def _range(self, values: dict[str, JSON], key: Key) -> dict[str, JSON] | None:
        self._unknown_keys(values, _RANGE_KEYS, key)
        first: JSON = values.get("from")
        last: JSON = values.get("to")
        step: JSON = values.get("step", 1)
        if not _is_int(first) or not _is_int(last) or not _is_int(step) or first > last or step < 1:
            self._note(key, "a range needs whole numbers: `from`, a larger `to`, and perhaps a positive `step`")
            return None
        digits, words = values.get("digits", True) is True, values.get("words", True) is True
        right = {
            "one of `digits` and `words` must be true": digits or words,
            "type is one of number, percentage, temperature": values.get("type", "number")
            in ("number", "percentage", "temperature"),
            "fractions is one of halves, tenths": values.get("fractions") in (None, "halves", "tenths"),
            "multiplier must be a number": values.get("multiplier") is None or _is_number(values["multiplier"]),
            "words_language must be a tag such as en": isinstance(values.get("words_language", ""), str),
            f"more than {_MAX_SPELLED} numbers need `words: false`": not words or (last - first) // step < _MAX_SPELLED,
        }
        for what, holds in right.items():
            if not holds:
                self._note(key, what)
                return None
        return {"range": {name: value for name, value in values.items() if name in _RANGE_KEYS and value is not None}}

    def _check_definitions(self, scope: Definitions, lists: Mapping[str, JSON], rules: Mapping[str, JSON]) -> None:
        """Throw out rules and list values that name what is not there, or each other in a circle."""
        names = [f"<{name}>" for name in rules] + [f"{{{name}}}" for name in lists]
        for name in names:
            circle = scope.circle(name)
            if circle:
                self._broken.add(name)
                self._note(self._place(name), f"{' -> '.join(circle)} goes round in a circle")
                scope.drop(name)
        # A definition that names a broken one is broken too, and so on.
        while any(self._drop_if_wrong(name, scope) for name in names):
            pass

    def _drop_if_wrong(self, name: str, scope: Definitions) -> bool:
        if name in self._broken:
            return False
        place = self._place(name)
        templates = scope.templates(name)
        if all(self._refers_right(parsed(template).expression, template, place, scope) for template in templates):
            return False
        self._broken.add(name)
        scope.drop(name)
        return True

    def _place(self, name: str) -> Key:
        section = "expansion_rules" if name.startswith("<") else "lists"
        ends = [key for key in self._lines if key[-2:] == (section, name[1:-1])]
        return ends[0] if ends else ()

    def _items(self, values: JSON, key: Key, what: str) -> list[tuple[str, JSON, Key]]:
        if values is None:
            return []
        if not isinstance(values, dict):
            self._note(key, f"{what} must hold names and what they stand for")
            return []
        items = []
        for name, value in values.items():
            inner = (*key, str(name))
            if isinstance(name, str) and name.strip():
                items.append((name, value, inner))
            else:
                self._note(inner, f"a name must be text, found {_shown(name)}")
        return items

    def _texts(self, values: JSON, key: Key) -> list[str]:
        if values is None:
            return []
        if isinstance(values, list) and all(isinstance(value, str) and value.strip() for value in values):
            return list(values)
        self._note(key, f"{key[-1]} must be a list of words in quotes")
        return []

    def _unknown_keys(self, values: Mapping[JSON, JSON], known: Collection[str], key: Key) -> None:
        for name in values:
            if name not in known:
                inner = (*key, str(name))
                self._note(inner, f"{_shown(name)} means nothing here{_nearest(str(name), known)}", level="warning")

    def _note(self, key: Key, what: str, *, code: str = "sentences_invalid", level: JSON = "error") -> None:
        line = self._line(key)
        notice = Notice(code=code, what=f"{self._path}:{line}: {what}.", todo=_TODO, level=level)
        self.problems.append((line, notice))

    def _note_response(self, key: Key, what: str, code: str = "response_invalid") -> None:
        self._note(key, what, code=code, level="warning")

    def _line(self, key: Key) -> int:
        return next((self._lines[key[:n]] for n in range(len(key), 0, -1) if key[:n] in self._lines), 1)


def _nearest(name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _shown(value: JSON) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 40 else text[:40] + "..."


def _is_int(value: JSON) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: JSON) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
