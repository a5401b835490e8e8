"""Which voice speaks a language."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from agentbox.config import Speech
from agentbox.errors import ModelError
from agentbox.languages import covers
from agentbox.tts.engine import Voice
from agentbox.tts.espeak import EspeakVoice
from agentbox.tts.hibari import HibariVoice
from agentbox.tts.piper import PiperVoice


def load_voice(speech: Speech, language: str, cache: Path | None) -> Voice:
    """The voice `speech.voice` for `language` (BCP-47): `auto`, `hibari` (English), or `espeak` or `piper` (programs of
    their own).

    `cache`: a folder for what takes a while to work out. Raises `ModelError` `voice_missing`.
    """
    if speech.voice == "piper" and speech.piper_voice is not None:
        return PiperVoice(Path(speech.piper_voice), speech.piper_program, language, speech.pace)
    english = any(covers(tag, language) for tag in HibariVoice.languages)
    if speech.voice == "hibari" and not english:
        raise ModelError(
            "voice_missing",
            f"The voice hibari does not speak the language {language!r}.",
            "Set speech.voice to auto or espeak.",
        )
    return HibariVoice(cache) if english and speech.voice != "espeak" else EspeakVoice(language)


Load = Callable[[Speech, str, Path | None], Voice]


def voice_of(speech: Speech, language: str, cache: Path | None, load: Load = load_voice) -> Voice:
    """The voice that a configuration names for `language` (BCP-47); `cache`: see `load_voice`.

    Raises `ModelError` `voice_missing`, `voice_failed`.
    """
    try:
        return load(speech, language, cache)
    except ModelError:
        raise
    except Exception as error:  # a voice's package may raise anything; the box then answers by sounds, and tells
        raise ModelError(
            "voice_failed",
            f"The voice ({speech.voice}) could not be loaded: {type(error).__name__}.",
            "Install its package anew, or choose another in speech.voice.",
        ) from error
