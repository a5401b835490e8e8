"""The installed service, under a real systemd, in its sandbox."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
import soundfile

from tests.pulse import Pulse
from tests.system.conftest import INSTALL, VERSION, Boot, Installed
from tests.system.machine import Machine

SAMPLE = Path(__file__).parents[2] / "agentbox" / "samples" / "commands.flac"
DATABASE = "var/lib/private/agentbox/agentbox.db"
UNITS = ("agentbox.service", "agentbox-upkeep.service", "agentbox-upkeep.timer")


def test_it_is_ready_and_stays_up_without_a_microphone(machine: Machine, installed: Installed) -> None:
    assert f"agentbox {VERSION}-" in installed.said
    machine.until("agentbox status", "no microphone")
    status = json.loads(machine.out("agentbox status --json"))
    assert status["running"]
    assert status["version"] == VERSION
    assert machine.show("agentbox", "ActiveState", "NRestarts", "UnitFileState") == {
        "ActiveState": "active",
        "NRestarts": "0",
        "UnitFileState": "enabled",
    }
    # What can be done without ears is done.
    assert "milk" in machine.out("agentbox ask 'add milk to the shopping list'")
    assert "add milk" in machine.out("agentbox transcripts list")


def test_what_the_sandbox_hides_and_what_it_leaves(machine: Machine) -> None:
    machine.run("mkdir /dev/snd && touch /dev/snd/controlC0 && touch /home/letter")
    inside = f"nsenter --target {machine.show('agentbox', 'MainPID')['MainPID']} --mount"
    for folder in ("/usr", "/etc", "/opt/agentbox", "/var/log"):
        assert "Read-only file system" in machine.run(f"{inside} touch {folder}/x", check=False).stderr
    assert machine.run(f"{inside} cat /home/letter", check=False).returncode != 0
    assert machine.out(f"{inside} ls /dev/snd") == "controlC0", "sound cards must stay in sight"
    assert machine.out(f"{inside} cat /proc/cpuinfo"), "onnxruntime chooses its code by it"
    assert "cpuinfo" not in machine.journal("agentbox")
    state = machine.tree / DATABASE
    assert stat.S_IMODE(state.stat().st_mode) == 0o600
    assert stat.S_IMODE(state.parent.stat().st_mode) == 0o700
    assert state.stat().st_uid >= 61184, "a user of systemd's, not root"


def test_systemd_finds_nothing_to_say_about_the_units(machine: Machine) -> None:
    paths = [f"/usr/local/lib/systemd/system/{name}" for name in UNITS]
    done = machine.run(f"systemd-analyze verify {' '.join(paths)}")
    assert done.stdout + done.stderr == ""
    assert machine.systemctl("--failed", "--no-legend") == ""


@pytest.mark.real_time
def test_a_spoken_command_reaches_the_journal(hearing: Machine, pulse: Pulse, tmp_path: Path) -> None:
    sound, rate = soundfile.read(SAMPLE, dtype="int16")
    soundfile.write(tmp_path / "milk.wav", sound[int(13.5 * rate) : 18 * rate], rate)
    pulse.play(tmp_path / "milk.wav")
    said = hearing.until("agentbox transcripts list --json", "shopping", timeout_s=20)
    turn = json.loads(said.splitlines()[0])
    assert (turn["tool"], turn["tool_state"], turn["outcome"]) == ("add_item", "done", "done")
    assert "milk" not in hearing.journal("agentbox").lower(), "words do not belong into the system's log"


def test_a_secret_reaches_a_request_and_nobody_else(start: Boot) -> None:
    files = {
        "/etc/agentbox/credentials/shop": "hunter2\n",
        "/etc/systemd/system/agentbox.service.d/credentials.conf": "[Service]\n"
        "LoadCredential=shop:/etc/agentbox/credentials/shop\n"
        "LoadCredential=absent\n",
        "/etc/agentbox/config.yaml": """
tools:
  web:
    - name: orders
      description: How many orders came in.
      url: http://127.0.0.1:8000/
      headers: {Authorization: "Bearer {secret:shop}"}
      answer: "The shop says: {text}"
""",
        "/root/shop.py": """
