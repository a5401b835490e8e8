"""Abrupt ends of a guest while its journal is written: is every acknowledged row there after the next boot?

Each guest mounts the file system and opens the journal that the last end left, tells what it found, and writes until
the next end. It was saved just before that, once, which takes less time than to boot (`boot`: boot each time). Two
kinds of end:

- `kill`: kill -9 of QEMU. The guest's memory is gone; what it gave to its disk (a file of the host, `cache=writeback`)
  is in the host's page cache and so survives, flushed or not. This is a crash of the guest's kernel.
- `cut`: the guest's disk (nbd.py) forgets at the end what was not flushed, sector by sector. This is a power cut.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from agentbox.bench.box import percentile
from benchmarks.journal_load import ACTIVITIES
from benchmarks.ledger import Found, Ledger
from benchmarks.vm import build
from benchmarks.vm.machine import Guest
from benchmarks.vm.nbd import Disk, Server

BOOT_LIMIT_S = 300.0
DATA_SIZE = "128M"
WRITING_S = 6.0
OPENING_S = 2.0
DURING_OPENING = 0.15
"""Of the ends, those that come while the file system and the journal recover from the last one."""


@dataclass
class Tally:
    ends: int = 0
    early: int = 0
    looks: int = 0
    acknowledged: int = 0
    lost: int = 0
    returned: int = 0
    faulty: int = 0
    failed: int = 0
    """Boots that did not get as far as the journal."""
    sectors: int = 0
    sectors_lost: int = 0
    hit: Counter[str] = field(default_factory=Counter)
    boot_s: list[float] = field(default_factory=list)
    reopen_ms: list[float] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return not (self.lost or self.returned or self.faulty or self.failed)

    def report(self) -> str:
        lines = [
            f"abrupt ends                 {self.ends}, {self.early} of them during recovery from the last one",
            "in the middle of            " + ", ".join(f"{what} {n}" for what, n in self.hit.most_common()),
            f"looks at the journal        {self.looks}",
            f"rows acknowledged           {self.acknowledged}",
            f"rows lost                   {self.lost}",
            f"deleted rows that came back {self.returned}",
            f"integrity failures          {self.faulty}",
            f"boots that failed           {self.failed}",
            f"sectors not flushed at an end: {self.sectors}, of these lost: {self.sectors_lost}",
        ]
        if self.reopen_ms:
            p50, p95 = percentile(self.reopen_ms, 50), percentile(self.reopen_ms, 95)
            lines.append(f"journal opened again        p50 {p50:.0f} ms, p95 {p95:.0f} ms (emulated)")
            lines.append(f"boot to that                p50 {percentile(self.boot_s, 50):.0f} s")
        return "\n".join(lines)


class Power:
    """`n` ends of a guest on a data disk of its own in the folder `work`."""

    def __init__(self, work: Path, how: str, seed: int, *, unsafe: bool = False, boot: bool = False) -> None:
        self._work = work
        self._draw = random.Random(seed)
        self._more = " --unsafe" if unsafe else ""
        self._saved: Path | None = None
        self._folder = build.build()
        build.project(work)
        self.tally = Tally()
        self._ledger = Ledger()
        image = work / "data.ext4"
        build.make_disk(image, DATA_SIZE)
        self._server: Server | None = None
        if how == "cut":
            self._server = Server(Disk(image.read_bytes()), work / "nbd")
            self._disk = f"file=nbd+unix:///?socket={work}/nbd,format=raw,cache=writeback"
        else:
            self._disk = f"file={image},format=raw,cache=writeback"

        if not boot:
            self._guest().save(work / "saved")
            self._saved = work / "saved"

    def run(self, n: int) -> None:
        for number in range(n):
            self._one(number)
        self._one(n, last=True)
        if self._server is not None:
            self._server.close()

    def _guest(self) -> Guest:
        """One that is ready to be told what to do."""
        words = ["rig.init=/mnt/project/guest/power.sh"]
        guest = Guest(self._folder, self._work / "console.log", words, [self._disk], self._saved)
        if self._saved is None:
            while (line := guest.line(BOOT_LIMIT_S)) != "ready":
                if line is None:
                    raise RuntimeError((self._work / "console.log").read_text(errors="replace")[-2000:])
        return guest

    def _one(self, number: int, *, last: bool = False) -> None:
        """Boot, look, write, end. The `last` one only looks."""
        draw, activity = self._draw, self._draw.choice(ACTIVITIES)
        began_s = time.monotonic()
        guest = self._guest()
        # The first byte on a line that was at rest may be lost.
        guest.say(f"    {time.time()} --activity {activity} --seed {draw.getrandbits(32)}{self._more}")
        early = not last and draw.random() < DURING_OPENING
        writing_s, opening_s = draw.uniform(0, WRITING_S), draw.uniform(0, OPENING_S)
        until_s, looked = began_s + BOOT_LIMIT_S, False
        while (left_s := until_s - time.monotonic()) > 0 and not guest.ended:
            line = guest.line(left_s)
            if line is None:
                continue
            if line == "mounted" and early:
                until_s = time.monotonic() + opening_s
            elif line.startswith("found "):
                looked = self._looked(line, began_s)
                if last:
                    break
            elif line == f"phase {activity}" or (line == "phase open" and activity in ("open", "migrate")):
                until_s = min(until_s, time.monotonic() + writing_s)
            elif line.startswith("ended"):
                break
            self._feed(line)
        self._end(guest)
        if not (looked or early):
            self.tally.failed += 1
            print((self._work / "console.log").read_text(errors="replace")[-2000:])
        if not last:
            self.tally.ends += 1
            self.tally.early += early and not looked
            self.tally.hit[self._ledger.under_way or ("recovery" if not looked else "nothing told")] += 1
        print(f"{number}: {activity}{' early' if early else ''}, {self.tally.acknowledged} rows so far", flush=True)

    def _end(self, guest: Guest) -> None:
        """Whole lines that had reached the host count: what they tell was acknowledged before."""
        if self._server is not None:
            unflushed, lost = self._server.cut(self._draw)
            self.tally.sectors += unflushed
            self.tally.sectors_lost += lost
        for line in guest.kill():
            self._feed(line)
        self._ledger.killed()
        if self._server is not None:
            self._server.power_on()

    def _feed(self, line: str) -> None:
        before = self._ledger.acknowledged
        self._ledger.feed(line)
        self.tally.acknowledged += self._ledger.acknowledged - before

    def _looked(self, line: str, began_s: float) -> bool:
        found = Found.from_line(line.removeprefix("found "))
        verdict = self._ledger.judge(found)
        self.tally.looks += 1
        self.tally.reopen_ms.append(found.reopen_ms)
        self.tally.boot_s.append(time.monotonic() - began_s)
        self.tally.lost += len(verdict.lost)
        self.tally.returned += len(verdict.returned)
        self.tally.faulty += bool(verdict.faults)
        if not verdict.good:
            print(verdict, flush=True)
        return True
