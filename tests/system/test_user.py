"""The service of a desktop's user, whose sound server belongs to whoever is logged in."""

from __future__ import annotations

import json
from pathlib import Path

import soundfile

from tests.pulse import Pulse
from tests.system.conftest import HEARS_ALL, Boot
from tests.system.test_service import SAMPLE

HOME = "/home/owner"
MANAGER = f"{HOME}/.config/systemd/user"


def test_a_users_own_service_hears_and_is_restarted(start: Boot, pulse: Pulse, tmp_path: Path) -> None:
    files = {
        # Without libpam-systemd nobody tells the user's systemd where its folder is.
        "/etc/systemd/system/user@.service.d/50-test.conf": "[Service]\nEnvironment=XDG_RUNTIME_DIR=/run/user/%i\n",
        f"{HOME}/.config/environment.d/50-sound.conf": "PULSE_SERVER=unix:/mnt/pulse\n",
        f"{HOME}/.config/agentbox/config.yaml": f"{HEARS_ALL}asr: {{models_dir: /opt/agentbox/models}}\n",
    }
    with start({"pulse": pulse.folder / "native"}, files) as machine:
        machine.systemctl("disable", "--now", "agentbox")
        machine.run("useradd owner && chmod 666 /mnt/pulse")
        machine.run(f"mkdir -p {MANAGER} {HOME}/.local/bin && cp /mnt/checkout/systemd/user/agentbox.service {MANAGER}")
        machine.run(f"ln -s $(readlink -f /usr/local/bin/agentbox) {HOME}/.local/bin && chown -R owner: {HOME}")
        number = machine.out("id -u owner")
        machine.systemctl("start", f"user@{number}.service")
        owner = f"runuser -u owner -- env HOME={HOME} XDG_RUNTIME_DIR=/run/user/{number}"
        agentbox, systemctl = f"{owner} {HOME}/.local/bin/agentbox", f"{owner} systemctl --user"
        machine.run(f"{systemctl} enable --now agentbox")
        machine.until(f"{agentbox} status", "listening")
        assert "listening" in machine.out(f"{systemctl} show agentbox --property=StatusText")

        before = machine.out(f"{systemctl} show agentbox --property=MainPID")
        machine.run(f"{systemctl} kill --signal=KILL --kill-who=main agentbox")
        machine.until(f"{systemctl} show agentbox --property=NRestarts,ActiveState", "NRestarts=1\nActiveState=active")
        assert machine.out(f"{systemctl} show agentbox --property=MainPID") != before
        machine.until(f"{agentbox} status", "listening")

        sound, rate = soundfile.read(SAMPLE, dtype="int16")
        soundfile.write(tmp_path / "milk.wav", sound[int(13.5 * rate) : 18 * rate], rate)
        pulse.play(tmp_path / "milk.wav")
        said = machine.until(f"{agentbox} transcripts list --json", "shopping", timeout_s=20)
        assert json.loads(said.splitlines()[0])["tool"] == "add_item"
        assert machine.out(f"stat --format=%U:%a {HOME}/.local/state/agentbox") == "owner:700"

        machine.run(f"{systemctl} stop agentbox")
        assert "Result=success" in machine.out(f"{systemctl} show agentbox --property=Result")
