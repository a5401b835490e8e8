"""The Debian package: built by the machine it is for, installed by one that has neither network nor anything else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.system.conftest import VERSION
from tests.system.machine import Machine, boot

APT = "DEBIAN_FRONTEND=noninteractive apt-get --yes --quiet"


@pytest.fixture(scope="module")
def packages(base: Path, supplies: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package."""
    out = tmp_path_factory.mktemp("packages")
    folder = tmp_path_factory.mktemp("builder")
    with boot(folder, [base], supplies) as machine:
        build = "/mnt/checkout/deploy/build-deb.sh --wheelhouse /mnt/wheelhouse --models /mnt/models --fast --to /root"
        machine.run(build)
        (package,) = (machine.tree / "root").glob(f"agentbox_{VERSION}_*.deb")
        shutil.copy(package, out / "agentbox.deb")
    shutil.rmtree(folder, ignore_errors=True)
    return out


def status(machine: Machine) -> dict[str, object]:
    found: dict[str, object] = json.loads(machine.out("agentbox status --json"))
    return found


def test_the_package_from_its_first_day_to_its_last(base: Path, packages: Path, tmp_path: Path) -> None:
    with boot(tmp_path, [base], {"packages": packages}) as machine:
        machine.run(f"{APT} install /mnt/packages/agentbox.deb")
        assert status(machine)["running"]
        assert machine.systemctl("is-enabled", "agentbox") == "enabled"
        machine.until("agentbox status", "no microphone")
        machine.run("agentbox ask 'add milk to the shopping list'")
        assert "agentbox-upkeep" not in machine.systemctl("--failed", "--no-legend")

        # An upgrade asks nothing, even where the owner has changed the configuration. (Here to the same version.)
        machine.write("/etc/agentbox/config.yaml", "# mine\n")
        before = status(machine)["pid"]
        machine.run("dpkg --install /mnt/packages/agentbox.deb")
        assert status(machine)["pid"] != before
        assert "milk" in machine.out("agentbox ask 'what is on the shopping list'")
        assert (machine.tree / "etc/agentbox/config.yaml").read_text() == "# mine\n"
        assert (machine.tree / "var/lib/private/agentbox/backups/agentbox-000001.db").exists()

        machine.run(f"{APT} remove agentbox")
        assert not (machine.tree / "opt/agentbox").exists()
        assert machine.show("agentbox", "ActiveState") == {"ActiveState": "inactive"}
        assert (machine.tree / "var/lib/private/agentbox/agentbox.db").exists()
        machine.run("dpkg --purge agentbox")
        left = machine.out(
            "find / -xdev -name '*agentbox*' -not -path '/mnt/*' -not -path '/proc/*' -not -path '/run/*'"
            " -not -path '/var/log/*'"
        )
        assert left == ""


def test_the_package_keeps_away_from_an_installation_by_hand(packages: Path, machine: Machine, tmp_path: Path) -> None:
    shutil.copy(packages / "agentbox.deb", machine.tree / "root")
    done = machine.run("dpkg --install /root/agentbox.deb", check=False)
    assert done.returncode != 0
    assert "Run deploy/uninstall.sh first" in done.stdout + done.stderr
    assert status(machine)["running"]
