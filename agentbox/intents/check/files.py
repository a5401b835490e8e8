"""The owner's files for checking: every template with the place it stands at, and what a loader finds wrong."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal as OneOf
from typing import NamedTuple

from agentbox.errors import ConfigError
from agentbox.intents import owner, sources
from agentbox.intents.check.saying import MOST_SAID, count, texts
from agentbox.intents.grammar import Grammar, Scope, Template
from agentbox.intents.templates import TemplateError, names_in, parsed
from agentbox.messages import JSON, Notice
from agentbox.settings import Key, parse_yaml, read_yaml

Level = OneOf["info", "warning", "error"]


class Finding(NamedTuple):
    """Something about a sentence that its owner should know; `notice.what` does not repeat the place."""

    file: Path
    line: int
    notice: Notice


class Place(NamedTuple):
    """A line of one of the owner's files."""

    file: Path
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"

    def seen_from(self, other: Place | None) -> str:
        """The place, short where it is in the same file."""
        return f"line {self.line}" if other is not None and other.file == self.file else str(self)

    def finding(self, code: str, what: str, todo: str, level: Level = "warning") -> Finding:
        return Finding(self.file, self.line, Notice(code=code, what=what, todo=todo, level=level))


class Located(NamedTuple):
    """A template and where it is from."""

    grammar: Grammar
    scope: Scope
    template: Template
    place: Place | None
    """Null for sentences that are not the owner's."""

    @property
    def text(self) -> str:
        return self.template.sentence.text or ""

    @property
    def is_owners(self) -> bool:
        return self.place is not None


class Literal(NamedTuple):
    """A template as it is written somewhere in a file: a sentence, a rule, or a value of a list."""

    place: Place
    text: str


class Value(NamedTuple):
    """One value of a list: what it stands for, and the ways to say it (none where they are many, or name a list)."""

    literal: Literal
    out: JSON
    texts: list[str]
    has_context: bool


class OwnerList(NamedTuple):
    """A list of texts, and whether a sentence names it."""

    name: str
    place: Place
    values: list[Value]
    used: bool


class CheckedFile(NamedTuple):
    """One file: its templates (none when nothing can be used) and what was found while loading it."""

    path: Path
    grammar: Grammar | None
    templates: list[Located]
    literals: list[Literal]
    lists: list[OwnerList]
    findings: list[Finding]
    loaded: owner.OwnerFile


def read(
    path: Path,
    language: str,
    intents: Collection[str],
    slot_values: Mapping[str, Sequence[str]],
    ours: Mapping[str, JSON] | None,
    text: str | None = None,
) -> CheckedFile:
    """Load one file as the box does (see `owner.load`); `text`: what is to be in it."""
    try:
        raw, lines = read_yaml(path) if text is None else parse_yaml(text, path)
    except ConfigError as error:
        loaded = owner.unusable(error)
        return CheckedFile(path, None, [], [], [], [found(path, notice) for notice in loaded.problems], loaded)
    loaded = owner.check(raw, path, lines, language, ours, intents, slot_values)
    findings = [found(path, notice) for notice in loaded.problems]
    values = loaded.values
    if values is None or not values["intents"]:
        return CheckedFile(path, None, [], [], [], findings, loaded)
    grammar = Grammar(path.name, values, slot_values, per_sentence=True)
    index = _Index(path, raw, lines)
    literals = [*index.sentences(values), *index.rules(values)]
    lists = list(index.lists(grammar.scopes[-1]))
    literals += [value.literal for one in lists for value in one.values]
    return CheckedFile(path, grammar, list(index.templates(grammar)), literals, lists, findings, loaded)


def found(path: Path, notice: Notice) -> Finding:
    """A loader's notice, whose text begins with its place."""
    place = re.match(rf"{re.escape(str(path))}:(\d+): ", notice.what)
    if place is None:
        return Finding(path, 1, notice)
    bare = Notice(code=notice.code, what=notice.what[place.end() :], todo=notice.todo, level=notice.level)
    return Finding(path, int(place[1]), bare)


