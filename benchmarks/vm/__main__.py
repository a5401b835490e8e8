"""python -m benchmarks.vm build | power | alsa: see docs/benchmarks.md."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.vm import alsa, build
from benchmarks.vm.power import Power


def arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.vm", description="A Debian 12 guest under QEMU (TCG).")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("build", help="make the guest, once")
    power = commands.add_parser("power", help="abrupt ends while the journal is written")
    power.add_argument("--n", type=int, default=50, help="abrupt ends")
    power.add_argument("--seed", type=int, default=1)
    power.add_argument("--how", choices=("kill", "cut"), default="kill", help="see benchmarks/vm/power.py")
    power.add_argument("--unsafe", action="store_true", help="synchronous = OFF: losses must show")
    power.add_argument("--boot", action="store_true", help="boot each time: slow")
    heard = commands.add_parser("alsa", help="the daemon under systemd on a sound card of the kernel's")
    heard.add_argument("--unit", type=Path, default=build.ROOT / "systemd" / "agentbox.service")
    heard.add_argument("--log", type=Path, help="where to keep all that the guest said")
    return parser.parse_args(words)


def main(words: Sequence[str]) -> int:
    asked = arguments(words)
    if asked.command == "build":
        print(build.build())
        return 0
    with tempfile.TemporaryDirectory(prefix="agentbox-vm-", dir=build.cache()) as work:
        if asked.command == "alsa":
            return alsa.run(Path(work), asked.unit, asked.log)
        power = Power(Path(work), asked.how, asked.seed, unsafe=asked.unsafe, boot=asked.boot)
        power.run(asked.n)
    print(power.tally.report())
    return 0 if power.tally.good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
