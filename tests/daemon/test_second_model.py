"""The second speech model comes, goes and fails beside a box that hears on with the first."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from agentbox.asr.engine import Capabilities, Engine, Recognition
from agentbox.asr.worker import InferenceThread
from agentbox.config import Asr, Config
from agentbox.control.client import Client
from agentbox.daemon import checks
from agentbox.daemon.at_once import counting
from agentbox.daemon.events import Events
from agentbox.daemon.second_model import NICENESS, SecondModel
from agentbox.errors import AgentboxError, ModelError
from agentbox.messages import Notice, StageEvent
from tests.daemon.conftest import Home, Running
from tests.daemon.test_model_swap import Speaker, model_folder

PATIENCE_S = 20.0

SENTENCES = """
language: en
intents:
  HassShoppingListAddItem:
    data:
      - sentences: ["set a {item}"]
lists:
  item:
    wildcard: true
"""
"""So few of them that they are made ready at once."""


class Strong:
    """An engine that reads one thing."""

    capabilities = Capabilities((), streaming=False, token_scores=True)

    def __init__(self, name: str) -> None:
        self.name = name
        self.rested = threading.Event()
        self.niceness = 0

    def transcribe(self, samples: Any, **_: Any) -> Recognition:
        self.niceness = os.nice(0)
        return Recognition(f"read by {self.name}", 0.9)

    def rest(self) -> None:
        self.rested.set()


class Shelf:
    """Where models come from: each waits until it is let go, and one that is called `bad...` cannot be used."""

    def __init__(self) -> None:
        self.opened: list[str] = []
        self.engines: dict[str, Strong] = {}
        self.gate = threading.Semaphore(100)

    def __call__(self, config: Config, begun: Callable[[Any], None]) -> Engine:
        name = config.asr.model
        self.opened.append(name)
        assert self.gate.acquire(timeout=PATIENCE_S)
        if name.startswith("bad"):
            raise ModelError("model_damaged", "It is damaged.", "Fetch it again.")
        self.engines[name] = Strong(name)
        return self.engines[name]


class Beside:
    """The second model of a box, what was told of it, and which threads were made ready."""

    def __init__(self) -> None:
        self.shelf = Shelf()
        self.told: list[StageEvent] = []
        self.prepared: list[InferenceThread] = []
        events = Events()
        events.subscribe(self.told.append)
        self.model = SecondModel(events, self.prepared.append, opens=self.shelf)

    async def use(self, second: str | None, first: str = "quick") -> None:
        """Have it load, and wait until that is over."""
        self.model.use(Config(asr=Asr(model=first, second_model=second)))
        await self.settled()

    async def settled(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while self.model.state == "loading":
                await asyncio.sleep(0.001)

    async def reads(self) -> str:
        assert self.model.thread is not None
        sound = np.zeros(16_000, np.float32)
        return (await asyncio.wait_for(self.model.thread.final(sound), PATIENCE_S)).text

    @property
    def notices(self) -> list[str]:
        return [event.message.code for event in self.told if isinstance(event.message, Notice)]


@pytest.fixture
async def beside() -> AsyncIterator[Beside]:
    made = Beside()
    yield made
    made.shelf.gate.release(100)
    await made.model.close()
    assert made.model.status() == {"second_model": None, "second_model_state": "off"}


async def test_one_that_nobody_wants_is_not_loaded(beside: Beside) -> None:
    await beside.use(None)
    assert (beside.shelf.opened, beside.model.thread, beside.model.state) == ([], None, "off")
    assert beside.told == []


async def test_the_first_once_more_would_tell_nothing_new(beside: Beside) -> None:
    await beside.use("quick", first="quick")
    assert (beside.shelf.opened, beside.model.state) == ([], "off")


async def test_it_is_loaded_made_ready_rests_and_ends(beside: Beside) -> None:
    await beside.use("strong")
    assert beside.model.status() == {"second_model": "strong", "second_model_state": "ready"}
    assert [(event.stage, event.state) for event in beside.told] == [("box", "second_model_ready")]
    assert await beside.reads() == "read by strong"
    assert beside.prepared == [beside.model.thread]
    assert beside.shelf.engines["strong"].niceness - os.nice(0) == min(NICENESS, 19 - os.nice(0)), (
        "the first goes before"
    )
    assert await asyncio.to_thread(beside.shelf.engines["strong"].rested.wait, PATIENCE_S)
    thread = beside.model.thread
    await beside.use(None)
    await beside.model.close()
    assert thread is not None
    assert not thread.alive()


async def test_a_reload_makes_it_ready_anew_and_loads_nothing(beside: Beside) -> None:
    await beside.use("strong")
    await beside.use("strong", first="other")
    assert beside.shelf.opened == ["strong"]
    assert len(beside.prepared) == 2


async def test_the_one_there_is_reads_on_until_another_is_loaded(beside: Beside) -> None:
    await beside.use("strong")
    beside.shelf.gate = threading.Semaphore(0)
    beside.model.use(Config(asr=Asr(model="quick", second_model="stronger")))
    assert await beside.reads() == "read by strong"
    beside.shelf.gate.release()
    await beside.settled()
    assert await beside.reads() == "read by stronger"


async def test_who_changes_their_mind_while_it_loads_gets_the_last_one(beside: Beside) -> None:
    beside.shelf.gate = threading.Semaphore(0)
    beside.model.use(Config(asr=Asr(second_model="strong")))
    await asyncio.sleep(0)
    beside.model.use(Config(asr=Asr(second_model="stronger")))
    beside.shelf.gate.release(2)
    await beside.settled()
    assert await beside.reads() == "read by stronger"
    await beside.use(None)
    assert beside.model.thread is None


async def test_a_bad_one_is_told_and_tried_again_at_the_next_reload(beside: Beside) -> None:
    await beside.use("strong")
    await beside.use("bad one")
    assert (beside.notices, beside.model.status()["second_model_state"]) == (["model_damaged"], "failed")
    assert beside.model.thread is None
    await beside.use("bad one")
    assert (beside.notices, beside.shelf.opened.count("bad one")) == (["model_damaged"] * 2, 2)
    await beside.use("strong")
    assert await beside.reads() == "read by strong"


async def test_one_that_hangs_is_let_go_and_told_once(beside: Beside, monkeypatch: pytest.MonkeyPatch) -> None:
    await beside.use("strong")
    beside.model.look()
    assert beside.model.state == "ready"
    monkeypatch.setattr(beside.model.thread, "alive", lambda limit_s: False)
    beside.model.look()
    beside.model.look()
    assert (beside.notices, beside.model.thread, beside.model.state) == (["second_model_hangs"], None, "failed")


def test_its_settings_count_at_once() -> None:
    now = Config()
    asr = Asr(language="zh", second_model="strong", second_below=0.5, second_within_s=1.0)
    config, later = counting(Config(asr=asr), now, now.asr)
    assert config.asr == msgspec.structs.replace(now.asr, second_model="strong", second_below=0.5, second_within_s=1.0)
    assert later == ["asr"], "another language does not"


@pytest.mark.parametrize(
    ("second", "state", "found", "what"),
    [
        ("moonshine-tiny-en", "off", "warn", "moonshine-tiny-en is the first as well, and reads nothing again"),
        ("/srv/strong", "ready", "ok", "/srv/strong (ready)"),
        ("/srv/strong", "failed", "fail", "/srv/strong cannot be used"),
        ("moonshine-base-en", "failed", "fail", "moonshine-base-en: encoder_model.ort missing"),
    ],
)
def test_what_the_doctor_says(second: str, state: str, found: str, what: str, tmp_path: Path) -> None:
    config = Config(asr=Asr(second_model=second, models_dir=str(tmp_path)))
    one = checks._second_model(config, {"second_model_state": state})
    assert (one.state, one.what[: len(what)]) == (found, what)


@pytest.mark.timeout(300)
def test_a_box_reads_again_with_a_second_model_and_hears_on_without_one(
    home: Home, start: Callable[..., Running], tmp_path: Path
) -> None:
    strong = model_folder(tmp_path / "strong", home.models_dir)
    asr: dict[str, Any] = {"models_dir": str(home.models_dir), "second_below": 1.0, "second_within_s": 10.0}
    (tmp_path / "own.yaml").write_text(SENTENCES)
    words = {"activation": {"mode": "always"}, "intents": {"builtin": False, "sentences": [str(tmp_path / "own.yaml")]}}
    home.configure(words | {"asr": asr | {"second_model": str(strong)}})
    daemon = start("--source", "-")
    speaker, client = Speaker(daemon), Client(home.state / "control.sock")
    daemon.until("box", "second_model_ready")
    assert client.call("status")["second_model"] == "strong"

    speaker.begin()
    assert "pizza timer" in speaker.end()["text"].lower()
    again = daemon.until("second")
    assert again["state"] in ("same", "taken"), "it is the same model by another name"
    assert again["timings"]["second_decode_ms"] > 0
    daemon.until("reply")
    [turn] = home.json("transcripts", "export")
    assert (len(turn["readings"]) == 1) == (again["state"] == "taken")

    with pytest.raises(AgentboxError) as caught:
        client.call("config.set", {"key": "asr.second_model", "value": "no-such-model"})
    assert caught.value.code == "model_unknown"
    home.configure(words | {"asr": asr | {"second_model": str(tmp_path / "nothing")}})
    client.call("reload")
    notice = daemon.until("notice", "model_missing")["message"]
    assert notice["what"].startswith("The second speech model cannot be used.")
    status = client.call("status")
    assert (status["second_model"], status["second_model_state"], status["healthy"]) == (None, "failed", True)
    speaker.begin()
    assert "pizza timer" in speaker.end()["text"].lower()
    daemon.until("reply")
    assert daemon.stop() == 0
    assert sum(event["stage"] == "second" for event in daemon.seen) == 1
