"""Muted by the owner: nothing is captured, by any source, until they say so; a restart changes nothing."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from agentbox.control.client import Client
from agentbox.daemon.events import Events
from agentbox.daemon.mute import Mute
from agentbox.errors import InputError
from agentbox.messages import StageEvent
from tests.daemon.conftest import SAMPLE, Home, Running
from tests.pulse import Pulse
from tests.pulse import running as pulse_running

ALWAYS = {"activation": {"mode": "always"}}


class Kept:
    """A mute with a source that obeys at once, and what was told."""

    def __init__(self, file: Path, now: float = 1_800_000_000.0) -> None:
        self.now = now
        self.seen: list[tuple[str, str]] = []
        events = Events()
        events.subscribe(self._note)
        self.mute = Mute(events, file, clock=lambda: self.now)
        self.obeyed: list[bool] = []
        self.mute.obeyed_by(self._obey)

    def _note(self, event: StageEvent) -> None:
        self.seen.append((event.stage, event.state))

    def _obey(self, muted: bool) -> None:
        self.obeyed.append(muted)
        if muted:
            self.mute.silent()


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path / "muted.json")


async def test_it_is_told_once_and_forgotten_when_it_is_over(kept: Kept, tmp_path: Path) -> None:
    assert await kept.mute.mute()
    assert await kept.mute.mute()
    assert kept.mute.state == "muted by the owner"
    assert (tmp_path / "muted.json").exists()
    kept.mute.unmute()
    kept.mute.unmute()
    assert kept.seen == [("capture", "muted"), ("capture", "unmuted")]
    assert kept.obeyed == [True, False]
    assert not (tmp_path / "muted.json").exists()


async def test_a_pause_ends_by_itself(kept: Kept) -> None:
    await kept.mute.mute(10)
    assert "until" in kept.mute.state
    await kept.mute.mute(0.001)
    await asyncio.wait_for(kept.mute.over(), 10)
    assert not kept.mute.muted
    assert kept.seen[-1] == ("capture", "unmuted")


async def test_a_pause_that_is_made_endless_does_not_end(kept: Kept) -> None:
    await kept.mute.mute(0.001)
    await kept.mute.mute()
    await asyncio.sleep(0.2)
    assert kept.mute.muted
    assert kept.mute.until is None


@pytest.mark.parametrize("minutes", [0, -1, float("nan"), float("inf"), 1e9])
async def test_no_such_pause(kept: Kept, minutes: float) -> None:
    with pytest.raises(InputError):
        await kept.mute.mute(minutes)
    assert not kept.mute.muted


@pytest.mark.parametrize(
    ("minutes", "later_s", "muted"), [(None, 1e6, True), (10, 60, True), (10, 601, False), (10, -1e6, True)]
)
async def test_a_restart(kept: Kept, tmp_path: Path, minutes: float | None, later_s: float, muted: bool) -> None:
    await kept.mute.mute(minutes)
    again = Kept(tmp_path / "muted.json", kept.now + later_s)
    again.mute.recall()
    assert again.mute.muted is muted
    assert again.obeyed == ([True] if muted else [])
    again.mute.unmute()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"until": "x", "minutes": 1}', '{"until": 5}', "null"])
async def test_a_file_that_says_nothing_mutes(tmp_path: Path, text: str) -> None:
    (tmp_path / "muted.json").write_text(text)
    kept = Kept(tmp_path / "muted.json")
    kept.mute.recall()
    assert kept.mute.muted
    assert kept.mute.until is None


async def test_a_full_disk_mutes_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    kept = Kept(tmp_path / "file" / "muted.json")
    assert await kept.mute.mute()
    assert ("notice", "mute_not_kept") in kept.seen


async def test_who_waits_for_the_end_is_not_woken_by_a_moment_between(kept: Kept) -> None:
    await kept.mute.mute()
    waiting = asyncio.create_task(kept.mute.over())
    await asyncio.sleep(0)
    kept.mute.unmute()
    await kept.mute.mute()  # begins before `waiting` gets to run
    await asyncio.sleep(0.01)
    assert not waiting.done()
    kept.mute.unmute()
    await asyncio.wait_for(waiting, 5)


def captured_by(pulse: Pulse) -> int:
    """How many programs record from the microphone."""
    sources = [line.split("\t") for line in pulse.pactl("list", "short", "sources").splitlines()]
    [microphone] = [number for number, name, *_ in sources if name == "vmic"]
    outputs = [line.split("\t") for line in pulse.pactl("list", "short", "source-outputs").splitlines()]
    return sum(source == microphone for _, source, *_ in outputs)


@pytest.mark.real_time
def test_the_microphone_is_closed_and_opened_again(
    home: Home, start: Callable[..., Running], tmp_path: Path, spoken_timer: Path
) -> None:
    home.configure(ALWAYS)
    with pulse_running(tmp_path / "pulse") as pulse:
        home.environ = pulse.environ
        daemon = start()
        daemon.until("capture", "listening")
        assert captured_by(pulse) == 1
        [muted] = home.json("mute")
        assert muted == {"muted": True, "muted_until": None, "closed": True}
        assert captured_by(pulse) == 0
        daemon.until("capture", "muted")
        [state] = home.json("status")
        assert (state["sound"], state["microphone"], state["level_dbfs"]) == ("muted by the owner", None, None)
        assert state["muted"]
        assert state["healthy"]
        pulse.play(spoken_timer)
        assert home.run("listen").returncode == 7
        assert home.turns() == []
        [unmuted] = home.json("unmute")
        assert not unmuted["muted"]
        daemon.until("capture", "listening")
        pulse.play(spoken_timer)
        assert daemon.until("reply")["message"]["text"] == "Pizza timer set for 10 minutes."
        assert daemon.stop() == 0


@pytest.mark.real_time
def test_muted_amidst_a_sentence_it_forgets_it(
    home: Home, start: Callable[..., Running], tmp_path: Path, spoken_timer: Path
) -> None:
    home.configure(ALWAYS)
    with pulse_running(tmp_path / "pulse") as pulse:
        home.environ = pulse.environ
        daemon = start()
        daemon.until("capture", "listening")
        with pulse.playing(spoken_timer):
            daemon.until("speech", "started")
            # At once: a command takes longer than the sentence.
            Client(home.state / "control.sock").call("mute")
        daemon.until("utterance", "dropped")
        assert home.turns() == []
        assert daemon.stop() == 0


def test_muted_over_a_kill_while_timers_ring(home: Home, start: Callable[..., Running], tmp_path: Path) -> None:
    home.configure(ALWAYS)
    with pulse_running(tmp_path / "pulse") as pulse:
        home.environ = pulse.environ
        daemon = start()
        daemon.until("capture", "listening")
        client = Client(home.state / "control.sock")
        assert client.call("mute")["closed"]  # before there is a timer, which else might be the first
        assert client.call("ask", {"text": "set a timer for two seconds"})["ok"]
        assert daemon.until("reply", "alert")["message"]["outcome"] == "alert"
        assert client.call("ask", {"text": "stop"})["ok"]
        [checked] = [one for one in home.json("doctor") if one["check"] == "microphone"]
        assert (checked["state"], checked["what"]) == ("ok", "muted by the owner")
        daemon.process.send_signal(signal.SIGKILL)
        daemon.process.wait()
        daemon = start()
        daemon.until("capture", "muted")
        assert captured_by(pulse) == 0
        [state] = home.json("status")
        assert state["muted"]
        home.json("unmute")
        daemon.until("capture", "listening")
        assert daemon.stop() == 0


def test_a_file_plays_on_unheard(home: Home, start: Callable[..., Running]) -> None:
    home.configure(ALWAYS)
    home.state.joinpath("muted.json").write_text(json.dumps({"until": time.time() + 3600, "minutes": 60}))
    events = [(event["stage"], event["state"]) for event in home.hear(SAMPLE)]
    assert ("capture", "muted") in events
    assert not {"speech", "utterance", "transcript", "reply"} & {stage for stage, _ in events}
    daemon = start("--source", str(SAMPLE), "--fast")
    daemon.until("capture", "muted")
    [state] = home.json("status")
    assert state["muted_until"] > time.time()
    assert state["utterances_last_hour"] == 0
    assert daemon.stop() == 0
    assert home.turns() == []
