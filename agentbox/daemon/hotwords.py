"""The owner's names and terms, gathered: the configuration's, those of a file, and the lists of their sentences."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from agentbox.config import Config
from agentbox.intents.understand import Understander
from agentbox.messages import Notice

MOST_BYTES = 4 << 20

MOST_HOTWORDS = 20_000
"""More would make every utterance slower, and the owner is told."""

MOST_LETTERS = 60
"""Of one name, as in the configuration."""


def gather(config: Config, understanders: Iterable[Understander]) -> tuple[list[str], list[Notice]]:
    """All of them, and what of them is left out. Reads a file."""
    problems: list[Notice] = []
    found = dict.fromkeys(config.asr.hotwords)
    if config.asr.hotwords_file is not None:
        found |= dict.fromkeys(_in_file(Path(config.asr.hotwords_file), problems))
    found |= dict.fromkeys(name for one in understanders for name in one.names())
    found = {name: None for name in found if len(name) <= MOST_LETTERS}  # a list may hold whole sentences
    if len(found) > MOST_HOTWORDS:
        what = f"There are {len(found)} hotwords; the first {MOST_HOTWORDS} are listened for."
        problems.append(Notice(code="hotwords_too_many", what=what, todo="Shorten asr.hotwords_file."))
    return list(found)[:MOST_HOTWORDS], problems


def _in_file(file: Path, problems: list[Notice]) -> list[str]:
    """One name a line; a line that begins with `#` is a remark."""
    try:
        if file.stat().st_size > MOST_BYTES:
            raise OSError(0, f"it has more than {MOST_BYTES >> 20} MiB")
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        what = f"The hotwords of {file} cannot be read: {reason}."
        problems.append(Notice(code="hotwords_unreadable", what=what, todo="Check asr.hotwords_file."))
        return []
    lines = (" ".join(line.split()) for line in text.splitlines())
    names = [line for line in lines if line and not line.startswith("#")]
    if long := [name for name in names if len(name) > MOST_LETTERS]:
        what = f"{file} holds {len(long)} lines of more than {MOST_LETTERS} letters; those are no names, and left out."
        problems.append(Notice(code="hotwords_too_long", what=what, todo="Write one name a line."))
    return [name for name in names if len(name) <= MOST_LETTERS]
