"""The spoken sample is what its README and its script say."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest
import soundfile

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "agentbox" / "samples" / "commands.flac"


@pytest.fixture(scope="module")
def script() -> list[tuple[str, float]]:
    """What make_sample.py has said, and the pause after it; read, not run: it needs a voice."""
    tree = ast.parse((ROOT / "deploy" / "make_sample.py").read_text())
    node = next(
        node
        for node in tree.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == "SCRIPT"
    )
    assert node.value is not None
    found: list[tuple[str, float]] = ast.literal_eval(node.value)
    return found


def test_the_sound() -> None:
    sound, rate = soundfile.read(SAMPLE, dtype="int16")
    assert (rate, sound.ndim) == (16_000, 1)
    assert 30 * rate <= len(sound) <= 60 * rate
    assert 8_000 < np.abs(sound).max() < 32_000, "loud enough, and not clipped"
    longest_zero = max(len(run) for run in "".join("0" if value == 0 else "." for value in sound).split("."))
    assert longest_zero < rate // 100, "a quiet room, not digital silence"


def test_the_script_says_enough(script: list[tuple[str, float]]) -> None:
    lines = [text for text, _ in script if text]
    commands = [text for text in lines if len(text) < 60]
    assert len(set(commands)) >= 6
    assert len(lines) == len(commands) + 1, "one stretch of talk that is no command"
    assert max(pause for _, pause in script) >= 5


def test_the_readme_gives_the_exact_text(script: list[tuple[str, float]]) -> None:
    page = (SAMPLE.parent / "README.md").read_text()
    for text, _ in script:
        assert text in page
