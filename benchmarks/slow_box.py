"""Runs a command on half a core and in 512 MB, as on a small box.

    python -m benchmarks.slow_box agentbox bench latency --clips 30

As root, by control groups of the first kind (cgroups(7)), where there are such; with systemd, `systemd-run --scope
--property=CPUQuota=50% --property=MemoryMax=512M COMMAND` does the same.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
PERIOD_US = 100_000


def own(controller: str) -> Path:
    """The group of this process under `controller`, where it may be found (in a container not at its own path)."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        if controller in names.split(","):
            whole = ROOT / controller / path.lstrip("/")
            return whole if whole.is_dir() else ROOT / controller
    raise SystemExit(f"there is no control group {controller} of the first kind here; see --help for systemd's way")


@contextlib.contextmanager
def limited(cores: float, memory_mb: int) -> Iterator[list[Path]]:
    """Groups with these limits; they are gone when the block ends."""
    cpu, memory = (own(name) / f"agentbox-{os.getpid()}" for name in ("cpu", "memory"))
    made = []
    try:
        for folder in (cpu, memory):
            folder.mkdir()
            made.append(folder)
        (cpu / "cpu.cfs_period_us").write_text(str(PERIOD_US))
        (cpu / "cpu.cfs_quota_us").write_text(str(int(cores * PERIOD_US)))
        (memory / "memory.limit_in_bytes").write_text(str(memory_mb << 20))
        yield made
    finally:
        for folder in made:
            folder.rmdir()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--cores", type=float, default=0.5)
    parser.add_argument("--memory-mb", type=int, default=512)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args(arguments)
    with limited(options.cores, options.memory_mb) as groups:
        enter = " && ".join(f'echo $$ > "{group}/cgroup.procs"' for group in groups)
        done = subprocess.run(["sh", "-c", f'{enter} && exec "$@"', "sh", *options.command])
        peak = int((groups[1] / "memory.max_usage_in_bytes").read_text()) / 1e6
    print(f"{options.cores:g} cores, {options.memory_mb} MB; most memory used, files read included: {peak:.0f} MB")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
