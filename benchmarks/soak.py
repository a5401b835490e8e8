"""Hours of sound through the whole daemon, faster than they pass: does it grow?

    python -m benchmarks.soak --hours 8 --data ../shared/data --talk FOLDER

Fed on standard input: spoken orders in kitchen noise and in quiet, talk that is no command (benchmarks/
make_negative_talk.py), noise, and silence. Every quarter of an hour of sound: memory (PSS) in the midst of work and at
rest (what decoding takes is given back then), and of that what is the daemon's alone: a library's or a file's pages
count less while another process has them too, so that PSS grows when a neighbour ends. File descriptors, threads, rows
of the journal. Printed at the end: the growth of its own memory at rest in 24 hours of sound, by the slope after the
first two hours.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
import yaml

from agentbox import paths
from agentbox.bench.box import cpu_s, quiet, steady_noise
from agentbox.bench.recordings import read_sound, sound_files
from agentbox.config import Config
from agentbox.daemon.figures import memory_bytes
from agentbox.messages import SAMPLE_RATE_HZ

SAMPLE_S = 900.0
REST_S = 4.0
"""The daemon rests after two seconds without work."""
AT_REST_CPU = 0.05
"""Of one core. Work that tells nothing (a talk that is no command, read in vain) is work too."""
WARM_UP_S = 7200.0
MB = 1 << 20


class Sample(NamedTuple):
    """How the daemon was after so much sound."""

    sound_s: float
    busy_mb: float
    """PSS as it stood in the midst of work."""
    pss_mb: float
    """PSS at rest."""
    own_mb: float
    """Of that, what no file backs (Pss_Anon)."""
    files: int
    threads: int
    turns: int


def sounds(data: Path, talk: Path | None, seed: int) -> Iterator[np.ndarray[tuple[int], np.dtype[np.int16]]]:
    """Pieces of sound for ever."""
    draw = random.Random(seed)
    orders = [read_sound(file) for file in sound_files(data / "commands" / "audio")]
    noise = read_sound(data / "commands" / "kitchen-noise.flac")
    others = [] if talk is None else list(sound_files(talk))
    while True:
        kind = draw.choices(
            ("order", "noisy order", "talk", "noise", "fan", "silence"), (4, 4, 2 * bool(others), 2, 1, 5)
        )[0]
        if kind in ("order", "noisy order"):
            piece = draw.choice(orders)
            if kind == "noisy order":
                under = np.resize(noise[draw.randrange(noise.size) :], piece.size)
                piece = (piece // 2 + under // 4).astype(np.int16)
            yield np.concatenate([piece, quiet(1.5)])
        elif kind == "talk":
            yield read_sound(draw.choice(others))
        elif kind == "noise":
            yield noise[: 30 * SAMPLE_RATE_HZ]
        elif kind == "fan":
            yield steady_noise(30.0)
        else:
            yield quiet(draw.uniform(5.0, 60.0))


def sampled(process: subprocess.Popen[bytes], database: Path, sound_s: float, seen: Counter[str]) -> Sample:
    folder = Path(f"/proc/{process.pid}")
    busy_mb = (memory_bytes(process.pid) or 0) / MB
    before, worked_s = -1, 0.0
    while seen.total() != before or cpu_s(process.pid) - worked_s > AT_REST_CPU * REST_S:
        before, worked_s = seen.total(), cpu_s(process.pid)
        time.sleep(REST_S)
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as journal:
        (turns,) = journal.execute("SELECT count(*) FROM turns").fetchone()
    threads = len(list((folder / "task").iterdir()))
    files = len(list((folder / "fd").iterdir()))
    pss_mb, own_mb = (memory_bytes(process.pid, kind=kind) or 0 for kind in ("Pss", "Pss_Anon"))
    return Sample(sound_s, busy_mb, pss_mb / MB, own_mb / MB, files, threads, turns)


def growth_mb_a_day(samples: Sequence[Sample]) -> float:
    """By the slope of a straight line through the samples after the warm-up; not a number before there are three."""
    later = [one for one in samples if one.sound_s >= WARM_UP_S]
    if len(later) < 3:
        return float("nan")
    slope, _ = np.polyfit([one.sound_s / 86_400 for one in later], [one.own_mb for one in later], 1)
    return float(slope)


def count(lines: IO[bytes], seen: Counter[str]) -> None:
    for line in lines:
        event = json.loads(line)
        seen[f"{event['stage']} {event['state']}"] += 1


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--hours", type=float, default=8.0)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--talk", type=Path, help="a folder of talk that is no command")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        state = Path(name)
        config = {
            "asr": {"models_dir": str(paths.models_dir(Config()))},
            "audio": {"sounds": False},
            "speech": {"verbosity": "sounds"},
            "activation": {"mode": "always"},
            "intents": {"sentences": [str((options.data / "commands" / "sentences.yaml").resolve())]},
        }
        (state / "config.yaml").write_text(yaml.safe_dump(config))
        command = [sys.executable, "-m", "agentbox", "run", "--source", "-", "--json", "--exit-when-done"]
        process = subprocess.Popen(
            [*command, "--config", str(state / "config.yaml")],
            env={**os.environ, "AGENTBOX_STATE": str(state)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        seen: Counter[str] = Counter()
        reader = threading.Thread(target=count, args=(process.stdout, seen), daemon=True)
        reader.start()
        samples: list[Sample] = []
        fed_s = 0.0
        heads = f"{'hours of sound':>14} {'busy MB':>8} {'at rest':>8} {'its own':>8}"
        print(f"{heads} {'files':>6} {'threads':>8} {'turns':>6}", flush=True)
        for piece in sounds(options.data, options.talk, options.seed):
            process.stdin.write(piece.astype("<i2").tobytes())
            fed_s += piece.size / SAMPLE_RATE_HZ
            if fed_s >= SAMPLE_S * (len(samples) + 1):
                samples.append(one := sampled(process, state / "agentbox.db", fed_s, seen))
                print(
                    f"{one.sound_s / 3600:14.2f} {one.busy_mb:8.1f} {one.pss_mb:8.1f} {one.own_mb:8.1f} {one.files:6}"
                    f" {one.threads:8} {one.turns:6}",
                    flush=True,
                )
            if fed_s >= options.hours * 3600:
                break
        process.stdin.close()
        code = process.wait()
        reader.join()
    print(f"growth in 24 h of sound, after the first two hours: {growth_mb_a_day(samples):.1f} MB; exit code {code}")
    for kind in (
        "utterance ended",
        "intent spoken",
        "intent exact",
        "intent none",
        "tool_result ok",
        "utterance failed",
    ):
        print(f"{kind}: {seen[kind]}")
    return code


if __name__ == "__main__":
    sys.exit(main())
