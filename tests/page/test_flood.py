"""A thousand connections that come to nothing: the box hears as before, and its owner's phone is let in."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
import soundfile

from agentbox.audio.files import read_file
from agentbox.errors import ControlError
from agentbox.page.listen import MOST_BY_ADDRESS
from tests.page.conftest import Daemon, running, until
from tests.page.test_pairing import children
from tests.page.wire import connect, head, rest, status
from tests.pulse import Pulse
from tests.pulse import running as pulse_running

SAMPLE = Path(__file__).parents[2] / "agentbox" / "samples" / "commands.flac"
RATE_HZ = 16_000
CONNECTIONS = 1000
BURST = 20
PHONE = "127.0.0.2"
WAIT_S = 60.0


def speech() -> np.ndarray:
    """ "Set a pizza timer for ten minutes", and some silence."""
    sound = np.concatenate(list(read_file(SAMPLE)))[RATE_HZ * 3 : RATE_HZ * 8]
    return np.concatenate([sound, np.zeros(RATE_HZ, np.int16)]).astype(np.int16)


@pytest.fixture
def pulse(tmp_path: Path) -> Iterator[Pulse]:
    with pulse_running(tmp_path / "pulse") as found:
        yield found


def say(pulse: Pulse, file: Path, times: int) -> None:
    """Into the microphone, which waits for nobody: what is not fetched in time is lost."""
    soundfile.write(file, np.tile(speech(), times), RATE_HZ)
    pulse.play(file)


def heard(daemon: Daemon, count: int) -> list[str]:
    """The texts of the last turns, once there are as many."""
    until_s = time.monotonic() + WAIT_S
    found: list[str] = []
    while len(found) < count and time.monotonic() < until_s:
        found = [str(turn["text"]) for turn in daemon.client.call("transcripts.list", {"limit": 100})]
        time.sleep(0.2)
    return found


@contextlib.contextmanager
def flood(daemon: Daemon) -> Iterator[list[socket.socket]]:
    """Half of them silent, half in the middle of a handshake; the first ones, which get so far, with half a request."""
    held: list[socket.socket] = []
    over = threading.Event()

    def come_again() -> None:
        while not over.is_set():
            for number in range(CONNECTIONS):
                with contextlib.suppress(OSError, ssl.SSLError):
                    held.append(one(number))
                if len(held) > CONNECTIONS:
                    held.pop(0).close()
                if over.is_set():
                    break
            over.wait(1.0)

    def one(number: int) -> socket.socket:
        if number < 16:
            slow = connect(daemon, limit_s=5.0)
            slow.sendall(head(daemon, "POST /pair", "Content-Length: 99", close=False)[: None if number % 2 else 30])
            return slow
        plain = socket.create_connection(("127.0.0.1", daemon.port), 5.0)
        if number % 2:
            plain.sendall(b"\x16\x03\x01\x02\x00")
        return plain

    thread = threading.Thread(target=come_again)
    thread.start()
    try:
        yield held
    finally:
        over.set()
        thread.join()
        for connection in held:
            connection.close()


@contextlib.contextmanager
def hammer(daemon: Daemon) -> Iterator[list[socket.socket]]:
    """As many as one address may hold ask without end, with a token that is none: each asks the daemon."""
    asked = head(daemon, "GET /devices", "Cookie: __Host-agentbox=wrong", close=False) * BURST
    held: list[socket.socket] = [connect(daemon, limit_s=5.0) for _ in range(MOST_BY_ADDRESS - 2)]
    over = threading.Event()

    def ask(connection: socket.socket) -> None:
        with contextlib.suppress(OSError, ssl.SSLError):
            while not over.is_set():
                connection.sendall(asked)
                answer = b""
                while answer.count(b"HTTP/1.1 401") < BURST and (data := connection.recv(65536)):
                    answer += data

    threads = [threading.Thread(target=ask, args=(one,)) for one in held]
    for thread in threads:
        thread.start()
    try:
        yield held
    finally:
        over.set()
        for thread in threads:
            thread.join(WAIT_S)
        for connection in held:
            connection.close()


@pytest.mark.timeout(400)
@pytest.mark.parametrize(("crowd", "least"), [(flood, CONNECTIONS // 2), (hammer, MOST_BY_ADDRESS - 2)])
def test_the_box_hears_and_its_owner_gets_in_while_a_crowd_is_at_its_door(
    pulse: Pulse, tmp_path: Path, crowd: Callable[[Daemon], AbstractContextManager[list[socket.socket]]], least: int
) -> None:
    with running(tmp_path / "state", environ=pulse.environ) as daemon:
        until(lambda: daemon.client.call("status")["sound"] == "listening", daemon)
        phone = daemon.phone()
        states: list[str] = []
        threading.Thread(target=_watch, args=(daemon, states), daemon=True).start()
        say(pulse, tmp_path / "calm.wav", 1)
        [calm] = heard(daemon, 1)
        until(lambda: "ended" in states, daemon)
        states.clear()
        assert daemon.process is not None
        [page] = children(daemon.process.pid)
        open_before = len(os.listdir(f"/proc/{page}/fd"))
        with crowd(daemon) as held:
            until(lambda: len(held) >= least, daemon)
            speaking = threading.Thread(target=say, args=(pulse, tmp_path / "said.wav", 3))
            speaking.start()
            visits = []
            while speaking.is_alive():
                with connect(daemon, PHONE) as mine:
                    mine.sendall(head(daemon, "GET /", f"Cookie: {phone.cookie}"))
                    visits.append(status(rest(mine)))
                time.sleep(0.5)
            assert len(held) >= least
        assert len(visits) >= 3
        assert set(visits) == {200}
        assert heard(daemon, 4) == [calm] * 4
        assert "ended" in states
        assert not {"overflow", "lost", "dropped", "failed"} & set(states), states
        assert children(daemon.process.pid) == [page]
        until(lambda: len(os.listdir(f"/proc/{page}/fd")) <= open_before, daemon)
        assert "Traceback" not in daemon.log()


def _watch(daemon: Daemon, states: list[str]) -> None:
    """What is told of the sound and of utterances."""
    with contextlib.suppress(ControlError):  # until it ends
        for event in daemon.client.stream("events"):
            states += [event["state"]] if event["stage"] in ("capture", "utterance") else []
