"""Whole files to text, through the same ear and engine as the microphone's sound."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from agentbox.asr.engine import Engine
from agentbox.audio.ear import Ear
from agentbox.audio.files import read_file
from agentbox.audio.segment import Ended, Samples
from agentbox.audio.vad import SileroVad
from agentbox.config import Audio
from agentbox.messages import SAMPLE_RATE_HZ

WHOLE_S = 20.0
"""A file up to this long is decoded in one piece: the model does better with the words around a pause."""


class FileTranscript(NamedTuple):
    text: str
    audio_s: float
    decode_s: float


class _Stretch(NamedTuple):
    samples: Samples
    speech_ms: int


def transcribe_file(path: Path, engine: Engine, vad: SileroVad, language: str) -> FileTranscript:
    """What is said in a sound file of any length. Sound without speech gives an empty text.

    Raises what `read_file` and `Engine.transcribe` raise.
    """
    texts: list[str] = []
    decode_ms, heard = 0.0, 0
    short: list[Samples] | None = []
    ended: list[Ended] = []

    def decode(stretches: Iterable[_Stretch]) -> None:
        nonlocal decode_ms
        for stretch in stretches:
            sound = stretch.samples.astype(np.float32) / 32768.0
            recognition = engine.transcribe(sound, language=language, speech_ms=stretch.speech_ms)
            decode_ms += recognition.decode_ms
            if recognition.text:
                texts.append(recognition.text)

    for block, new in _listen(path, vad):
        heard += block.size
        ended += new
        if short is not None:
            short.append(block)
            if heard > WHOLE_S * SAMPLE_RATE_HZ:
                short = None
        if short is None:
            # A long file is decoded as it is read, so that it takes no more memory than a short one.
            decode(_Stretch(one.samples, one.speech_ms) for one in ended)
            ended = []
    if short is not None and ended:
        whole = np.concatenate(short)[ended[0].first_sample : ended[-1].first_sample + ended[-1].samples.size]
        decode([_Stretch(whole, sum(one.speech_ms for one in ended))])
    return FileTranscript(" ".join(texts), heard / SAMPLE_RATE_HZ, decode_ms / 1000)


def _listen(path: Path, vad: SileroVad) -> Iterator[tuple[Samples, list[Ended]]]:
    """Each block of the file with the utterances that ended in it; the last one is empty."""
    ear = Ear(Audio(), vad, partials=False)
    for block in read_file(path):
        yield block, [event for event in ear.hear(block) if isinstance(event, Ended)]
    yield np.zeros(0, dtype=np.int16), [event for event in ear.finish() if isinstance(event, Ended)]
