"""Upgrades of the installed service: the good one, and one that never gets ready."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.system.conftest import INSTALL, VERSION, Boot
from tests.system.machine import Machine
from tests.system.trees import checkout

NEW_STEP = """
@migrations()
def m900_of_the_future(db: Database) -> None:
    db.executescript("ALTER TABLE turns ADD COLUMN mood TEXT; CREATE TABLE moods (name TEXT) STRICT;")


KNOWN = frozenset(
    (
        "m900_of_the_future",
"""
"""A step that no version knows yet, in place of the beginning of schema.py's last statement."""

CHANGES_THE_JOURNAL = {"agentbox/storage/schema.py": ("KNOWN = frozenset(\n    (\n", NEW_STEP)}

# It opens the journal, as it must before it is ready, takes a command that was on its way, and breaks.
BREAKS = {
    "agentbox/daemon/box.py": (
        '            notify(f"READY=1',
        '            await self.core.ask("add butter to the shopping list")\n'
        '            raise SystemExit("broken on purpose")\n'
        '            notify(f"READY=1',
    )
}


def heard(machine: Machine) -> list[str]:
    """The texts of all turns, oldest first."""
    lines = machine.out("agentbox transcripts export").splitlines()
    return [json.loads(line)["text"] for line in lines]


def backups(machine: Machine) -> list[str]:
    return sorted(path.name for path in (machine.tree / "var/lib/private/agentbox/backups").glob("*.db"))


def test_an_upgrade_keeps_configuration_and_data(start: Boot, tmp_path: Path) -> None:
    new = checkout(tmp_path / "new", "0.9.0", CHANGES_THE_JOURNAL)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, f"--wheel-dir={tmp_path}/wheels", str(new)], check=True, timeout=120)
    with start({"wheels": tmp_path / "wheels"}) as machine:
        machine.run("agentbox ask 'add milk to the shopping list'")
        machine.write("/etc/agentbox/config.yaml", "# mine\n")
        said = machine.run(INSTALL.format("/mnt/checkout") + " /mnt/wheels/agentbox-0.9.0-py3-none-any.whl").stderr
        assert "0.9.0-" in said
        assert json.loads(machine.out("agentbox status --json"))["version"] == "0.9.0"
        assert heard(machine) == ["add milk to the shopping list"]
        assert "milk" in machine.out("agentbox ask 'what is on the shopping list'")
        assert (machine.tree / "etc/agentbox/config.yaml").read_text() == "# mine\n"
        assert backups(machine) == ["agentbox-000001.db"]
        releases = sorted(path.name.split("-")[0] for path in (machine.tree / "opt/agentbox/releases").iterdir())
        assert releases == [VERSION, "0.9.0"]


def test_a_version_that_does_not_get_ready_is_taken_back(start: Boot, tmp_path: Path) -> None:
    broken = checkout(tmp_path / "broken", "0.9.1", CHANGES_THE_JOURNAL | BREAKS)
    with start({"broken": broken}) as machine:
        machine.run("agentbox ask 'add milk to the shopping list'")
        done = machine.run(INSTALL.format("/mnt/broken") + " --ready-limit 60", check=False)
        assert done.returncode == 1
        assert "did not work here" in done.stderr
        assert "broken on purpose" in done.stderr, "why it failed must be told"
        status = json.loads(machine.out("agentbox status --json"))
        assert status["version"] == VERSION
        assert not [notice for notice in status["notices"] if notice["code"] == "database_newer"]
        # Both what was there before and what the new version wrote.
        assert heard(machine)[:2] == ["add milk to the shopping list", "add butter to the shopping list"]
        listed = machine.out("agentbox ask 'what is on the shopping list'")
        assert "milk" in listed
        assert "butter" in listed
        assert machine.show("agentbox", "ActiveState") == {"ActiveState": "active"}
        # The version that was taken back leaves nothing behind, and the next boot starts the old one.
        assert not list((machine.tree / "opt/agentbox/releases").glob("0.9.1*"))
        assert machine.systemctl("is-enabled", "agentbox") == "enabled"
