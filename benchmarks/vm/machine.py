"""A guest under QEMU's emulation (TCG: no help of the processor, 10 to 50 times slower), and its second serial line."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.vm.build import version


class Guest:
    """Boots at once. `words`: for the kernel's command line. `disks`: further ones, as values of -drive.

    `saved`: goes on from where a guest of the same making was saved, and does not boot. Its console goes to `log`,
    beside which lies the project's disk; what it says on its second serial line is read with `line`.
    """

    def __init__(
        self, folder: Path, log: Path, words: Sequence[str], disks: Sequence[str] = (), saved: Path | None = None
    ) -> None:
        drives = [
            # Written to a temporary file: the next guest finds the disk as it was made.
            f"file={folder}/root.ext4,format=raw,snapshot=on",
            f"file={log.parent}/project.ext4,format=raw,readonly=on",
            *disks,
        ]
        command = ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "1024"]
        command += ["-display", "none", "-monitor", f"unix:{log}.monitor,server,nowait", "-no-reboot", "-nic", "none"]
        command += ["-kernel", f"{folder}/kernel/boot/vmlinuz-{version(folder)}", "-initrd", f"{folder}/initrd.gz"]
        for drive in drives:
            command += ["-drive", f"if=virtio,{drive}"]
        command += ["-serial", f"file:{log}", "-serial", "stdio"]
        command += ["-append", " ".join(["console=ttyS0 panic=-1 quiet mitigations=off", *words])]
        if saved is not None:
            command += ["-incoming", f"exec:cat {saved}"]
        self._monitor = f"{log}.monitor"
        # TMPDIR: where snapshot=on keeps its file; /tmp may be small.
        environment = {**os.environ, "TMPDIR": str(log.parent)}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, bufsize=0
        )
        self._heard = b""
        self.ended = False

    def line(self, timeout_s: float) -> str | None:
        """The next line, without its end; null after `timeout_s`, or when the guest has ended (`ended`)."""
        until_s = time.monotonic() + timeout_s
        assert self._process.stdout is not None
        while b"\n" not in self._heard:
            left_s = until_s - time.monotonic()
            if left_s <= 0 or not select.select([self._process.stdout], [], [], left_s)[0]:
                return None
            part = os.read(self._process.stdout.fileno(), 65536)
            if not part:
                self.ended = True
                return None
            self._heard += part
        line, self._heard = self._heard.split(b"\n", 1)
        return line.decode(errors="replace").strip("\r")

    def say(self, line: str) -> None:
        """Write a line to its second serial line."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())

    def save(self, target: Path) -> None:
        """Write all of its memory and devices to a file, and end it."""
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.connect(self._monitor)
            monitor.settimeout(300.0)
            heard = b""
            for command in (f'migrate "exec:cat > {target}"', "quit"):
                while not heard.endswith(b"(qemu) "):
                    heard += monitor.recv(65536)
                heard = b""
                monitor.sendall(command.encode() + b"\n")
            self._process.wait(60.0)

    def kill(self) -> list[str]:
        """kill -9; the whole lines that had come before it."""
        self._process.kill()
        self._process.wait()
        lines = []
        while (line := self.line(1.0)) is not None:
            lines.append(line)
        return lines

    def wait(self, timeout_s: float) -> None:
        """Until it has switched itself off. Raises `subprocess.TimeoutExpired`."""
        self._process.wait(timeout_s)
