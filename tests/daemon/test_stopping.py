"""Told to end at any stage: the box ends by itself, and what was under way is in the journal."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from agentbox.audio.files import read_file
from tests.daemon.conftest import SAMPLE, Home, Running

ALWAYS = {"activation": {"mode": "always"}}


def sound(first_s: float, last_s: float) -> bytes:
    whole = np.concatenate(list(read_file(SAMPLE)))
    return whole[round(first_s * 16_000) : round(last_s * 16_000)].astype("<i2").tobytes()


def feed(daemon: Running, data: bytes) -> None:
    assert daemon.process.stdin is not None
    os.write(daemon.process.stdin.fileno(), data)


def test_while_somebody_speaks(home: Home, start: Callable[..., Running]) -> None:
    home.configure(ALWAYS)
    daemon = start("--source", "-")
    feed(daemon, sound(3, 6))
    daemon.until("speech", "started")
    assert daemon.stop() == 0


def test_while_an_utterance_is_decoded(home: Home, start: Callable[..., Running]) -> None:
    home.configure(ALWAYS)
    daemon = start("--source", "-")
    feed(daemon, sound(3, 8))
    daemon.until("utterance", "ended")
    assert daemon.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_while_a_tool_runs(home: Home, start: Callable[..., Running], tmp_path: Path, number: signal.Signals) -> None:
    slow = {"name": "slow", "intent": "Slow", "argv": ["sleep", "20"], "timeout_s": 30}
    sentences = tmp_path / "mine.yaml"
    sentences.write_text("language: en\nintents: {Slow: {data: [{sentences: [take your time]}]}}\n")
    home.configure(
        {
            "intents": {"sentences": [str(sentences)]},
            "tools": {"command": {"enabled": True, "commands": [slow]}, "policy": {"slow": {"cli": "allow"}}},
        }
    )
    daemon = start("--source", "-")
    asking = subprocess.Popen(
        home.command("ask", "take your time"), env=home.env(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    daemon.until("tool_call", "started")
    assert daemon.stop(number) == 0
    asking.wait(30)
    [turn] = home.turns()
    assert turn["tool_state"] == "unknown"
    [whole] = home.json("transcripts", "show", turn["id"])
    assert [call["error_code"] for call in whole["tool_calls"]] == ["tool_interrupted"]


@pytest.mark.parametrize("after_s", [0.1, 0.4, 0.7, 1.0])
def test_while_it_starts(home: Home, after_s: float) -> None:
    process = subprocess.Popen(
        home.command("run", "--source", "-"), env=home.env(), stdin=subprocess.PIPE, stderr=subprocess.PIPE
    )
    time.sleep(after_s)
    process.terminate()
    _, told = process.communicate(timeout=30)
    # Python itself ends by the signal before there is a box that could handle it.
    assert process.returncode in (0, -signal.SIGTERM), told
    assert b"Traceback" not in told


def test_while_a_timer_rings(home: Home, start: Callable[..., Running]) -> None:
    daemon = start("--source", "-")
    home.json("ask", "set a timer for one second")
    daemon.until("reply", "alert")
    assert daemon.stop() == 0
    daemon = start("--source", "-")
    daemon.until("reply", "alert")  # nobody has stopped it
