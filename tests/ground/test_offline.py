"""Nothing that comes with the program reports to anybody."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def files_after(statement: str, home: Path, **variables: str) -> list[str]:
    """The files that a Python leaves in an empty home after `statement`."""
    home.mkdir()
    environ = {**os.environ, "HOME": str(home), "XDG_CACHE_HOME": str(home / ".cache"), **variables}
    subprocess.run([sys.executable, "-c", statement], env=environ, check=True, timeout=60)
    return [path.name for path in home.rglob("*") if path.is_file()]


@pytest.mark.parametrize("before", [{}, {"ORT_DISABLE_TELEMETRY": "0"}])
def test_onnxruntime_starts_no_telemetry(tmp_path: Path, before: dict[str, str]) -> None:
    """From its import on, onnxruntime 1.31 would keep a device id and send it, with events, to its maker."""
    assert files_after("import agentbox; import onnxruntime", tmp_path / "with", **before) == []
    program = "import os, agentbox; assert os.environ['ORT_DISABLE_TELEMETRY'] == '1'"
    assert files_after(program, tmp_path / "variable", **before) == []


def test_no_module_of_ours_is_reached_without_it() -> None:
    """Importing any of our modules imports the package first, which switches it off."""
    program = "import agentbox.inference, os; assert os.environ['ORT_DISABLE_TELEMETRY'] == '1'"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="there are no other cores")
def test_a_product_of_matrices_wakes_no_other_core() -> None:
    program = "import agentbox, numpy, os; numpy.ones((300, 300)) @ numpy.ones((300, 300))"
    program += "; print(len(os.listdir('/proc/self/task')))"
    env = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "1"
