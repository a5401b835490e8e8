"""Nothing leaves the box before its owner says so: counted in a network namespace of its own, in which every packet to
anywhere would be seen, a name look-up included."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.conftest import SAMPLE, Home

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("ip") is None or shutil.which("unshare") is None,
    reason="needs root, unshare and ip (Debian: util-linux, iproute2)",
)

ALONE = """
ip link set lo up && ip link add out type veth peer name far && ip addr add 10.9.9.1/24 dev out &&
ip link set out up && ip link set far up && ip route add default via 10.9.9.2 dev out &&
ip neigh add 10.9.9.2 lladdr 02:00:00:00:00:02 dev out || exit 99
sysctl -q net.ipv6.conf.all.disable_ipv6=1
cat /proc/net/dev >&2
"$@"
code=$?
echo packets >&2
cat /proc/net/dev >&2
exit $code
"""
"""Runs a program where every packet counts."""

VOICE = {"name": "voice", "kind": "cosyvoice", "url": "wss://voice.example.net/api-ws/v1/inference", "key": "first"}
CLOUD = [{"name": "first", "kind": "openai", "url": "wss://cloud.example.net/v1/realtime"}]


def packets(home: Home, *arguments: str) -> tuple[list[dict[str, Any]], int]:
    """The stage events of a command in its namespace, and how many packets it sent."""
    done = subprocess.run(
        ["unshare", "--net", "bash", "-c", ALONE, "alone", *home.command(*arguments)],
        env=home.env() | {"AGENTBOX_SECRET_FIRST": "sk-none"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode in (0, 1), done.stderr  # 1: what was asked for could not be done
    before, _, after = done.stderr.partition("packets\n")
    events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return events, sent(after) - sent(before)


def sent(table: str) -> int:
    """Packets sent over the loopback and over the way out, by /proc/net/dev."""
    rows = [line.split() for line in table.splitlines() if line.strip().startswith(("lo:", "out:"))]
    assert len(rows) == 2, table
    return sum(int(row[10]) for row in rows)


def hear(home: Home, source: Path) -> tuple[list[dict[str, Any]], int]:
    return packets(home, "run", "--json", "--source", str(source), "--fast", "--exit-when-done")


def test_with_local_only_no_packet_is_sent_and_no_name_looked_up(
    tmp_path: Path, models_dir: Path, spoken_timer: Path
) -> None:
    home = Home(tmp_path, models_dir)
    cloud = {"policy": "local_only", "backends": [*CLOUD, VOICE]}
    home.configure({"activation": {"mode": "always"}, "cloud": cloud})
    events, count = hear(home, spoken_timer)
    assert any(event["stage"] == "tool_result" for event in events)
    assert count == 0


def test_before_the_gate_opens_and_for_what_the_box_knows_no_packet_is_sent(tmp_path: Path, models_dir: Path) -> None:
    home = Home(tmp_path, models_dir)
    home.configure({"cloud": {"policy": "local_first", "backends": CLOUD}})
    events, count = hear(home, SAMPLE)
    assert any(event["stage"] == "utterance" for event in events)
    assert not [event for event in events if event["stage"] == "intent" and event["state"] == "none"]
    assert count == 0


def test_what_the_box_does_not_know_is_seen_to_leave(tmp_path: Path, models_dir: Path) -> None:
    """The counting counts: here the box tries to reach the cloud."""
    home = Home(tmp_path, models_dir)
    home.configure({"cloud": {"policy": "local_first", "backends": CLOUD}})
    _, count = packets(home, "ask", "why is the sky blue")
    assert count > 0
