"""Sets of speech in the layout that `agentbox bench commands` reads:

- `audio/*.flac`: 16 kHz, mono, 16 bit
- `manifest.json`: a list of {file, text, source, kind}; kind is `real` or `synthetic`, text is empty where unknown
- `labels.json`, for commands: file -> {intent, slots}
- `sentences.yaml`, where the commands are not those of the built-in sentences
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from agentbox.intents.understand import Understander
from agentbox.messages import JSON, Intent
from benchmarks.voices import Sound, write_flac


@dataclass(frozen=True, slots=True)
class Command:
    """What is said, and what it means as a person reads it."""

    text: str
    intent: str
    slots: dict[str, JSON]


@dataclass(frozen=True, slots=True)
class Clip:
    """A recording; `samples` is float32 [n], 16 kHz. `command` where it is one."""

    name: str
    samples: Sound
    text: str
    source: str
    kind: Literal["real", "synthetic"]
    command: Command | None = None


class SpeechSet:
    """A folder being filled. `seen`: digests of what other folders hold already, so that nothing stands in two."""

    def __init__(self, folder: Path, seen: set[str] | None = None) -> None:
        self.folder = folder
        self.twice = 0
        self._seen = set() if seen is None else seen
        self._manifest: list[dict[str, str]] = []
        self._labels: dict[str, dict[str, JSON]] = {}

    def __len__(self) -> int:
        return len(self._manifest)

    def path(self, name: str) -> Path:
        """Where the clip of that name is written."""
        return self.folder / "audio" / f"{file_name(name)}.flac"

    def add(self, clip: Clip) -> None:
        """Write the clip, unless the same sound was written before."""
        digest = content_digest(clip.samples)
        if digest in self._seen:
            self.twice += 1
            return
        self._seen.add(digest)
        path = self.path(clip.name)
        file = path.name
        write_flac(path, clip.samples)
        self._manifest.append({"file": file, "text": clip.text, "source": clip.source, "kind": clip.kind})
        if clip.command:
            self._labels[file] = {"intent": clip.command.intent, "slots": clip.command.slots}

    def close(self) -> None:
        """Write the lists; say how many clips there are."""
        self.folder.mkdir(parents=True, exist_ok=True)
        _write_json(self.folder / "manifest.json", sorted(self._manifest, key=lambda row: row["file"]))
        if self._labels:
            _write_json(self.folder / "labels.json", dict(sorted(self._labels.items())))
        print(f"{self.folder}: {len(self)} clips, {self.twice} left out that are there already")
        stray = {path.name for path in self.folder.glob("audio/*")} - {row["file"] for row in self._manifest}
        if stray:
            print(f"{len(stray)} other files are in {self.folder / 'audio'}, {min(stray)} for one: delete them")


def content_digest(samples: Sound) -> str:
    """The same for the same sound in another container, and with silence of zeros before or after."""
    pcm = np.rint(np.clip(samples, -1.0, 1.0) * 32767).astype("<i2")
    return hashlib.sha256(np.trim_zeros(pcm).tobytes()).hexdigest()


def file_name(text: str) -> str:
    """A short name of plain letters for a file.

    >>> file_name("What's on the list?")
    'whats-on-the-list'
    """
    return re.sub(r"[^a-z0-9_]+", "-", re.sub(r"['\u2019]", "", text.lower())).strip("-")[:80]


def read_commands(table: JSON) -> list[Command]:
    """From {intent: [[text, slots], ...]}, the form of the tests' sentences."""
    return [Command(text, intent, slots) for intent, rows in table.items() for text, slots in rows]


def rightly_understood(commands: list[Command], understander: Understander) -> list[Command]:
    """The commands whose exact text means what their label says; of the others it is told what they were taken for.

    A set must not blame the ear for what the sentences get wrong.
    """
    kept = []
    for command in commands:
        found = understander.understand(command.text)
        if isinstance(found, Intent) and (found.name, found.slots) == (command.intent, command.slots):
            kept.append(command)
        else:
            took = f"{found.name} {found.slots}" if isinstance(found, Intent) else "no command"
            print(f"left out: {command.text!r} is {command.intent} {command.slots}, and was taken for {took}")
    return kept


def _write_json(path: Path, value: JSON) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
