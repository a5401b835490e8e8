"""Who may live at a socket, and who may speak to it: locks, dead daemons, modes and users."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentbox.control.client import Client
from agentbox.control.server import ControlServer
from agentbox.errors import ControlError, StorageError
from tests.control.conftest import Methods

DAEMON = """
import asyncio, sys
from pathlib import Path
from agentbox.control.server import ControlServer

async def main():
    async with ControlServer(Path(sys.argv[1]), {}):
        print("ready", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture
def daemon(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that serves the socket."""
    with subprocess.Popen([sys.executable, "-c", DAEMON, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


class TestOneDaemon:
    async def test_a_second_one_is_refused_and_the_first_lives_on(self, path: Path, methods: Methods) -> None:
        async with ControlServer(path, methods.table()):
            with pytest.raises(ControlError) as caught:
                await ControlServer(path, {}).__aenter__()
            assert caught.value.code == "already_running"
            assert await asyncio.to_thread(Client(path).call, "echo") == {}

    async def test_a_second_process_is_refused(self, path: Path, daemon: subprocess.Popen[str]) -> None:
        with pytest.raises(ControlError, match="already_running"):
            await ControlServer(path, {}).__aenter__()
        assert Client(path).is_running()

    async def test_the_socket_of_a_killed_daemon_is_taken_over(
        self, path: Path, daemon: subprocess.Popen[str], methods: Methods
    ) -> None:
        daemon.send_signal(signal.SIGKILL)
        daemon.wait()
        assert path.is_socket()
        assert not Client(path).is_running()
        async with ControlServer(path, methods.table()):
            assert await asyncio.to_thread(Client(path).call, "echo", {"a": 1}) == {"a": 1}

    async def test_of_many_that_start_at_once_one_lives(self, path: Path) -> None:
        refused: list[str] = []

        async def start(server: ControlServer) -> ControlServer | None:
            try:
                return await server.__aenter__()
            except ControlError as error:
                refused.append(error.code)
                return None

        started = await asyncio.gather(*(start(ControlServer(path, {})) for _ in range(20)))
        living = [server for server in started if server is not None]
        assert len(living) == 1
        assert refused == ["already_running"] * 19
        assert Client(path).is_running()
        await living[0].__aexit__()

    async def test_it_starts_and_ends_many_times(self, path: Path) -> None:
        before = set(os.listdir("/proc/self/fd"))
        for _ in range(10):
            async with ControlServer(path, {}):
                assert Client(path).is_running()
            assert not path.exists()
        assert len(os.listdir("/proc/self/fd")) == len(before)

    async def test_a_failed_start_holds_nothing(self, path: Path) -> None:
        path.mkdir(parents=True)
        with pytest.raises(ControlError, match="socket_failed"):
            await ControlServer(path, {}).__aenter__()
        path.rmdir()
        async with ControlServer(path, {}):
            assert Client(path).is_running()


class TestFiles:
    async def test_a_file_that_is_no_socket_is_kept(self, path: Path) -> None:
        path.parent.mkdir()
        path.write_text("my notes")
        with pytest.raises(ControlError, match="socket_failed"):
            await ControlServer(path, {}).__aenter__()
        assert path.read_text() == "my notes"

    async def test_a_link_in_the_lock_s_place_is_not_followed(self, path: Path) -> None:
        path.parent.mkdir()
        notes = path.with_name("notes")
        notes.write_text("my notes")
        Path(f"{path}.lock").symlink_to(notes)
        with pytest.raises(ControlError, match="socket_failed"):
            await ControlServer(path, {}).__aenter__()
        assert notes.read_text() == "my notes"

    @pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
    async def test_modes_whatever_the_umask(self, path: Path, umask: int) -> None:
        before = os.umask(umask)
        try:
            async with ControlServer(path, {}):
                modes = [stat.S_IMODE(at.stat().st_mode) for at in (path.parent, path, Path(f"{path}.lock"))]
            assert os.umask(umask) == umask
        finally:
            os.umask(before)
        assert modes == [0o700, 0o660, 0o600]

    async def test_a_path_too_long_for_a_socket(self, path: Path) -> None:
        with pytest.raises(ControlError) as caught:
            await ControlServer(path.with_name("x" * 120), {}).__aenter__()
        assert caught.value.code == "socket_failed"
        assert "too long" in caught.value.what

    async def test_a_folder_that_cannot_be_made(self, path: Path) -> None:
        path.parent.write_text("a file")
        with pytest.raises(StorageError, match="state_not_writable"):
            await ControlServer(path, {}).__aenter__()


class TestClientAlone:
    def test_no_daemon(self, path: Path) -> None:
        assert not Client(path).is_running()
        for ask in (lambda: Client(path).call("echo"), lambda: list(Client(path).stream("count"))):
            with pytest.raises(ControlError) as caught:
                ask()
            assert caught.value.code == "not_running"

    @pytest.mark.parametrize(
        ("answer", "code"),
        [
            (b"", "daemon_gone"),
            (b'{"id":1,"result"', "daemon_gone"),
            (b"HTTP/1.1 400 Bad Request\r\n", "bad_answer"),
            (b'{"id":1}\n', "bad_answer"),
            (b'{"id":0,"error":{"code":"too_busy","what":"Full.","exit_code":7}}\n', "too_busy"),
        ],
    )
    @pytest.mark.parametrize("reads", [True, False])
    def test_what_a_strange_daemon_does(self, path: Path, answer: bytes, code: str, reads: bool) -> None:
        with strange_daemon(path, answer, reads=reads), pytest.raises(ControlError) as caught:
            Client(path).call("echo", timeout_s=20)
        assert caught.value.code == code

    def test_a_daemon_that_does_not_answer(self, path: Path) -> None:
        with socket_at(path), pytest.raises(ControlError) as caught:
            Client(path).call("echo", timeout_s=0.05)
        assert caught.value.code == "daemon_slow"


@contextlib.contextmanager
def socket_at(path: Path) -> Iterator[socket.socket]:
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        yield listener


@contextlib.contextmanager
def strange_daemon(path: Path, answer: bytes, *, reads: bool) -> Iterator[None]:
    """Takes one client, reads its request or not, sends `answer`, and hangs up."""

    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            if reads:
                connection.makefile("rb").readline()
            connection.sendall(answer)

    with socket_at(path) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        yield
        thread.join()


ASK = """
import os, sys
from pathlib import Path
from agentbox.control.client import Client
from agentbox.errors import AgentboxError

# Only now: this user may not be able to read the interpreter's own folders.
client, uid, gid = Client(Path(sys.argv[1])), int(sys.argv[2]), int(sys.argv[3])
os.setgroups([])
os.setgid(gid)
os.setuid(uid)
try:
    print(client.is_running(), client.call("echo", {"uid": os.getuid()}))
except AgentboxError as error:
    print(client.is_running(), error.code)
"""


@root_only
class TestUsers:
    """`STRANGER` has no account, so that nothing but the numbers can let them in."""

    STRANGER = 4_000_000_001
    GROUP = 4_000_000_002

    async def ask_as(self, path: Path, uid: int, gid: int) -> str:
        command = [sys.executable, "-c", ASK, str(path), str(uid), str(gid)]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=30, check=True)
        return done.stdout.strip()

    @pytest.fixture(autouse=True)
    def reachable(self, path: Path) -> None:
        """Folders that everybody may enter: only the socket is in the way."""
        path.parent.mkdir()
        for folder in (path.parent, path.parent.parent):
            folder.chmod(0o755)

    async def test_a_stranger_cannot_connect(self, path: Path, server: ControlServer) -> None:
        assert await self.ask_as(path, self.STRANGER, self.STRANGER) == "True not_allowed"

    async def test_a_stranger_is_refused_though_the_socket_is_open(self, path: Path, server: ControlServer) -> None:
        path.chmod(0o666)
        assert await self.ask_as(path, self.STRANGER, self.STRANGER) == "True not_allowed"

    async def test_the_group_of_root_opens_nothing(self, path: Path, server: ControlServer) -> None:
        assert await self.ask_as(path, self.STRANGER, 0) == "True not_allowed"

    async def test_the_socket_s_group_is_let_in(self, path: Path, server: ControlServer) -> None:
        os.chown(path, -1, self.GROUP)
        assert await self.ask_as(path, self.STRANGER, self.GROUP) == f"True {{'uid': {self.STRANGER}}}"
        assert await self.ask_as(path, self.STRANGER, self.STRANGER) == "True not_allowed"

    async def test_a_stranger_cannot_hold_the_lock(self, path: Path, server: ControlServer) -> None:
        script = "import os, sys; os.setuid(int(sys.argv[2])); os.open(sys.argv[1], os.O_RDONLY)"
        command = [sys.executable, "-c", script, f"{path}.lock", str(self.STRANGER)]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=30)
        assert "PermissionError" in done.stderr