class _Index:
    """Finds the lines of what was kept of a file. What was thrown out is skipped: the rest is in the same order."""

    def __init__(self, path: Path, raw: Mapping[str, JSON], lines: Mapping[Key, int]) -> None:
        self._path = path
        self._raw = raw
        self._lines = lines
        self._sentence_lines: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        for key, text in _texts(raw.get("intents"), ("intents",)):
            if len(key) == 6 and key[2] == "data" and key[4] == "sentences":
                self._sentence_lines[str(key[1]), text].append(self._line(key))

    def sentences(self, values: Mapping[str, JSON]) -> Iterator[Literal]:
        for name, intent in values["intents"].items():
            for text in {text: None for block in intent["data"] for text in block["sentences"]}:
                yield Literal(Place(self._path, self._sentence_lines[name, text][0]), text)

    def rules(self, values: Mapping[str, JSON]) -> Iterator[Literal]:
        for key, text in _texts(self._raw, ()):
            if len(key) >= 2 and key[-2] == "expansion_rules" and self._is_kept(key, values, text):
                yield Literal(Place(self._path, self._line(key)), text)

    def lists(self, scope: Scope) -> Iterator[OwnerList]:
        """Lists of texts that stand in the file, those in blocks of sentences too."""
        written = [text for _, text in _texts(self._raw, ())]
        for key, definition in _mappings(self._raw, ()):
            if len(key) < 2 or key[-2] != "lists" or not isinstance(definition.get("values"), list):
                continue
            name = str(key[-1])
            used = any(f"{{{name}}}" in text or f"{{{name}:" in text for text in written)
            entries = []
            for number, value in enumerate(definition["values"]):
                full = value if isinstance(value, dict) else {"in": value}
                said, out = full.get("in"), full.get("out")
                if isinstance(said, str) and _is_template(said):
                    literal = Literal(Place(self._path, self._line((*key, "values", number))), said)
                    entries.append(
                        Value(literal, said if out is None else out, _ways(said, scope), bool(full.get("context")))
                    )
            yield OwnerList(name, Place(self._path, self._line(key)), entries, used)

    def templates(self, grammar: Grammar) -> Iterator[Located]:
        for scope in grammar.scopes:
            for template in scope.templates:
                lines = self._sentence_lines[template.intent, template.sentence.text or ""]
                line = (lines.pop(0) if len(lines) > 1 else lines[0]) if lines else 1
                yield Located(grammar, scope, template, Place(self._path, line))

    def _is_kept(self, key: Key, values: Mapping[str, JSON], text: str) -> bool:
        kept = [values["expansion_rules"], *(block["expansion_rules"] for block in _blocks(values))]
        return any(rules.get(key[-1]) == text for rules in kept)

    def _line(self, key: Key) -> int:
        return next((self._lines[key[:n]] for n in range(len(key), 0, -1) if key[:n] in self._lines), 1)


def _blocks(values: Mapping[str, JSON]) -> Iterator[dict[str, JSON]]:
    for intent in values["intents"].values():
        yield from intent["data"]


def _ways(template: str, scope: Scope) -> list[str]:
    expression = parsed(template).expression
    if any(names_in(template)) or count(expression, scope) > MOST_SAID:
        return []
    return texts(expression, scope)[0]


def _is_template(text: str) -> bool:
    try:
        parsed(text)
    except TemplateError:
        return False
    return True


def _texts(value: JSON, key: Key) -> Iterator[tuple[Key, str]]:
    """Every text in nested data, with the keys that lead to it."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, dict | list):
        for name, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _texts(inner, (*key, name if isinstance(name, int) else str(name)))


def _mappings(value: JSON, key: Key) -> Iterator[tuple[Key, dict[str, JSON]]]:
    """Every mapping in nested data, with the keys that lead to it."""
    if isinstance(value, dict):
        yield key, value
    if isinstance(value, dict | list):
        for name, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _mappings(inner, (*key, name if isinstance(name, int) else str(name)))


def files_in(paths: Sequence[Path]) -> Iterator[Path]:
    """The files, and those in the folders, in the order in which the box reads them."""
    for path in paths:
        yield from sorted([*path.glob("*.yaml"), *path.glob("*.yml")]) if path.is_dir() else [path]


def others(
    language: str,
    builtin: bool,
    intents: Collection[str],
    slot_values: Mapping[str, Sequence[str]],
    tool_sentences: Mapping[str, JSON] | None,
    our_values: Mapping[str, JSON] | None,
) -> Iterator[Located]:
    """The templates that are read after the owner's, in their order."""
    own = sources.ours(our_values, intents, slot_values)
    community = sources.builtin(language, intents, slot_values) if builtin else None
    of_tools = None
    if tool_sentences and tool_sentences.get("intents"):
        kept = owner.check(tool_sentences, Path("tools"), {}, language, None, intents, slot_values).values
        of_tools = Grammar("tools", kept, slot_values) if kept and kept["intents"] else None
    for grammar in (own, of_tools, community):
        for scope in grammar.scopes if grammar is not None else ():
            for template in scope.templates:
                yield Located(grammar, scope, template, None)  # type: ignore[arg-type]  # null has no scopes
