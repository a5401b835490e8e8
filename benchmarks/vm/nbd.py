"""A disk in memory that forgets at a power cut what it was not told to flush, served over NBD to one client.

A real disk keeps a flushed sector and may lose, in any order, each sector that was written since the last flush; a
sector (512 bytes) is never torn. QEMU's own disks cannot be cut like that: what the guest wrote is in the host's
memory, which outlives QEMU. Protocol: https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md
"""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading
from pathlib import Path

SECTOR = 512

_MAGIC, _OPTION, _OPTION_REPLY = b"NBDMAGIC", b"IHAVEOPT", 0x3E889045565A9
_FIXED_NEWSTYLE, _NO_ZEROES = 1, 2
_OPT_EXPORT_NAME, _OPT_ABORT, _OPT_GO = 1, 2, 7
_REP_ACK, _REP_INFO, _REP_ERR_UNSUP = 1, 3, 0x80000001
_HAS_FLAGS, _SEND_FLUSH, _SEND_FUA = 1, 4, 8
_READ, _WRITE, _DISCONNECT, _FLUSH = 0, 1, 2, 3
_REQUEST, _REPLY, _FUA, _EINVAL = 0x25609513, 0x67446698, 1, 22


class Disk:
    """What is durable, and what was written since it last was. Pure."""

    def __init__(self, content: bytes) -> None:
        self._durable = bytearray(content)
        self._written: dict[int, list[bytes]] = {}
        """Sector number -> its contents since the last flush, oldest first."""
        self.flushes = 0

    def __len__(self) -> int:
        return len(self._durable)

    @property
    def unflushed(self) -> int:
        """Sectors that a power cut could lose now."""
        return len(self._written)

    def read(self, offset: int, length: int) -> bytes:
        found = bytearray(self._durable[offset : offset + length])
        for sector in range(offset // SECTOR, (offset + length) // SECTOR):
            if sector in self._written:
                at = sector * SECTOR - offset
                found[at : at + SECTOR] = self._written[sector][-1]
        return bytes(found)

    def write(self, offset: int, content: bytes, *, through: bool = False) -> None:
        """`offset` and the length are whole sectors. `through`: durable at once (FUA)."""
        for at in range(0, len(content), SECTOR):
            sector, part = (offset + at) // SECTOR, content[at : at + SECTOR]
            if through:
                self._written.pop(sector, None)
                self._durable[sector * SECTOR : (sector + 1) * SECTOR] = part
            else:
                self._written.setdefault(sector, []).append(part)

    def flush(self) -> None:
        self.flushes += 1
        for sector, contents in self._written.items():
            self._durable[sector * SECTOR : (sector + 1) * SECTOR] = contents[-1]
        self._written = {}

    def cut(self, draw: random.Random) -> int:
        """A power cut: of each sector written since the last flush, one of its contents or the durable one is left.
        How many sectors lost something. How likely a sector is to be lost is drawn for each cut: none, all, or some."""
        likely = draw.choice((0.0, 1.0, draw.random(), draw.random()))
        lost = 0
        for sector, contents in self._written.items():
            left = contents[-1]
            if draw.random() < likely:
                lost += 1
                durable = bytes(self._durable[sector * SECTOR : (sector + 1) * SECTOR])
                left = draw.choice([durable, *contents[:-1]])
            self._durable[sector * SECTOR : (sector + 1) * SECTOR] = left
        self._written = {}
        return lost


class Server:
    """Serves `disk` at the Unix socket `path`, to one client after another."""

    def __init__(self, disk: Disk, path: Path) -> None:
        self._disk = disk
        self._lock = threading.Lock()
        self._off = False
        path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen(1)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def cut(self, draw: random.Random) -> tuple[int, int]:
        """Cut the power: nothing is answered any more. Sectors that were not flushed, and how many of them are lost."""
        with self._lock:
            self._off = True
            unflushed = self._disk.unflushed
            return unflushed, self._disk.cut(draw)

    def power_on(self) -> None:
        with self._lock:
            self._off = False

    def close(self) -> None:
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            # A client that was killed, or whose power is off, is gone.
            with client, contextlib.suppress(ConnectionError, EOFError, BrokenPipeError):
                self._greet(client)
                while self._answer(client):
                    pass

    def _greet(self, client: socket.socket) -> None:
        client.sendall(_MAGIC + _OPTION + struct.pack(">H", _FIXED_NEWSTYLE | _NO_ZEROES))
        _receive(client, 4)
        export = struct.pack(">QH", len(self._disk), _HAS_FLAGS | _SEND_FLUSH | _SEND_FUA)
        while True:
            option, length = struct.unpack(">8xII", _receive(client, 16))
            _receive(client, length)
            if option == _OPT_EXPORT_NAME:
                client.sendall(export)
                return
            if option == _OPT_GO:
                client.sendall(_option_reply(option, _REP_INFO, struct.pack(">H", 0) + export))
                client.sendall(_option_reply(option, _REP_ACK))
                return
            if option == _OPT_ABORT:
                client.sendall(_option_reply(option, _REP_ACK))
                raise EOFError
            client.sendall(_option_reply(option, _REP_ERR_UNSUP))

    def _answer(self, client: socket.socket) -> bool:
        """Take one request; False when it was the last one."""
        _, flags, kind, handle, offset, length = struct.unpack(">IHHQQI", _receive(client, 28))
        content = _receive(client, length) if kind == _WRITE else b""
        error, found = 0, b""
        with self._lock:
            if self._off or kind == _DISCONNECT:
                return False
            if kind == _READ:
                found = self._disk.read(offset, length)
            elif kind == _WRITE:
                self._disk.write(offset, content, through=bool(flags & _FUA))
            elif kind == _FLUSH:
                self._disk.flush()
            else:
                error = _EINVAL
        client.sendall(struct.pack(">IIQ", _REPLY, error, handle) + found)
        return True


def _option_reply(option: int, kind: int, content: bytes = b"") -> bytes:
    return struct.pack(">QIII", _OPTION_REPLY, option, kind, len(content)) + content


def _receive(client: socket.socket, length: int) -> bytes:
    got = bytearray()
    while len(got) < length:
        part = client.recv(length - len(got))
        if not part:
            raise EOFError
        got += part
    return bytes(got)
