"""The scripts a newcomer meets first are well-formed, and the service unit is one systemd accepts."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = [*sorted((ROOT / "deploy").glob("*.sh")), ROOT / ".ci" / "run"]
UNIT = ROOT / "systemd" / "agentbox.service"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_bash_accepts_the_script(script: Path) -> None:
    subprocess.run(["bash", "-n", str(script)], check=True, timeout=60)
    if script.name != "lib.sh":
        assert script.stat().st_mode & 0o111 == 0o111, "it must be executable"
        assert "set -euo pipefail" in script.read_text()


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_shellcheck_finds_nothing() -> None:
    command = ["shellcheck", "--external-sources", *map(str, SCRIPTS)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert result.returncode == 0, result.stdout


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    text = UNIT.read_text()
    program = tmp_path / "agentbox"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = tmp_path / UNIT.name
    unit.write_text(text.replace("/opt/agentbox/bin/agentbox", str(program)))
    assert str(program) in unit.read_text()
    result = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, timeout=60)
    # An unknown key is only a warning to systemd, so what it says counts, not only how it exits.
    assert (result.returncode, result.stderr) == (0, "")


def test_the_unit_keeps_what_the_daemon_needs() -> None:
    """A sandbox that hides sound cards or the network would not be noticed on a machine without them."""
    lines = [line for line in UNIT.read_text().splitlines() if line and not line.startswith("#")]
    for needed in (
        "Type=notify",
        "NotifyAccess=main",
        "ExecReload=/bin/sh -c 'kill -HUP $MAINPID'",
        "DynamicUser=yes",
        "SupplementaryGroups=audio",
        "StateDirectory=agentbox",
        "RuntimeDirectory=agentbox",
        "DeviceAllow=char-alsa rw",
    ):
        assert needed in lines
    keys = {line.partition("=")[0] for line in lines}
    assert not keys & {"PrivateDevices", "PrivateNetwork", "IPAddressDeny"}
    families = next(line for line in lines if line.startswith("RestrictAddressFamilies="))
    assert {"AF_UNIX", "AF_INET", "AF_INET6"} <= set(families.partition("=")[2].split())
