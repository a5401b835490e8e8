"""What a first start takes while it works out what it will need: a small box has half a gigabyte."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FIRST_START = """
import resource, sys
from pathlib import Path
from agentbox.asr.listener import Listener, Sentences
from agentbox.asr.load import load_engine
from agentbox.config import Config
from agentbox.daemon.mind import load_tools, make_understander

spoken = make_understander(Config(), load_tools(Config())).spoken
listener = Listener(load_engine("moonshine-tiny-en", "en", Path(sys.argv[1])))
for _ in listener.prepare(Sentences(spoken.grammar, tuple(spoken.active({})))):
    pass
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def test_a_first_start_leaves_room_for_others(models_dir: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FIRST_START, str(models_dir)], capture_output=True, text=True, check=True
    )
    # 190 MB; with holes in the heap that large arrays do not fit into, 390.
    assert int(done.stdout) < 300
