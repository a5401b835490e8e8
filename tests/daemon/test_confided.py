"""A pairing code that is said: whoever asked hears it, and nothing else ever holds it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from agentbox.asr.engine import Recognition
from agentbox.config import Config, Speech, Tools
from agentbox.daemon.core import Core, open_core
from agentbox.daemon.events import Events
from agentbox.daemon.streams import Narration, Pieces
from agentbox.messages import Reply, Role, StageEvent, Transcript, Utterance, public_json
from agentbox.pairing.codes import Codes
from agentbox.settings import Loaded
from agentbox.tools.context import Invitation
from agentbox.tts.engine import Samples
from agentbox.tts.narrator import Narrator
from tests.daemon.test_speaking import Tone, box
from tests.daemon.test_turn import heard


def holds(data: str, code: str) -> bool:
    """Whether a code is in it, however it is spelled."""
    return code.replace("-", "") in re.sub(r"[^A-Z0-9]", "", data)


class Home:
    """A core, what it told, and what it said in confidence."""

    def __init__(self, core: Core, seen: list[StageEvent]) -> None:
        self.core = core
        self.seen = seen
        self.codes: list[str] = []
        self.roles: list[Role] = []
        self.confided: list[tuple[Reply, str]] = []
        core.conversation.letting_in = self.invite
        core.turns._confide = lambda reply, words: self.confided.append((reply, words))

    async def invite(self, role: Role) -> Invitation:
        offer = Codes().offer(role, 0.0)
        self.codes.append(offer.short)
        self.roles.append(role)
        return Invitation("https://kitchen.local:8443", offer.short, offer.seconds)

    async def say(self, text: str) -> Reply | None:
        return await self.core.turns.heard(heard(Recognition(text)))

    def told(self) -> str:
        return "".join(msgspec.json.encode(public_json(event)).decode() for event in self.seen)


@asynccontextmanager
async def home(folder: Path, monkeypatch: pytest.MonkeyPatch, **config: Any) -> AsyncIterator[Home]:
    monkeypatch.setenv("AGENTBOX_STATE", str(folder))
    events = Events()
    seen: list[StageEvent] = []
    events.subscribe(seen.append)
    async with open_core(Loaded(Config(**config), None, None, {}), events, services=False) as core:
        yield Home(core, seen)


async def test_a_spoken_code_is_heard_once_and_stands_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with home(tmp_path, monkeypatch) as box:
        question = await box.say("pair a new phone")
        assert question is not None
        assert question.outcome == "question"
        assert not box.codes
        await box.say("yes")
        [code] = box.codes
        [(reply, words)] = box.confided
        assert holds(words, code)
        assert not holds(reply.text, code)
        again = await box.say("say that again")
        assert again is not None
        assert again.text == reply.text
        assert not holds(box.told(), code)
        await box.core.journal.settled()
        for turn in box.core.journal.export():
            assert not holds(repr(turn), code)
    for file in (one for one in tmp_path.rglob("*") if one.is_file()):
        assert not holds(file.read_bytes().decode("latin-1"), code), file


async def test_what_is_typed_on_the_box_is_answered_with_the_code_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with home(tmp_path, monkeypatch) as box:
        reply = await box.core.ask("pair a guest's phone", "cli")
        [code] = box.codes
        assert reply is not None
        assert code in reply.text
        assert box.roles == ["guest"]
        result = await box.core.call("pair_phone", {}, "cli")
        assert box.codes[1] in result.aloud
        assert not box.confided
        assert not any(holds(box.told(), code) for code in box.codes)


async def test_a_page_is_given_none_by_its_own_words_or_by_a_yes_to_somebody_elses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    allowed: Any = {"pair_phone": {"page": "allow"}, "*": {"page": "allow"}}
    async with home(tmp_path, monkeypatch, tools=Tools(policy=allowed)) as box:
        refused = await box.core.ask("pair a new phone", "page")
        assert refused is not None
        assert refused.outcome == "failed"
        await box.say("pair a new phone")
        stolen = await box.core.ask("yes", "page")
        assert stolen is not None
        assert stolen.outcome == "failed"
        assert not box.codes
        assert not box.confided


class Cutting(Tone):
    """Remembers at which pace it spoke."""

    def __init__(self) -> None:
        super().__init__()
        self.paces: list[float] = []

    def say(self, text: str, pace: float = 1.0) -> Samples:
        self.paces.append(pace)
        return super().say(text, pace)


async def test_the_voice_remembers_nothing_of_it_and_says_it_slowly() -> None:
    voice = Cutting()
    narrator = Narrator(voice, "en")
    for confided in (True, True, False, False):
        pieces = [piece async for piece in narrator.say("The code is: K, 7.", confided=confided)]
        assert np.concatenate(pieces).size
    assert voice.said == ["The code is: K, 7."] * 3
    assert voice.paces == [0.75, 0.75, 1.0]
    await narrator.close()


@pytest.mark.parametrize("verbosity", ["full", "sounds"])
async def test_it_is_said_however_few_words_the_owner_likes(verbosity: Any) -> None:
    voice = Cutting()
    config = Config(speech=Speech(verbosity=verbosity))
    async with box(config, load=lambda *_: voice) as made:
        reply = Reply(utterance_id="1", text="I have said it.", sound=None, outcome="done")
        made.speaking.confide(reply, "The code is: K, 7.")
        await made.until("started")
        assert made.speaking.confiding(0.0, float("inf"))
        await made.until("ended")
        assert voice.said == ["The code is: K, 7."]
        assert made.ended == [("I have said it.", True)]
        assert "K, 7" not in repr(made.told)


async def test_it_is_never_said_by_a_voice_elsewhere() -> None:
    voice = Cutting()
    async with box(load=lambda *_: voice) as made:
        made.speaking.elsewhere = Elsewhere()
        reply = Reply(utterance_id="1", text="I have said it.", sound=None, outcome="done")
        made.speaking.confide(reply, "The code is: K, 7.")
        await made.until("ended")
        assert voice.said == ["The code is: K, 7."]


class Elsewhere:
    """A voice that says everything, and must be asked for nothing."""

    def speaks(self, reply: Reply) -> bool:
        return True

    def say(self, text: Narration, turn_id: str, left_s: Callable[[], float]) -> Pieces:
        raise AssertionError("it left the box")


async def test_what_the_microphone_hears_of_it_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with home(tmp_path, monkeypatch) as box:
        monkeypatch.setattr(box.core.attention, "_voice", Confiding())
        await box.say("the code is k 7 p q stop")
        [kept] = [event.message for event in box.seen if isinstance(event.message, Transcript)]
        assert kept.text == "stop"
        assert all(not one.pcm for one in [event.message for event in box.seen] if isinstance(one, Utterance))
        box.seen.clear()
        assert await box.say("k seven p") is None
        assert all(event.message is None for event in box.seen)


class Confiding:
    """A voice that is saying a code."""

    half_duplex = False
    held = False
    audible = True

    def said(self, begin_s: float, end_s: float) -> str:
        return "The code is K, 7, P, Q."

    def began(self, begin_s: float, end_s: float) -> list[str]:
        return [self.said(begin_s, end_s)]

    def confiding(self, begin_s: float, end_s: float) -> bool:
        return True
