"""kill -9 at random moments while the journal is written: is every acknowledged row there afterwards?

    python -m benchmarks.kills --n 500 --seed 1

Each run starts `benchmarks.journal_load` on the file that the run before left, with one of its activities (writing
turns and tools' values as the daemon does; and beside that deleting, sweeping what is too old, searching; opening and
closing; migrating), or on a new file; kills it at a random moment; opens the file again, and judges
(`benchmarks.ledger`). Of
one kind of run ("recovery") a second process is killed while it mends what the first left. `--too-early` breaks the
promise on purpose: rows are acknowledged before they are on disk, and losses must show. Ends with 1 if anything was
lost or damaged.
"""

from __future__ import annotations

import argparse
import random
import select
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agentbox.bench.box import percentile
from benchmarks.journal_load import ACTIVITIES, look
from benchmarks.ledger import Ledger, Verdict

ROOT = Path(__file__).parents[1]
KINDS = (*ACTIVITIES, "new file", "recovery")
RUNS_PER_FILE = 40
START_LIMIT_S = 60.0


@dataclass
class Tally:
    runs: Counter[str] = field(default_factory=Counter)
    hit: Counter[str] = field(default_factory=Counter)
    """What was under way at the moment of the kill, where the process had said so."""
    acknowledged: int = 0
    lost: int = 0
    returned: int = 0
    faulty: int = 0
    died: int = 0
    reopen_ms: list[float] = field(default_factory=list)

    def add(self, verdict: Verdict) -> None:
        self.lost += len(verdict.lost)
        self.returned += len(verdict.returned)
        self.faulty += bool(verdict.faults)

    @property
    def good(self) -> bool:
        return not (self.lost or self.returned or self.faulty or self.died)

    def report(self) -> str:
        runs = sum(self.runs.values())
        lines = [
            f"runs                        {runs}   " + ", ".join(f"{kind} {n}" for kind, n in self.runs.items()),
            "killed in the middle of     " + ", ".join(f"{what} {n}" for what, n in self.hit.most_common()),
            f"rows acknowledged           {self.acknowledged}",
            f"rows lost                   {self.lost}",
            f"deleted rows that came back {self.returned}",
            f"integrity failures          {self.faulty}",
            f"processes that died alone   {self.died}",
        ]
        if self.reopen_ms:
            p50, p95 = percentile(self.reopen_ms, 50), percentile(self.reopen_ms, 95)
            lines.append(
                f"time to open again          p50 {p50:.0f} ms, p95 {p95:.0f} ms, max {max(self.reopen_ms):.0f} ms"
            )
        return "\n".join(lines)


def kill_one(command: Sequence[str], delay_s: float, feed: Callable[[str], None]) -> bool:
    """Start the process, kill it `delay_s` after its first line, feed the whole lines that it wrote. False if it had
    ended by itself."""
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        # Read while it runs, or a full pipe would hold it up.
        told, until_s = b"", time.monotonic() + START_LIMIT_S
        begun = alone = False
        while (left_s := until_s - time.monotonic()) > 0:
            if not select.select([child.stdout], [], [], left_s)[0]:
                break
            part = child.stdout.read1()  # type: ignore[attr-defined]
            if not part:
                alone = True
                break
            told += part
            if not begun:
                begun, until_s = True, time.monotonic() + delay_s
        child.kill()
        told += child.stdout.read()
    for line in told.decode().split("\n")[:-1]:  # the last one may be cut off
        feed(line)
    return begun and not alone


def load_command(file: Path, activity: str, seed: int) -> list[str]:
    program = [sys.executable, "-m", "benchmarks.journal_load", "load", str(file)]
    return [*program, "--activity", activity, "--seed", str(seed)]


def run(kind: str, file: Path, draw: random.Random, ledger: Ledger, tally: Tally, more: Sequence[str]) -> Verdict:
    """One run: kill, open again, judge."""

    def kill(activity: str, delay_s: float) -> None:
        command = load_command(file, activity, draw.getrandbits(32))
        if not kill_one([*command, *more], delay_s, ledger.feed):
            tally.died += 1
            print("the process ended by itself", flush=True)
        ledger.killed()

    before = ledger.acknowledged
    activity = kind if kind in ACTIVITIES else draw.choice(("write", "delete", "sweep"))
    if kind == "new file":
        kill(activity, draw.uniform(0, 0.1))
    else:
        kill(activity, draw.choice((draw.uniform(0, 0.1), draw.uniform(0, 1.0))))
    if kind == "recovery":
        kill(activity, draw.uniform(0, 0.05))
    tally.runs[kind] += 1
    tally.hit[ledger.under_way or "nothing told"] += 1
    tally.acknowledged += ledger.acknowledged - before
    found = look(file)
    tally.reopen_ms.append(found.reopen_ms)
    verdict = ledger.judge(found)
    tally.add(verdict)
    return verdict


def arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=500, help="runs")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where the files are made and left; a temporary folder otherwise")
    parser.add_argument("--too-early", action="store_true", help="acknowledge before it is on disk: must show losses")
    return parser.parse_args(words)


def main(words: Sequence[str]) -> int:
    asked = arguments(words)
    draw = random.Random(asked.seed)
    tally = Tally()
    with tempfile.TemporaryDirectory(prefix="agentbox-kills-") as temporary:
        folder = asked.folder or Path(temporary)
        file, ledger = folder / "0" / "j.db", Ledger()
        for number in range(asked.n):
            kind = KINDS[number % len(KINDS)]
            if kind == "new file" or number % RUNS_PER_FILE == 0:
                file, ledger = folder / str(number) / "j.db", Ledger()
                file.parent.mkdir(parents=True)
            verdict = run(kind, file, draw, ledger, tally, ["--too-early"] if asked.too_early else [])
            if not verdict.good:
                print(f"run {number} ({kind}, {file}): {verdict}", flush=True)
            if number % 50 == 49:
                print(f"... {number + 1} runs, {tally.acknowledged} rows, {tally.lost} lost", flush=True)
    print(tally.report())
    return 0 if tally.good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
