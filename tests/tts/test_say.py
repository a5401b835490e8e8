"""`agentbox say`, as its user runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from agentbox.cli import main
from agentbox.tts.engine import Samples
from tests.pulse import running
from tests.tts.conftest import Hear

TEXT = "I added milk to your shopping list. Your timer is done!"


def _heard(hear: Hear, sound: Samples, rate_hz: int) -> str:
    loud = np.flatnonzero(np.abs(sound) > 300)
    return hear(sound[loud[0] : loud[-1]], rate_hz).lower()


def test_it_writes_what_it_says(tmp_path: Path, hear: Hear) -> None:
    done = CliRunner().invoke(main, ["say", *TEXT.split(), "--out", str(tmp_path / "said.wav")])
    assert done.exit_code == 0, done.output
    words = _heard(hear, *soundfile.read(tmp_path / "said.wav", dtype="int16"))
    assert "added milk to your shopping list" in words
    assert "timer is done" in words
    done = CliRunner().invoke(main, ["say", "hello", "--out", str(tmp_path / "nowhere" / "said.wav")])
    assert (done.exit_code, "file_unwritable" in done.stderr) == (3, True)


@pytest.mark.real_time
def test_it_plays_what_it_says(tmp_path: Path, hear: Hear) -> None:
    with running(tmp_path / "pulse") as pulse:
        recorded = tmp_path / "heard.raw"
        with pulse.recording(recorded):
            command = [sys.executable, "-m", "agentbox", "say", TEXT]
            subprocess.run(command, env={**os.environ, **pulse.environ}, check=True, timeout=60)
        assert "shopping list" in _heard(hear, np.fromfile(recorded, dtype=np.int16), 16_000)
