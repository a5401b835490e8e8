"""Benchmark of spoken commands: how many are understood in noise, and how much other speech is taken for one.

The recordings, the noise and the figures it is compared with come from Picovoice's speech-to-intent-benchmark.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from agentbox.asr.listener import Listener
from agentbox.audio.vad import SileroVad
from agentbox.bench.mixing import mix
from agentbox.bench.recordings import as_floats, read_sound, sound_files
from agentbox.bench.words import normal_words
from agentbox.daemon.transcribe import FileCommand, recognize
from agentbox.intents.confidence import Evidence
from agentbox.intents.decide import Decision
from agentbox.intents.understand import Understander
from agentbox.messages import JSON

Sound: TypeAlias = NDArray[np.float32]

SNRS_DB = (6, 9, 12, 15, 18, 21, 24)
CLEAN = "clean"

PUBLISHED = {
    "Picovoice Rhino": (0.96, 0.97, 0.98, 0.99, 0.99, 0.99, 0.99),
    "Microsoft LUIS": (0.86, 0.89, 0.90, 0.91, 0.92, 0.93, 0.93),
    "IBM Watson": (0.72, 0.84, 0.89, 0.93, 0.95, 0.95, 0.96),
    "Amazon Lex": (0.80, 0.84, 0.85, 0.87, 0.87, 0.87, 0.88),
    "Google Dialogflow": (0.70, 0.78, 0.78, 0.80, 0.81, 0.82, 0.83),
}
"""Share of the 619 drink orders accepted at `SNRS_DB`, by Picovoice's own figures (speech-to-intent-benchmark)."""

_BLOCK = 1536


class Clip(NamedTuple):
    """A recording; `label` is its intent and slots, null where it is no command."""

    path: Path
    label: Mapping[str, JSON] | None


class Heard(NamedTuple):
    """What became of one clip in one condition."""

    clip: Clip
    condition: str
    decision: Decision
    text: str
    decode_s: float
    right: bool
    """The likeliest meaning is the label's, whatever was done about it."""


@dataclass(slots=True)
class Tally:
    """What became of many clips. Only a command that is acted on, and rightly, is understood."""

    clips: int = 0
    understood: int = 0
    acted_wrongly: int = 0
    asked: int = 0
    missed: list[Heard] = field(default_factory=list)

    def add(self, heard: Heard) -> None:
        acted = heard.decision.outcome == "act"
        self.clips += 1
        self.understood += acted and heard.right
        self.acted_wrongly += acted and not heard.right
        self.asked += heard.decision.outcome == "ask"
        if not (acted and heard.right):
            self.missed.append(heard)


def clips_of(folder: Path) -> list[Clip]:
    """The recordings of a folder: those of `labels.json` (file -> intent, slots), or all sound files below it.

    Raises `InputError` `file_missing` where there is none.
    """
    labels_file = folder / "labels.json"
    if labels_file.is_file():
        labels: dict[str, dict[str, JSON]] = json.loads(labels_file.read_text(encoding="utf-8"))
        return [Clip(folder / "audio" / name, label) for name, label in sorted(labels.items())]
    return [Clip(path, None) for path in sound_files(folder)]


class Bench:
    """Runs clips through the ear, the engine and the sentences, as `agentbox recognize` does."""

    def __init__(self, listener: Listener, vad: SileroVad, understander: Understander, seed: int = 0) -> None:
        self._listener = listener
        self._vad = vad
        self._understander = understander
        self._seed = seed

    def hear(self, clip: Clip, noise: Sound | None = None, snr_db: int | None = None, draw: int = 0) -> Heard:
        """One clip, clean or in noise."""
        samples = as_floats(read_sound(clip.path))
        condition = CLEAN
        if noise is not None and snr_db is not None:
            # The same noise for the same clip, whichever other clips are run, and in which order.
            digest = hashlib.sha256(f"{self._seed}/{clip.path.name}/{snr_db}/{draw}".encode()).digest()
            samples = mix(samples, noise, snr_db, np.random.default_rng(int.from_bytes(digest[:8], "big")))
            condition = str(snr_db)
        found = recognize(_blocks(samples), self._listener, self._vad, self._understander)
        return Heard(clip, condition, found.decision, found.text, found.decode_s, is_right(found, clip.label))

    def commands(self, clips: Sequence[Clip], noise: Sound | None, draws: int) -> Iterator[Heard]:
        """All clips clean, then in noise at each of `SNRS_DB`, `draws` times."""
        for clip in clips:
            yield self.hear(clip)
        for snr_db in SNRS_DB if noise is not None else ():
            for draw in range(draws):
                for clip in clips:
                    yield self.hear(clip, noise, snr_db, draw)


def is_right(found: FileCommand, label: Mapping[str, JSON] | None) -> bool:
    """Whether the likeliest meaning has the label's intent and slots; slots beyond the label's are not counted."""
    intent = found.decision.intent
    return (
        label is not None
        and intent is not None
        and intent.name == label["intent"]
        and all(name in intent.slots and _same(intent.slots[name], value) for name, value in label["slots"].items())
    )


def _same(one: JSON, other: JSON) -> bool:
    """Numbers in words and in digits are the same, and letter case does not count."""
    return one == other or normal_words(str(one)) == normal_words(str(other))


def _blocks(samples: Sound) -> Iterator[NDArray[np.int16]]:
    pcm = np.clip(samples * 32768, -32768, 32767).astype(np.int16)
    for start in range(0, pcm.size, _BLOCK):
        yield pcm[start : start + _BLOCK]


def by_condition(heard: Iterable[Heard]) -> dict[str, Tally]:
    """The tallies by condition, in the order they came."""
    tallies: dict[str, Tally] = {}
    for one in heard:
        tallies.setdefault(one.condition, Tally()).add(one)
    return tallies


def mean_in_noise(tallies: Mapping[str, Tally]) -> float | None:
    """Mean share understood over `SNRS_DB`; null where there was no noise."""
    shares = [tally.understood / tally.clips for name, tally in tallies.items() if name != CLEAN]
    return float(np.mean(shares)) if shares else None


def write_scores(path: Path, name: str, heard: Iterable[Heard]) -> Counter[str]:
    """Add to a CSV file what decoding found of each clip, and whether it was right: what the confidence is fitted on.

    A clip is told by a digest of its name; its sound and its words are not in the file.
    """
    counts: Counter[str] = Counter()
    new = not path.is_file()
    with path.open("a", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        if new:
            rows.writerow(["set", "clip", "condition", "right", *Evidence._fields])
        for one in heard:
            evidence = one.decision.evidence
            if evidence is not None:
                clip = hashlib.sha256(one.clip.path.name.encode()).hexdigest()[:12]
                values: list[Any] = [f"{float(value):.4g}" for value in evidence]
                rows.writerow([name, clip, one.condition, int(one.right), *values])
            counts[one.decision.outcome] += 1
    return counts
