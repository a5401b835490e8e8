"""In the guest: says that it is ready, waits for a line (the time, then options of benchmarks.journal_load), mounts the
data disk, tells what the last power cut left of the journal on it, and writes until the next one."""

import subprocess
import sys
import time
from pathlib import Path

from benchmarks import journal_load

journal_load.tell("ready")
at, *options = sys.stdin.readline().split()
time.clock_settime(time.CLOCK_REALTIME, float(at))
# What the kernel has read of the disk so far is from before the machine was saved.
Path("/proc/sys/vm/drop_caches").write_text("3")
subprocess.run(["mount", "-t", "ext4", "/dev/vdc", "/mnt/data"], check=True)
journal_load.tell("mounted")
journal_load.main(["look-and-load", "/mnt/data/j.db", *options])
