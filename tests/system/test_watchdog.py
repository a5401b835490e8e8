"""Each part that the watchdog watches is broken in the running service: systemd ends it, and it hears again."""

from __future__ import annotations

from pathlib import Path

import soundfile

from tests.pulse import Pulse
from tests.system.conftest import HEARS_ALL, Boot

SAMPLE = Path(__file__).parents[2] / "agentbox" / "samples" / "commands.flac"
STATE = "var/lib/private/agentbox"

SETTINGS = """[Service]
Environment=PULSE_SERVER=unix:/mnt/pulse XDG_RUNTIME_DIR=/tmp HOME=/tmp PYTHONPATH=/mnt/breaker
WatchdogSec=8
RestartSec=0
"""

BREAKER = """
import collections, gc, os, sys, threading, time

def wait():
    state = os.environ["STATE_DIRECTORY"]
    while True:
        for part in PARTS:
            if os.path.exists(f"{state}/break-{part}"):
                os.unlink(f"{state}/break-{part}")
                PARTS[part]()
        time.sleep(0.1)

def loop():
    import asyncio
    running = [one for one in gc.get_objects() if isinstance(one, asyncio.BaseEventLoop) and one.is_running()]
    running[0].call_soon_threadsafe(time.sleep, 600)

def inference():
    from agentbox.asr.listener import Listener
    Listener.hear = lambda *_, **__: time.sleep(600)

def capture():
    from agentbox.audio.capture import Microphone
    Microphone._check_alive = lambda self: None
    for one in gc.get_objects():
        if isinstance(one, Microphone):
            one._queue = collections.deque(maxlen=0)

PARTS = {"loop": loop, "inference": inference, "capture": capture}
if "run" in sys.argv or "run" in sys.orig_argv:
    threading.Thread(target=wait, daemon=True).start()
"""


def test_a_hanging_part_is_noticed_and_the_service_started_anew(start: Boot, pulse: Pulse, tmp_path: Path) -> None:
    breaker = tmp_path / "breaker"
    breaker.mkdir()
    (breaker / "sitecustomize.py").write_text(BREAKER)
    sound, rate = soundfile.read(SAMPLE, dtype="int16")
    soundfile.write(tmp_path / "milk.wav", sound[int(13.5 * rate) : 18 * rate], rate)
    files = {
        "/etc/systemd/system/agentbox.service.d/50-test.conf": SETTINGS,
        "/etc/agentbox/config.yaml": HEARS_ALL,
    }
    with start({"pulse": pulse.folder / "native", "breaker": breaker}, files) as machine:
        for number, part in enumerate(("loop", "inference", "capture"), start=1):
            machine.until("agentbox status", "listening")
            machine.until("systemctl show agentbox --property=StatusText", "StatusText=listening")
            (machine.tree / STATE / f"break-{part}").touch()
            machine.until(f"ls /{STATE}/break-{part} 2>&1", "No such file")
            if part == "inference":
                pulse.play(tmp_path / "milk.wav")
            # At least so often: a machine that has other things to do may starve it once more.
            ended = f"[ $(journalctl -u agentbox -o cat | grep -c 'Watchdog timeout') -ge {number} ]"
            machine.until(f"{ended} && systemctl is-active agentbox", "active", timeout_s=90)
        machine.until("agentbox status", "listening")
        pulse.play(tmp_path / "milk.wav")
        machine.until("agentbox transcripts list --json", "shopping")
        log = machine.journal("agentbox")
        assert log.count("Watchdog timeout") == int(machine.show("agentbox", "NRestarts")["NRestarts"])
        assert "the inference thread hangs" in log
        assert "nobody looks for the microphone" in log
