"""The pure parts of the virtual machine's benchmarks: the disk whose power is cut, and what the guest says."""

from __future__ import annotations

import random
import socket
import struct
from pathlib import Path

import pytest

from benchmarks.vm import __main__ as command
from benchmarks.vm.alsa import moments, report
from benchmarks.vm.nbd import SECTOR, Disk, Server
from benchmarks.vm.power import Tally


def _sector(letter: str) -> bytes:
    return letter.encode() * SECTOR


def test_what_was_flushed_survives_every_cut() -> None:
    for seed in range(50):
        disk = Disk(bytes(8 * SECTOR))
        disk.write(SECTOR, _sector("a") + _sector("b"))
        disk.flush()
        assert disk.cut(random.Random(seed)) == 0
        assert disk.read(0, 4 * SECTOR) == bytes(SECTOR) + _sector("a") + _sector("b") + bytes(SECTOR)


def test_what_was_not_flushed_may_be_lost_sector_by_sector_but_is_read_until_then() -> None:
    left = set()
    for seed in range(200):
        disk = Disk(_sector("0") * 2)
        disk.write(0, _sector("a") * 2)
        disk.write(0, _sector("b"))
        assert disk.read(0, 2 * SECTOR) == _sector("b") + _sector("a")
        assert disk.unflushed == 2
        disk.cut(random.Random(seed))
        left.add(disk.read(0, 2 * SECTOR)[::SECTOR].decode())
    assert left == {"00", "0a", "a0", "aa", "b0", "ba"}


def test_a_write_through_is_durable_at_once_and_outlives_older_ones() -> None:
    for seed in range(20):
        disk = Disk(bytes(2 * SECTOR))
        disk.write(0, _sector("a"))
        disk.write(0, _sector("b"), through=True)
        disk.cut(random.Random(seed))
        assert disk.read(0, SECTOR) == _sector("b")


def _ask(client: socket.socket, kind: int, offset: int = 0, content: bytes = b"", length: int = 0) -> bytes:
    client.sendall(struct.pack(">IHHQQI", 0x25609513, 0, kind, 7, offset, len(content) or length) + content)
    magic, error, handle = struct.unpack(">IIQ", client.recv(16, socket.MSG_WAITALL))
    assert (magic, error, handle) == (0x67446698, 0, 7)
    return client.recv(length, socket.MSG_WAITALL) if length else b""


def test_the_server_speaks_the_protocol_and_falls_silent_when_cut(tmp_path: Path) -> None:
    server = Server(Disk(bytes(8 * SECTOR)), tmp_path / "nbd")
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(tmp_path / "nbd"))
        assert client.recv(18, socket.MSG_WAITALL)[:16] == b"NBDMAGICIHAVEOPT"
        client.sendall(struct.pack(">I", 3) + struct.pack(">8sII", b"IHAVEOPT", 8, 0))
        assert struct.unpack(">QIII", client.recv(20, socket.MSG_WAITALL))[1:3] == (8, 0x80000001), "no such option"
        client.sendall(struct.pack(">8sII", b"IHAVEOPT", 1, 0))
        assert struct.unpack(">QH", client.recv(10, socket.MSG_WAITALL)) == (8 * SECTOR, 13)
        _ask(client, 1, SECTOR, _sector("a"))
        _ask(client, 3)
        _ask(client, 1, 2 * SECTOR, _sector("b"))
        assert _ask(client, 0, SECTOR, length=2 * SECTOR) == _sector("a") + _sector("b")
        unflushed, lost = server.cut(random.Random(1))
        assert unflushed == 1
        assert lost <= 1
        client.sendall(struct.pack(">IHHQQI", 0x25609513, 0, 3, 7, 0, 0))
        assert client.recv(1) == b"", "it answers nothing any more"
    server.close()


def test_the_moments_of_the_guest() -> None:
    lines = [
        "rig 10.5 starting",
        "noise",
        "rig 12.0 ready",
        "rig 13.0 ready",
        "rig 20.0 status listening",
        "rig 21 bound",
        "[   8.58] vm agentbox[220]: INFO agentbox: The microphone works.  [microphone_back]",
        "[  23.60] vm agentbox[220]: INFO agentbox: The microphone works.  [microphone_back]",
    ]
    at = moments(lines)
    told = {"starting": 10.5, "ready": 12.0, "status listening": 20.0, "bound": 21.0, "microphone_back": 23.6}
    assert at == told
    lines = report(at).splitlines()
    assert lines[0].endswith(" 1.5 s")
    assert [line.endswith("never") for line in lines] == [False, True, True, True, False, True]


def test_a_boot_that_failed_is_no_success() -> None:
    assert Tally().good
    assert not Tally(failed=1).good
    assert not Tally(lost=1).good


def test_arguments() -> None:
    assert command.arguments(["power", "--how", "cut", "--n", "7"]).n == 7
    with pytest.raises(SystemExit):
        command.arguments(["power", "--how", "hammer"])
