"""The scripts a newcomer meets first, and those that install the service, are well-formed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = [*sorted({*(ROOT / "deploy").glob("*.sh")} - {ROOT / "deploy" / "command.sh"}), ROOT / ".ci" / "run"]
SHELL = [*sorted((ROOT / "deploy" / "debian").glob("p*")), ROOT / "deploy" / "command.sh"]
"""For plain /bin/sh: they run where nothing of ours is installed yet."""


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_bash_accepts_the_script(script: Path) -> None:
    subprocess.run(["bash", "-n", str(script)], check=True, timeout=60)
    if script.name != "lib.sh":
        assert script.stat().st_mode & 0o111 == 0o111, "it must be executable"
        assert "set -euo pipefail" in script.read_text()


@pytest.mark.parametrize("script", SHELL, ids=lambda path: path.name)
def test_sh_accepts_the_script(script: Path) -> None:
    subprocess.run(["sh", "-n", str(script)], check=True, timeout=60)
    assert script.stat().st_mode & 0o111 == 0o111, "it must be executable"
    assert script.read_text().startswith("#!/bin/sh\n")
    assert "\nset -e" in script.read_text()


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_shellcheck_finds_nothing() -> None:
    command = ["shellcheck", "--external-sources", *map(str, SCRIPTS + SHELL)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert result.returncode == 0, result.stdout
