"""Which kinds of backends there are, and how one is made. The only list of them; adapters are imported when used."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import NamedTuple, cast

from agentbox.realtime.session import Account, RealtimeDialog, Setup


class Kind(NamedTuple):
    """One kind of backend."""

    adapter: str
    """`module:class` of its dialog, in this room."""
    model: str
    """Where the owner names none."""
    vendor: str
    """For people."""


DIALOGS: dict[str, Kind] = {
    "openai": Kind("openai:OpenAIDialog", "gpt-realtime-2.1", "OpenAI Realtime, and servers that speak as it does"),
    "qwen": Kind(
        "qwen:QwenDialog", "qwen-audio-3.0-realtime-plus", "Alibaba Model Studio (DashScope): Qwen-Audio and Qwen-Omni"
    ),
    "stepfun": Kind("stepfun:StepFunDialog", "stepaudio-2.5-realtime", "StepFun realtime"),
    "stepfun_stateless": Kind(
        "stepfun_stateless:StepFunStatelessDialog", "step-overture-preview", "StepFun realtime, its stateless variant"
    ),
    "gemini": Kind("gemini:GeminiDialog", "gemini-3.8-live", "Google Gemini Live"),
    "doubao": Kind("doubao:DoubaoDialog", "1.2.1.1", "Volcengine Doubao, spoken dialogue"),
    "doubao_duplex": Kind("doubao_duplex:DoubaoDuplexDialog", "1.2.6.1", "Volcengine Doubao, dialogue 3.0"),
}


RECOGNISERS: dict[str, Kind] = {
    "openai_asr": Kind("openai:OpenAITranscription", "gpt-realtime-whisper", "OpenAI Realtime, transcription"),
    "fun_asr": Kind("dashscope:FunASR", "fun-asr-realtime", "Alibaba Model Studio (DashScope): Fun-ASR realtime"),
    "qwen_asr": Kind("qwen:QwenASR", "qwen3-asr-flash-realtime", "Alibaba Model Studio (DashScope): Qwen-ASR realtime"),
    "step_asr": Kind("stepfun:StepFunASR", "step-asr-1.1-stream", "StepFun streaming recognition"),
    "seed_asr": Kind("seed_asr:SeedASR", "volc.seedasr.sauc.duration", "Volcengine Doubao: Seed-ASR streaming"),
}
"""Those that only write down what was said: the box understands it by itself, or asks a text model."""

VOICES: dict[str, Kind] = {
    "cosyvoice": Kind("dashscope:CosyVoice", "cosyvoice-v3-flash", "Alibaba Model Studio (DashScope): CosyVoice"),
    "qwen_tts": Kind(
        "qwen:QwenVoice", "qwen3-tts-flash-realtime", "Alibaba Model Studio (DashScope): Qwen-TTS realtime"
    ),
    "step_tts": Kind("stepfun_voice:StepFunVoice", "step-tts-2", "StepFun streaming voices"),
}
"""Those that only say the box's own answers."""

KINDS = DIALOGS | RECOGNISERS | VOICES


def make_session(kind: str, account: Account, setup: Setup) -> RealtimeDialog:
    """A session's adapter, not connected. `kind`: a key of `KINDS`; a recogniser is a `StreamingASR` and a voice a
    `StreamingTTS`, which have of a dialog what one that only hears, or only speaks, needs."""
    module, name = KINDS[kind].adapter.split(":")
    made = cast(
        Callable[[Account, Setup], RealtimeDialog],
        getattr(importlib.import_module(f"{__package__}.{module}"), name),
    )
    return made(account, setup)
