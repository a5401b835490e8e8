"""A speech model that tells how something was said: the whole daemon, from the sound to what a text model is told."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.asr.tiny_models import sense_voice_saying
from tests.daemon.conftest import Home
from tests.realtime.servers.chat import ChatServer
from tests.realtime.servers.http import KEY, MODEL


async def test_from_the_sound_to_the_text_model_and_the_journal(home: Home, spoken_timer: Path, tmp_path: Path) -> None:
    """The model's words are of random weights; no sentence matches them, so the text model is asked."""
    (tmp_path / "sense").mkdir()
    sense_voice_saying(tmp_path / "sense", "en", "HAPPY", "Laughter", "withitn")
    home.environ["AGENTBOX_SECRET_BRAIN"] = KEY
    async with ChatServer() as server:
        home.configure(
            {
                "asr": {"models_dir": str(home.models_dir), "model": str(tmp_path / "sense")},
                "activation": {"mode": "always"},
                "brain": {"kind": "compatible", "model": MODEL, "url": server.base_url},
            }
        )
        events = await asyncio.to_thread(home.hear, spoken_timer)
        said = server.posted[0].body["messages"][-1]["content"]
    [final] = [event for event in events if (event["stage"], event["state"]) == ("transcript", "final")]
    heard = final["message"]
    assert (heard["emotion"], heard["sound_event"], heard["engine"]) == ("happy", "laughter", "sense")
    assert heard["text"]
    assert said.endswith(heard["text"])
    assert "the speaker of what follows is happy. Heard besides the words: laughter." in said
    [turn] = home.json("transcripts", "export")
    assert (turn["transcript"]["emotion"], turn["transcript"]["sound_event"]) == ("happy", "laughter")
