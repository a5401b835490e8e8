"""What a second model is worth: labelled commands, by a quick model and, where that is not sure, by a stronger one.

    python -m benchmarks.second_reading ../shared/data/commands --clips 40

Both models must be in the models' folder (`agentbox models pull`). One thread each.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

from agentbox import paths
from agentbox.asr.engine import Recognition
from agentbox.asr.listener import Listener
from agentbox.asr.load import load_engine
from agentbox.bench.commands import Bench, Heard, clips_of
from agentbox.bench.recordings import as_floats, read_sound
from agentbox.config import Asr, Config
from agentbox.daemon.box import load_vad
from agentbox.daemon.mind import only_sentences
from agentbox.daemon.second_reading import DOUBTFUL, SURE, rank_of

CONDITIONS = (None, 12, 6)
"""Clean, and decibels of speech over noise."""


class Remembering(Listener):
    """Knows how sure the engine was of the last stretch."""

    confidence: float | None = None

    def hear(self, *args: Any, **options: Any) -> Recognition:
        recognition = super().hear(*args, **options)
        self.confidence = recognition.confidence
        return recognition


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("data", type=Path)
    asked.add_argument("--clips", type=int, default=40)
    asked.add_argument("--first", default="moonshine-tiny-en")
    asked.add_argument("--second", default="moonshine-base-en")
    asked.add_argument("--below", type=float, default=Asr().second_below)
    asked.add_argument("--models", type=Path, default=None)
    given = asked.parse_args()

    config = Config()
    models = given.models or paths.models_dir(config)
    config = Config(asr=Asr(models_dir=str(models)))
    understander = only_sentences("en", [given.data / "sentences.yaml"])
    listeners = [
        Remembering(load_engine(name, "en", models), paths.cache_dir()) for name in (given.first, given.second)
    ]
    quick, strong = (Bench(listener, load_vad(config), understander) for listener in listeners)
    clips = clips_of(given.data)
    clips = clips[:: max(1, len(clips) // given.clips)][: given.clips]
    noise = as_floats(read_sound(given.data / "kitchen-noise.flac"))
    print("| sound | commands | first right | read again | both right | wrongly acted on | processor s for it |")
    print("|---|---|---|---|---|---|---|")
    for snr_db in CONDITIONS:
        alone: list[Heard] = []
        both: list[Heard] = []
        again: list[float] = []
        for clip in clips:
            first = quick.hear(clip, noise, snr_db)
            alone.append(first)
            rank, confidence = rank_of(first.decision), listeners[0].confidence
            unsure = confidence is None or confidence < given.below
            if rank == SURE or not (unsure or rank == DOUBTFUL):
                both.append(first)
                continue
            began_s = time.process_time()
            second = strong.hear(clip, noise, snr_db)
            again.append(time.process_time() - began_s)
            both.append(second if rank_of(second.decision) >= rank else first)
        took = f"{statistics.median(again):.2f}, at most {max(again):.2f}" if again else "-"
        figures = (
            "clean" if snr_db is None else f"{snr_db} dB",
            len(clips),
            sum(map(_is_understood, alone)),
            len(again),
            sum(map(_is_understood, both)),
            f"{sum(map(_is_wrong, alone))} and {sum(map(_is_wrong, both))}",
            took,
        )
        print(f"| {' | '.join(map(str, figures))} |", flush=True)


def _is_understood(heard: Heard) -> bool:
    return heard.decision.outcome == "act" and heard.right


def _is_wrong(heard: Heard) -> bool:
    return heard.decision.outcome == "act" and not heard.right


if __name__ == "__main__":
    main()
