"""The owner's own wording of what the box says: a YAML file of sentences by their keys (docs/replies.md)."""

from __future__ import annotations

import string
from pathlib import Path

import yaml

from agentbox.messages import Notice
from agentbox.tools.phrases import load

MOST_BYTES = 256 << 10
MOST_LETTERS = 1000


def owner_replies(path: Path, language: str) -> tuple[dict[str, str], list[Notice]]:
    """The sentences of `path` that can be said, for one of `phrases.LANGUAGES`, and a notice for each that cannot."""
    known = load(language)
    try:
        with path.open("rb") as file:
            text = file.read(MOST_BYTES + 1)
        if len(text) > MOST_BYTES:
            raise ValueError
        found = yaml.safe_load(text.decode("utf-8"))
    except (OSError, ValueError, LookupError, AttributeError, TypeError, yaml.YAMLError, RecursionError):
        return {}, [_notice("replies_unreadable", f"{path} cannot be read as YAML.", "speech.replies names it.")]
    if found is None:
        return {}, []
    if not isinstance(found, dict):
        return {}, [_notice("replies_unreadable", f"{path} is no list of keys and sentences.", "docs/replies.md")]
    kept: dict[str, str] = {}
    problems = []
    for key, sentence in found.items():
        if key not in known or "." in str(key):
            problems.append(_notice("reply_unknown", f"{path.name}: the box says nothing called {key!r}.", _TODO))
        elif (why := _wrong(sentence, known[key])) is not None:
            problems.append(_notice("reply_invalid", f"{path.name}: {key}: {why}.", _TODO))
        else:
            kept[key] = sentence
    return kept, problems


_TODO = "docs/replies.md lists the keys and what each may hold; the box's own sentence is said until then."


def _wrong(sentence: object, ours: str) -> str | None:
    if not isinstance(sentence, str) or not sentence.strip():
        return "it must be a sentence"
    if len(sentence) > MOST_LETTERS:
        return f"it must have at most {MOST_LETTERS} letters"
    try:
        unknown = _placeholders(sentence) - _placeholders(ours)
    except ValueError:
        return "a brace is missing, or stands for itself ({{ and }} do that)"
    if unknown:
        return f"{{{sorted(unknown)[0]}}} is nothing that is filled in here"
    return None


def _placeholders(sentence: str) -> set[str]:
    """Raises `ValueError` where they are not well-formed."""
    names = set()
    for _, name, form, conversion in string.Formatter().parse(sentence):
        if name is None:
            continue
        if form or conversion:
            # "{name.__class__}", "{name:>99999}" and "{name!r}" are programs, and no wording.
            raise ValueError(sentence)
        names.add(name)
    return names


def _notice(code: str, what: str, todo: str) -> Notice:
    return Notice(code=code, what=what, todo=todo)
