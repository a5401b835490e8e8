"""Which language a file of the owner's sentences says it is in."""

from __future__ import annotations

from pathlib import Path

from agentbox.errors import ConfigError
from agentbox.languages import primary
from agentbox.settings import read_yaml


def written_in(path: Path) -> str | None:
    """The primary subtag of its `language`; null where it names none, or cannot be read."""
    try:
        language = read_yaml(path)[0].get("language")
    except ConfigError:
        return None
    return primary(language) if isinstance(language, str) and language else None
