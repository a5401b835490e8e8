"""What a first start takes while it works out what it will need: a small box has half a gigabyte."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FIRST_START = """
import sys
from pathlib import Path
from agentbox.asr.listener import Listener, Sentences
from agentbox.asr.load import load_engine
from agentbox.config import Config
from agentbox.daemon.mind import load_tools, make_understander

spoken = make_understander(Config(), load_tools(Config())).spoken
listener = Listener(load_engine("moonshine-tiny-en", "en", Path(sys.argv[1])))
for _ in listener.prepare(Sentences(spoken.grammar, tuple(spoken.active({})))):
    pass
# Not getrusage(2): its ru_maxrss counts what the parent held before exec, too.
[most] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
print(int(most.split()[1]) // 1024)
"""


def test_a_first_start_leaves_room_for_others(models_dir: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FIRST_START, str(models_dir)], capture_output=True, text=True, check=True
    )
    # 205 MB; with holes in the heap that large arrays do not fit into, 312 to 390.
    assert int(done.stdout) < 300
