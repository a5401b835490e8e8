"""The units are ones that systemd accepts, strict, and leave the daemon what it needs."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SERVICE = ROOT / "systemd" / "agentbox.service"
UPKEEP = ROOT / "systemd" / "agentbox-upkeep.service"
USER = ROOT / "systemd" / "user" / "agentbox.service"

analyze = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


def settings(unit: Path) -> list[str]:
    return [line for line in unit.read_text().splitlines() if line and not line.startswith(("#", "["))]


@analyze
@pytest.mark.parametrize("unit", [SERVICE, UPKEEP, UPKEEP.with_suffix(".timer"), USER], ids=lambda path: path.name)
def test_systemd_accepts_the_unit(unit: Path, tmp_path: Path) -> None:
    program = tmp_path / "agentbox"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for file in {unit, *unit.parent.glob(f"{unit.stem}.service")}:
        text = file.read_text()
        for path in ("/opt/agentbox/current/bin/agentbox", "%h/.local/bin/agentbox"):
            text = text.replace(path, str(program))
        assert unit.suffix == ".timer" or str(program) in text
        (tmp_path / file.name).write_text(text)
    command = ["systemd-analyze", "verify", *(["--user"] if unit == USER else []), str(tmp_path / unit.name)]
    result = subprocess.run(
        command, capture_output=True, text=True, timeout=60, env={"PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": "/run"}
    )
    # An unknown key is only a warning to systemd, so what it says counts, not only how it exits.
    assert (result.returncode, result.stderr) == (0, "")


@analyze
@pytest.mark.parametrize(("unit", "exposure"), [(SERVICE, 16), (UPKEEP, 5)], ids=["agentbox", "upkeep"])
def test_the_sandbox_is_strict(unit: Path, exposure: int) -> None:
    command = ["systemd-analyze", "security", "--offline=true", f"--threshold={exposure}", str(unit)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stdout


def test_the_sandbox_leaves_what_the_daemon_needs() -> None:
    """Sound cards, the network, /proc/cpuinfo: what it hides would not be noticed on a machine without them."""
    lines = settings(SERVICE)
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
    # PrivateUsers= unmaps the audio group; ProcSubset= hides the processor from onnxruntime; MemoryDenyWriteExecute=
    # forbids the callback by which sound arrives.
    assert not keys & {"PrivateUsers", "ProcSubset", "MemoryDenyWriteExecute"}
    families = next(line for line in lines if line.startswith("RestrictAddressFamilies="))
    assert {"AF_UNIX", "AF_INET", "AF_INET6"} <= set(families.partition("=")[2].split())


def test_both_units_of_the_system_are_one_user_in_one_folder() -> None:
    shared = ("DynamicUser=yes", "User=agentbox", "StateDirectory=agentbox", "StateDirectoryMode=0700", "UMask=0077")
    for unit in (SERVICE, UPKEEP):
        assert set(shared) <= set(settings(unit))


def test_a_crash_is_answered_and_a_mistake_is_not() -> None:
    for unit in (SERVICE, USER):
        lines = settings(unit)
        assert "Restart=on-failure" in lines
        assert "RestartPreventExitStatus=2" in lines
        assert "StartLimitIntervalSec=0" in lines
