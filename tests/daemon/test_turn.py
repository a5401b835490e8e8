"""Turns without sound: what is understood in a pause counts only for the same words in the same context."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from agentbox.asr.engine import Recognition
from agentbox.config import Config
from agentbox.daemon.core import open_core
from agentbox.daemon.events import Events
from agentbox.daemon.handlers import Handlers
from agentbox.daemon.hearing import Heard
from agentbox.messages import ActivatedBy, Intent, StageEvent, Transcript, Utterance, new_id
from agentbox.settings import Loaded


def heard(recognition: Recognition, by: ActivatedBy | None = "always") -> Heard:
    """What hearing makes of the words, as if they had needed no wake phrase."""
    utterance = Utterance(
        id=new_id(), started_at=0.0, first_sample=0, pcm=b"", speech_ms=900, silence_ms=250, end_reason="silence"
    )
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
