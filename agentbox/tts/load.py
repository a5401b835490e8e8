"""Which voice speaks a language."""

from __future__ import annotations

from pathlib import Path

from agentbox.errors import ModelError
from agentbox.languages import covers
from agentbox.tts.engine import Voice
from agentbox.tts.espeak import EspeakVoice
from agentbox.tts.hibari import HibariVoice


def load_voice(name: str, language: str, cache: Path | None) -> Voice:
    """The voice `name` for `language` (BCP-47): `auto`, `hibari` (English) or `espeak` (a program of its own).

    `cache`: a folder for what takes a while to work out. Raises `ModelError` `voice_missing`.
    """
    english = any(covers(tag, language) for tag in HibariVoice.languages)
    if name == "hibari" and not english:
        raise ModelError(
            "voice_missing",
            f"The voice hibari does not speak the language {language!r}.",
            "Set speech.voice to auto or espeak.",
        )
    return HibariVoice(cache) if english and name != "espeak" else EspeakVoice(language)
