"""What a box works out at its first start and keeps (`agentbox.caches`), made once for a run of the tests.

A first start takes three times the work of a later one: the graph of all sentences, what the speech model makes of it,
the voice's dictionaries. Tests start hundreds of boxes with the same sentences, each in a state of its own. Lent to
them, these files are read as a box reads its own; where they do not fit (other sentences, another model) it makes its
own as ever. Each run makes them anew: a change to the code that makes them is seen.

First starts themselves are in tests/system, and wherever a test has sentences of its own.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = "AGENTBOX_TEST_WARM"
"""The environment variable with the folder of this run: all processes that share the tests share it."""

_MADE = "made"


def begin() -> None:
    """Once for a run, before its processes are started."""
    os.environ[FOLDER] = tempfile.mkdtemp(prefix="agentbox-test-warm-")


def end() -> None:
    shutil.rmtree(os.environ.pop(FOLDER), ignore_errors=True)


def lend(state: Path, models_dir: Path) -> None:
    """Put them into a state folder that has none yet. A box never writes into such a file: it replaces it. Nothing is
    lent outside a run of the tests, to a program that uses their boxes."""
    cache = state / "cache"
    if FOLDER in os.environ and not cache.exists():
        kept = _made(models_dir)
        cache.mkdir(mode=0o700, parents=True)
        for file in kept:
            try:
                os.link(file, cache / file.name)  # pytest keeps the states of three runs
            except OSError:
                shutil.copy2(file, cache)


def _made(models_dir: Path) -> list[Path]:
    folder = Path(os.environ[FOLDER])
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / _MADE).exists():
            # In a process of its own: a model that is loaded stays in the memory of the one that tests.
            subprocess.run([sys.executable, "-m", "tests.warm", str(folder / "cache"), str(models_dir)], check=True)
            (folder / _MADE).touch()
    return sorted((folder / "cache").iterdir())


def _make(cache: Path, models_dir: Path) -> None:
    from agentbox.asr.listener import Listener, Sentences
    from agentbox.config import Asr, Config
    from agentbox.daemon.mind import load_tools, make_understander
    from agentbox.daemon.speech_model import load_speech
    from agentbox.tts.hibari import HibariVoice

    config = Config(asr=Asr(models_dir=str(models_dir)))
    spoken = make_understander(config, load_tools(config), cache=cache).spoken
    for _ in Listener(load_speech(config), cache).prepare(Sentences(spoken.grammar, tuple(spoken.active({})))):
        pass
    HibariVoice(cache).close()


if __name__ == "__main__":
    _make(Path(sys.argv[1]), Path(sys.argv[2]))
