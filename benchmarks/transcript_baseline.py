"""What the free transcript alone understands of sets of speech: the figure that spoken commands are compared with.

    python -m benchmarks.transcript_baseline SET...

Each clip is transcribed by the default model and read by the sentences of a box without a configuration, or by the
set's own sentences.yaml. `exact`: the transcript fits a sentence as it stands. `forgiving`: the nearest sentence counts
too. A command is right when its intent is, and every labelled slot; numbers in words and in digits are the same, and
letter case does not count.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import soundfile
import yaml

from agentbox.asr.catalogue import Catalogue
from agentbox.asr.engine import Engine
from agentbox.asr.load import load_engine
from agentbox.asr.pull import ensure
from agentbox.bench.words import normal_words
from agentbox.intents.understand import Understander
from agentbox.messages import JSON, Intent
from agentbox.paths import state_dir
from benchmarks.make_builtin_commands import builtin_understander

MODEL = "moonshine-tiny-en"


@dataclass(slots=True)
class Count:
    """What became of the clips of one source. `missed` are those that were not understood rightly."""

    clips: int = 0
    exact: int = 0
    forgiving: int = 0
    acted_wrongly: int = 0
    missed: list[tuple[str, str, str]] = field(default_factory=list)

    def add(self, said: str, heard: str, label: Mapping[str, JSON] | None, found: Intent | None) -> None:
        right = found is not None and label is not None and is_right(found, label)
        self.clips += 1
        self.exact += right and found is not None and found.match == "exact"
        self.forgiving += right
        self.acted_wrongly += found is not None and not right
        if not right and (label or found):
            self.missed.append((said, heard, f"{found.name} {found.slots}" if found else ""))


def is_right(found: Intent, label: Mapping[str, JSON]) -> bool:
    """Slots beyond the label's are not counted wrong."""
    return found.name == label["intent"] and all(
        name in found.slots and same(found.slots[name], value) for name, value in label["slots"].items()
    )


def same(first: JSON, second: JSON) -> bool:
    """Whether two slots' values say the same.

    >>> same("2 bottles of Water", "two bottles of water"), same(-10, 10)
    (True, False)
    """
    if isinstance(first, str) and isinstance(second, str):
        return normal_words(first) == normal_words(second)
    return bool(first == second)


def measure(folder: Path, engine: Engine) -> dict[str, Count]:
    """Counts by source, of a set in the layout of sets.py (manifest.json may be missing)."""
    labels = _read_json(folder / "labels.json") or {}
    manifest = {row["file"]: row for row in _read_json(folder / "manifest.json") or []}
    understander = _understander(folder / "sentences.yaml")
    counts: dict[str, Count] = defaultdict(Count)
    for path in sorted((folder / "audio").glob("*.flac")):
        samples, _ = soundfile.read(path, dtype="float32")
        heard = engine.transcribe(samples, language="en").text
        found = understander.understand(heard)
        row = manifest.get(path.name, {})
        count = counts[row.get("source", "").partition("==")[0]]
        count.add(row.get("text", ""), heard, labels.get(path.name), found if isinstance(found, Intent) else None)
    return counts


def _understander(sentences: Path) -> Understander:
    if not sentences.is_file():
        return builtin_understander()
    intents = set(yaml.safe_load(sentences.read_text(encoding="utf-8"))["intents"])
    return Understander("en", builtin=False, owner_files=[sentences], intents=intents)


def _read_json(path: Path) -> JSON:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", nargs="+", type=Path)
    parser.add_argument("--missed", action="store_true", help="show what was not understood, or wrongly acted on")
    given = parser.parse_args()
    models = state_dir() / "models"
    ensure(Catalogue.load().get(MODEL), models)
    engine = load_engine(MODEL, "en", models, fetch_missing=False)
    for folder in given.set:
        for source, count in sorted(measure(folder, engine).items()):
            print(
                f"{folder.name:14} {source:34} {count.clips:4} clips: exact {count.exact / count.clips:6.1%}, "
                f"forgiving {count.forgiving / count.clips:6.1%}, acted on wrongly {count.acted_wrongly}",
                flush=True,
            )
            for said, heard, took in count.missed if given.missed else ():
                print(f"    {said} | {heard} | {took}")


if __name__ == "__main__":
    main()
