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

from agentbox.audio.files import read_file
from agentbox.errors import ControlError
from agentbox.page.listen import MOST_BY_ADDRESS
from tests.page.conftest import Daemon, running
from tests.page.test_pairing import children
from tests.page.wire import connect, head, rest, status

SAMPLE = Path(__file__).parents[2] / "agentbox" / "samples" / "commands.flac"
RATE_HZ = 16_000
BLOCK = RATE_HZ // 10
CONNECTIONS = 1000
BURST = 20
PHONE = "127.0.0.2"
WAIT_S = 60.0


def speech() -> np.ndarray:
    """ "Set a pizza timer for ten minutes", and some silence."""
    sound = np.concatenate(list(read_file(SAMPLE)))[RATE_HZ * 3 : RATE_HZ * 8]
    return np.concatenate([sound, np.zeros(RATE_HZ, np.int16)]).astype(np.int16)


def say(daemon: Daemon, times: int) -> None:
    """As a microphone gives it: a block when its time has come."""
    assert daemon.process is not None
    assert daemon.process.stdin is not None
    sound, began_s = np.tile(speech(), times), time.monotonic()
    for start in range(0, len(sound), BLOCK):
        time.sleep(max(0.0, began_s + start / RATE_HZ - time.monotonic()))
        os.write(daemon.process.stdin.fileno(), sound[start : start + BLOCK].tobytes())


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
            fresh: list[socket.socket] = []
            for number in range(CONNECTIONS):
                with contextlib.suppress(OSError, ssl.SSLError):
                    fresh.append(one(number))
                if over.is_set():
                    break
            held.extend(fresh)
            over.wait(1.0)
            while len(held) > CONNECTIONS:
                held.pop(0).close()

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


@pytest.mark.parametrize(("crowd", "least"), [(flood, CONNECTIONS // 2), (hammer, MOST_BY_ADDRESS - 2)])
def test_the_box_hears_and_its_owner_gets_in_while_a_crowd_is_at_its_door(
    tmp_path: Path, crowd: Callable[[Daemon], AbstractContextManager[list[socket.socket]]], least: int
) -> None:
    with running(tmp_path) as daemon:
        phone = daemon.phone()
        say(daemon, 1)
        [calm] = heard(daemon, 1)
        assert daemon.process is not None
        [page] = children(daemon.process.pid)
        open_before = len(os.listdir(f"/proc/{page}/fd"))
        states: list[str] = []
        threading.Thread(target=_watch, args=(daemon, states), daemon=True).start()
        with crowd(daemon) as held:
            speaking = threading.Thread(target=say, args=(daemon, 3))
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
        assert not {"overflow", "lost", "dropped", "failed"} & set(states)
        assert children(daemon.process.pid) == [page]
        until_s = time.monotonic() + WAIT_S
        while len(os.listdir(f"/proc/{page}/fd")) > open_before and time.monotonic() < until_s:
            time.sleep(0.2)
        assert len(os.listdir(f"/proc/{page}/fd")) <= open_before
        assert "Traceback" not in daemon.log()


def _watch(daemon: Daemon, states: list[str]) -> None:
    """What is told of the sound and of utterances."""
    with contextlib.suppress(ControlError):  # until it ends
        for event in daemon.client.stream("events"):
            states += [event["state"]] if event["stage"] in ("capture", "utterance") else []
