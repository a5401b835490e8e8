"""deploy/lib.sh, run by a real bash on a machine whose apt, sudo and Python are scripts that write down their calls."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# A Python that answers questions for real, and only notes down what would take time.
PYTHON = f"""#!/bin/sh
case "$*" in
    "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
    "-m pip "*)
        echo "pip $*" >> "$CALLS"
        [ ! -e "$MACHINE/no-network" ] || exit 1 ;;
    *ensurepip*) [ ! -e "$MACHINE/no-ensurepip" ] ;;
    *) exec {sys.executable} "$@" ;;
esac
"""


@dataclass
class Machine:
    """A folder with a copy of deploy/ and a PATH of stand-ins for what would change the real machine."""

    folder: Path
    checkout: Path

    def script(self, name: str, text: str) -> None:
        path = self.folder / "bin" / name
        path.write_text(text if text.startswith("#!") else f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def run(self, command: str = "set_up run", cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": f"{self.folder / 'bin'}:/usr/bin:/bin",
            "CALLS": str(self.folder / "calls"),
            "MACHINE": str(self.folder),
            "HOME": str(self.folder),
        }
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", f'. "{self.checkout}/deploy/lib.sh"; {command}'],
            env=environment,
            cwd=cwd or self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def calls(self) -> list[str]:
        """What was called since the last look."""
        path = self.folder / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return lines


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A Debian that has every package, used by root."""
    checkout = tmp_path / "a checkout"
    (tmp_path / "bin").mkdir()
    (checkout / "deploy").mkdir(parents=True)
    shutil.copy(ROOT / "deploy" / "lib.sh", checkout / "deploy")
    shutil.copy(ROOT / "pyproject.toml", checkout)
    machine = Machine(tmp_path, checkout)
    machine.script("python3", PYTHON)
    machine.script("dpkg-query", 'for last; do :; done; grep -qx -- "$last" "$MACHINE/absent" || printf installed')
    machine.script("apt-get", 'echo "apt-get $*" >> "$CALLS"; [ "$1" != install ] || : > "$MACHINE/absent"')
    machine.script("id", '[ "$1" != -u ] && echo somebody || cat "$MACHINE/uid"')
    (tmp_path / "absent").write_text("")
    (tmp_path / "uid").write_text("0\n")
    return machine


def test_the_second_run_calls_neither_apt_nor_pip(machine: Machine) -> None:
    first = machine.run()
    assert first.returncode == 0, first.stderr
    (pip,) = machine.calls()
    assert pip.endswith(f"--editable {machine.checkout}")
    second = machine.run(cwd=Path("/"))
    assert second.returncode == 0, second.stderr
    assert machine.calls() == []
    assert second.stderr == ""


def test_sets_of_packages_hold_the_smaller_ones(machine: Machine) -> None:
    for command, installs in [("test", "[test]"), ("run", None), ("dev", "[dev]"), ("run", None), ("test", None)]:
        assert machine.run(f"set_up {command}").returncode == 0
        calls = machine.calls()
        assert [call.endswith(f"--editable {machine.checkout}{installs}") for call in calls] == [True] * bool(installs)


def test_a_changed_project_is_installed_anew_without_a_new_environment(machine: Machine) -> None:
    machine.run()
    (machine.checkout / ".venv" / "kept").touch()
    with (machine.checkout / "pyproject.toml").open("a") as file:
        file.write("\n# changed\n")
    machine.calls()
    assert machine.run().returncode == 0
    assert len(machine.calls()) == 1
    assert (machine.checkout / ".venv" / "kept").exists()


def test_an_interrupted_installation_is_begun_anew(machine: Machine) -> None:
    (machine.folder / "no-network").touch()
    failed = machine.run()
    assert failed.returncode == 1
    assert "could not be installed" in failed.stderr
    (machine.checkout / ".venv" / "half-made").touch()
    (machine.folder / "no-network").unlink()
    machine.calls()
    assert machine.run().returncode == 0
    assert len(machine.calls()) == 1
    assert not (machine.checkout / ".venv" / "half-made").exists()
    machine.run()
    assert machine.calls() == []


def test_a_half_made_environment_is_made_anew(machine: Machine) -> None:
    (machine.checkout / ".venv" / "bin").mkdir(parents=True)
    (machine.checkout / ".venv" / "bin" / "python").symlink_to("/nonexistent/python3")
    result = machine.run()
    assert result.returncode == 0, result.stderr
    assert len(machine.calls()) == 1