import http.server
class Shop(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"welcome" if self.headers["Authorization"] == "Bearer hunter2" else b"who are you")
http.server.HTTPServer(("127.0.0.1", 8000), Shop).serve_forever()
""",
    }
    with start(files=files) as machine:
        machine.run("systemd-run --unit=shop python3 /root/shop.py")
        machine.until("python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", 8000)); print(1)'", "1")
        assert machine.out("agentbox tools call orders") == "The shop says: welcome"
        inside = f"nsenter --target {machine.show('agentbox', 'MainPID')['MainPID']} --mount"
        assert machine.out(f"{inside} stat --format=%a /run/credentials/agentbox.service/shop") in ("400", "440")

        # The same, encrypted on the disk.
        machine.run("cd /etc/agentbox/credentials && systemd-creds encrypt --name=shop shop shop.cred && rm shop")
        machine.write(
            "/etc/systemd/system/agentbox.service.d/credentials.conf",
            "[Service]\nLoadCredentialEncrypted=shop:/etc/agentbox/credentials/shop.cred\n",
        )
        machine.run("systemctl daemon-reload && systemctl restart agentbox")
        assert machine.out("agentbox tools call orders") == "The shop says: welcome"
        assert "hunter2" not in machine.journal("agentbox")


def test_a_crash_is_answered_by_a_restart(machine: Machine) -> None:
    before = machine.show("agentbox", "MainPID")
    machine.systemctl("kill", "--signal=KILL", "--kill-who=main", "agentbox")
    machine.until("systemctl show agentbox --property=NRestarts,ActiveState", "NRestarts=1\nActiveState=active")
    assert machine.show("agentbox", "MainPID") != before


def test_root_reads_the_journal_of_a_service_that_stands_still(machine: Machine) -> None:
    machine.run("agentbox ask 'add milk to the shopping list'")
    machine.systemctl("stop", "agentbox")
    assert "add milk" in machine.out("agentbox transcripts list")
    owners = {file.stat().st_uid for file in (machine.tree / DATABASE).parent.iterdir()}
    assert owners == {(machine.tree / DATABASE).stat().st_uid}, "a file of root's would be out of the service's reach"
    machine.systemctl("start", "agentbox")
    assert "milk" in machine.out("agentbox ask 'what is on the shopping list'")


def test_root_does_the_same_to_a_service_that_stands_still(machine: Machine) -> None:
    machine.run("agentbox ask 'add milk to the shopping list'")
    machine.systemctl("stop", "agentbox")
    machine.run("cd /root && agentbox backup mine.zip")
    assert machine.out("stat --format='%a %U' /root/mine.zip") == "600 root"
    assert machine.out("agentbox factory-reset --yes") == "Everything of yours is deleted."
    assert not (machine.tree / DATABASE).exists()
    assert "is restored" in machine.out("cd /root && agentbox restore mine.zip --yes")
    state = (machine.tree / DATABASE).parent
    assert {file.lstat().st_uid for file in state.rglob("*")} == {state.stat().st_uid}
    machine.run("agentbox backends use local")
    assert machine.run("ls /root/.local", check=False).returncode != 0, "a state folder of root's own"
    machine.systemctl("start", "agentbox")
    assert "milk" in machine.out("agentbox ask 'what is on the shopping list'")
    machine.run("agentbox backends use local")
    assert "cloud.use = local   (/var/lib" in machine.out("agentbox config show")


def test_a_mistake_in_the_configuration_is_not_tried_again(machine: Machine) -> None:
    machine.write("/etc/agentbox/config.yaml", "audio: {blok_ms: 5}\n")
    assert machine.run("systemctl restart agentbox", check=False).returncode != 0
    assert machine.show("agentbox", "ActiveState", "ExecMainStatus") == {"ActiveState": "failed", "ExecMainStatus": "2"}


def test_installing_again_changes_nothing(machine: Machine) -> None:
    machine.write("/etc/agentbox/config.yaml", "# mine\n")
    before = machine.show("agentbox", "MainPID")
    machine.run(INSTALL.format("/mnt/checkout"))
    assert machine.show("agentbox", "MainPID") == before
    assert (machine.tree / "etc/agentbox/config.yaml").read_text() == "# mine\n"


def test_what_cannot_be_done_is_told(machine: Machine) -> None:
    for command, said in [
        ("setpriv --reuid=1000 --clear-groups /mnt/checkout/deploy/install.sh", "must be run as root"),
        ("setpriv --reuid=1000 --clear-groups /mnt/checkout/deploy/uninstall.sh", "must be run as root"),
        ("/mnt/checkout/deploy/install.sh --models /nowhere", "--models needs a folder"),
        ("/mnt/checkout/deploy/install.sh --ready-limit soon", "--ready-limit needs a number"),
        ("/mnt/checkout/deploy/install.sh --quickly", "There is no option --quickly"),
        ("/mnt/checkout/deploy/install.sh /nowhere.whl", "There is no file /nowhere.whl"),
        ("/mnt/checkout/deploy/uninstall.sh --all", "There is no option --all"),
    ]:
        done = machine.run(command, check=False)
        assert done.returncode == 1
        assert said in done.stderr
    # What an upgrade would trip over is found before it stops anything.
    machine.write("/etc/agentbox/config.yaml", "audio: {blok_ms: 5}\n")
    before = machine.show("agentbox", "MainPID")
    done = machine.run(INSTALL.format("/mnt/checkout"), check=False)
    assert done.returncode == 1
    assert "does not accept /etc/agentbox/config.yaml" in done.stderr
    assert machine.show("agentbox", "MainPID") == before


def test_uninstalling_keeps_the_data_and_purging_does_not(machine: Machine) -> None:
    machine.run("/mnt/checkout/deploy/uninstall.sh")
    assert machine.run("systemctl cat agentbox", check=False).returncode != 0
    assert not (machine.tree / "opt/agentbox").exists()
    assert (machine.tree / DATABASE).exists()
    assert (machine.tree / "etc/agentbox/config.yaml").exists()
    machine.run("/mnt/checkout/deploy/uninstall.sh --purge")
    left = machine.out("find / -xdev -name '*agentbox*' -not -path '/mnt/*' -not -path '/proc/*' -not -path '/run/*'")
    assert left == ""
