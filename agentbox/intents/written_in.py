"""Which language a file of the owner's sentences says it is in."""

from __future__ import annotations

from pathlib import Path

from agentbox.errors import ConfigError
from agentbox.languages import primary
from agentbox.settings import parse_yaml, read_yaml


def written_in(path: Path, text: str | None = None) -> str | None:
    """The primary subtag of its `language`; null where it names none, or cannot be read. `text`: what is to be in
    it."""
    try:
        values, _ = read_yaml(path) if text is None else parse_yaml(text, path)
        language = values.get("language")
    except ConfigError:
        return None
    return primary(language) if isinstance(language, str) and language else None