def test_a_moved_checkout_is_set_up_anew(machine: Machine) -> None:
    machine.run()
    machine.calls()
    machine.checkout = machine.checkout.rename(machine.folder / "elsewhere")
    assert machine.run().returncode == 0
    assert machine.calls()[0].endswith(f"--editable {machine.checkout}")


def test_root_installs_only_the_missing_packages(machine: Machine) -> None:
    (machine.folder / "absent").write_text("libportaudio2\nsox\n")
    assert machine.run("set_up test sox espeak-ng").returncode == 0
    update, install, _pip = machine.calls()
    assert update.startswith("apt-get update")
    assert install.endswith(" libportaudio2 sox")
    assert "--no-remove" in install


def test_a_user_installs_packages_with_sudo(machine: Machine) -> None:
    (machine.folder / "uid").write_text("1000\n")
    (machine.folder / "absent").write_text("libportaudio2\n")
    machine.script("sudo", '[ "$1" != -n ] || shift; echo "sudo $*" >> "$CALLS"; "$@"')
    assert machine.run().returncode == 0
    calls = machine.calls()
    assert [call.split()[:2] for call in calls if call.startswith("sudo")] == [
        ["sudo", "true"],
        ["sudo", "apt-get"],
        ["sudo", "env"],
    ]


@pytest.mark.parametrize("sudo", [None, "exit 1"])
def test_a_user_who_may_not_is_told_the_exact_command(machine: Machine, sudo: str | None) -> None:
    (machine.folder / "uid").write_text("1000\n")
    (machine.folder / "absent").write_text("libportaudio2\npython3-venv\n")
    (machine.folder / "no-ensurepip").touch()
    # No sudo at all, or one that wants a password where nobody can type it.
    machine.script("sudo", sudo or "exit 127")
    result = machine.run()
    assert result.returncode == 1
    assert "apt-get update && apt-get install --no-install-recommends libportaudio2 python3-venv\n" in result.stderr
    assert machine.calls() == []


def test_without_apt_packages_missing_a_user_needs_no_sudo(machine: Machine) -> None:
    (machine.folder / "uid").write_text("1000\n")
    machine.script("sudo", 'echo "sudo $*" >> "$CALLS"; exit 1')
    assert machine.run().returncode == 0
    assert [call.split()[0] for call in machine.calls()] == ["pip"]


def test_a_machine_without_network_may_still_have_the_packages(machine: Machine) -> None:
    (machine.folder / "absent").write_text("libportaudio2\n")
    machine.script("apt-get", 'echo "apt-get $*" >> "$CALLS"; [ "$1" = install ] && : > "$MACHINE/absent"')
    result = machine.run()
    assert result.returncode == 0, result.stderr
    machine.script("apt-get", "exit 100")
    (machine.folder / "absent").write_text("libportaudio2\n")
    assert machine.run().returncode == 1


def test_an_old_python_is_passed_over_for_a_newer_one(machine: Machine) -> None:
    machine.script("python3", "exit 1")
    machine.script("python3.12", PYTHON)
    (machine.folder / "absent").write_text("python3.12-venv\n")
    (machine.folder / "no-ensurepip").touch()
    assert machine.run().returncode == 0
    assert machine.calls()[1].endswith(" python3.12-venv")


def test_other_systems_are_told_what_is_needed(machine: Machine, tmp_path: Path) -> None:
    bare = tmp_path / "usr-bin"
    bare.mkdir()
    for name in os.listdir("/usr/bin"):
        if name not in ("dpkg-query", "apt-get", "sudo"):
            (bare / name).symlink_to(f"/usr/bin/{name}")
    (machine.folder / "bin" / "dpkg-query").unlink()
    result = machine.run(f'PATH="$MACHINE/bin:{bare}"; set_up run')
    assert result.returncode == 0, result.stderr
    assert "libportaudio2" in result.stderr
    assert machine.calls()[0].startswith("pip")


def test_two_at_once_build_one_environment(machine: Machine) -> None:
    result = machine.run("(set_up run) & one=$!; (set_up run) & wait $one; wait $!")
    assert result.returncode == 0, result.stderr
    assert len(machine.calls()) == 1
