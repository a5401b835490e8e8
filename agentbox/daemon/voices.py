"""The box's own voices: one for each language that it answers in, loaded when it is first wanted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from agentbox.config import Config, Speech
from agentbox.errors import ModelError
from agentbox.messages import Notice
from agentbox.tts.load import Load, voice_of
from agentbox.tts.narrator import Narrator


class Voices:
    """Of one configuration. `notify` is told of a voice that cannot be had; `cache`: see `load_voice`."""

    def __init__(self, config: Config, cache: Path | None, load: Load, notify: Callable[[Notice], None]) -> None:
        self._config = config
        self._cache = cache
        self._load = load
        self._notify = notify
        self._narrators: dict[str, asyncio.Task[Narrator | None]] = {}

    def of(self, language: str) -> asyncio.Task[Narrator | None]:
        """Who says what is written in `language` (BCP-47; empty or not configured: the box's own); null: nobody can."""
        if language not in self._config.languages:
            language = self._config.language
        if language not in self._narrators:
            self._narrators[language] = asyncio.create_task(self._loaded(language), name=f"voice-{language}")
        return self._narrators[language]

    async def close(self, after: asyncio.Task[None] | None = None) -> None:
        """Let go of them all, when `after` is done."""
        if after is not None:
            await asyncio.wait([after])
        for loading in self._narrators.values():
            if (narrator := await loading) is not None:
                await narrator.close()

    async def _loaded(self, language: str) -> Narrator | None:
        speech = speech_in(self._config, language)
        try:
            voice = await asyncio.to_thread(voice_of, speech, language, self._cache, self._load)
        except ModelError as error:
            self._notify(Notice(code=error.code, what=error.what, todo=error.todo))
            return None
        return Narrator(voice, language, speech.pace)


def speech_in(config: Config, language: str) -> Speech:
    """What the owner wants of a voice for `language`. A voice that they chose for the box's own language says nothing
    of the others, unless it is the program that speaks nearly all of them."""
    if language == config.language:
        return config.speech
    return Speech(voice="espeak" if config.speech.voice == "espeak" else "auto", pace=config.speech.pace)
