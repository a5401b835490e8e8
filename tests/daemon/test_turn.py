"""Turns without sound: what is understood in a pause counts only for the same words in the same context."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from agentbox.asr.engine import Recognition
from agentbox.config import Config, Tools
from agentbox.daemon.core import open_core
from agentbox.daemon.events import Events
from agentbox.daemon.handlers import Handlers
from agentbox.daemon.hearing import Heard
from agentbox.messages import ActivatedBy, Caller, Intent, StageEvent, Transcript, Utterance, new_id
from agentbox.settings import Loaded


def heard(recognition: Recognition, by: ActivatedBy | None = "always", *, pause_ms: int = 0) -> Heard:
    """What hearing makes of the words, 0.9 s of speech, as if they had needed no wake phrase. `pause_ms`: amidst it."""
    pcm = bytes(2 * 16 * (300 + 900 + pause_ms + 250))
    utterance = Utterance(new_id(), 0.0, 0, pcm, speech_ms=900, silence_ms=250, end_reason="silence", lead_ms=300)
    transcript = Transcript(
        utterance_id=utterance.id, text=recognition.text, engine="none", language="en", audio_ms=1000, decode_ms=1.0
    )
    return Heard(utterance, transcript, by, 0.0, {}, recognition)


async def test_a_meaning_found_in_the_pause_is_used_only_where_nothing_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTBOX_STATE", str(tmp_path))
    events = Events()
    seen: list[StageEvent] = []
    events.subscribe(seen.append)
    async with open_core(Loaded(Config(), None, None, {}), events, services=False) as core:
        turns = core.turns
        asked: list[str] = []
        understand = core.attention.talk.mind.understander.understand

        def counted(text: str, **rest: object) -> object:
            asked.append(text)
            return understand(text, **rest)  # type: ignore[arg-type]

        monkeypatch.setattr(core.attention.talk.mind.understander, "understand", counted)

        assert core.attention.completeness(Recognition("and for ten minutes"), "always") == "no"
        in_the_pause = Recognition("set a timer for five minutes")
        assert core.attention.completeness(in_the_pause, "always") == "continuable"
        await turns.heard(heard(in_the_pause))
        assert asked == ["and for ten minutes", "set a timer for five minutes"]
        # The same words as before, but now there is a timer that they follow up.
        await turns.asked("and for ten minutes")
        assert asked[2:] == ["and for ten minutes"]
        await turns.asked("and for ten minutes")
    intents = [event.message for event in seen if isinstance(event.message, Intent)]
    assert [intent.slots for intent in intents] == [{"minutes": 5}, {"minutes": 10}, {"minutes": 10}]
    assert len({intent.utterance_id for intent in intents}) == 3


async def test_whoever_asks_is_told_of_their_own_turn_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTBOX_STATE", str(tmp_path))
    async with open_core(Loaded(Config(), None, None, {}), Events(), services=False) as core:
        async with core.turn_lock:
            asking: asyncio.Task[Any] = asyncio.create_task(Handlers(core).ask({"text": "what time is it"}))
            await asyncio.sleep(0)
            await core.turns.asked("set a timer for five minutes")
        told = await asking
    assert (told["intent"], told["slots"], told["tool"]) == ("HassGetCurrentTime", {}, "get_time")


async def test_a_guest_neither_answers_nor_hears_nor_takes_back_what_is_the_owners(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AGENTBOX_STATE", str(tmp_path))
    asks = Tools(policy={"complete_item": {"cli": "confirm", "page": "confirm"}})
    async with open_core(Loaded(Config(tools=asks), None, None, {}), Events(), services=False) as core:

        async def said(text: str, caller: Caller = "cli", guest: str = "") -> tuple[str, str]:
            reply = await core.ask(text, caller, guest)
            assert reply is not None
            return reply.outcome, reply.text

        await said("add milk to my shopping list")
        done = await said("add pomegranates to my shopping list")
        for text in ("say that again", "cancel that"):
            _, told = await said(text, "page", "visitor")
            assert "pomegranates" not in told
        assert (await said("say that again"))[1] == done[1]
        assert (await said("check off milk on my shopping list"))[0] == "question"
        for text in ("yes", "no"):
            await said(text, "page", "visitor")
        # A guest's own question neither takes the place of the owner's nor is answered by the owner.
        assert (await said("check off pomegranates on my shopping list", "page", "visitor"))[0] == "question"
        outcome, told = await said("yes")
        assert (outcome, "milk" in told) == ("done", True)
        assert (await said("yes", "page", "other"))[0] != "done"
        outcome, told = await said("yes", "page", "visitor")
        assert (outcome, "pomegranates" in told) == ("done", True)
        assert (await said("say that again", "page", "visitor"))[1] == told
        # The same with what was left open.
        assert (await said("set a timer"))[0] == "question"
        assert (await said("ten minutes", "page", "visitor"))[0] == "not_understood"
