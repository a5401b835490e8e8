"""Whole files to text and to commands, through the same ear and engine as the microphone's sound."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from agentbox.asr.engine import Engine
from agentbox.asr.engine import Samples as Floats
from agentbox.asr.listener import Listener, Sentences
from agentbox.audio.ear import Ear
from agentbox.audio.files import read_file
from agentbox.audio.segment import Ended, Samples
from agentbox.audio.vad import SileroVad
from agentbox.config import Audio
from agentbox.daemon.captions import join
from agentbox.daemon.long import Reader
from agentbox.intents.decide import Decision, decide
from agentbox.intents.understand import Understander
from agentbox.messages import SAMPLE_RATE_HZ

WHOLE_S = 20.0
"""A file up to this long is decoded in one piece: the model does better with the words around a pause."""


class FileTranscript(NamedTuple):
    text: str
    audio_s: float
    decode_s: float


class FileCommand(NamedTuple):
    """What was said in a file, and what it means; of several commands the surest."""

    text: str
    decision: Decision
    audio_s: float
    decode_s: float


class Stretch(NamedTuple):
    """Speech in a file: mono float32 in -1..1, 16 kHz; how much of it the voice detector took for speech."""

    samples: Floats
    speech_ms: int


class Speech:
    """The stretches of speech in sound that comes in blocks: int16, 16 kHz. `audio_s` is how much of it has come."""

    def __init__(self, blocks: Iterable[Samples], vad: SileroVad) -> None:
        self._blocks = blocks
        self._vad = vad
        self._heard = 0

    @property
    def audio_s(self) -> float:
        return self._heard / SAMPLE_RATE_HZ

    def __iter__(self) -> Iterator[Stretch]:
        """All speech of short sound is one stretch; long sound gives its utterances as they come, so that it takes no
        more memory than short sound."""
        short: list[Samples] | None = []
        ended: list[Ended] = []
        for block, new in _listen(self._blocks, self._vad):
            self._heard += block.size
            ended += new
            if short is not None:
                short.append(block)
                if self._heard > WHOLE_S * SAMPLE_RATE_HZ:
                    short = None
            if short is None:
                yield from (_stretch(one.samples, one.speech_ms) for one in ended)
                ended = []
        if short is not None and ended:
            whole = np.concatenate(short)[ended[0].first_sample : ended[-1].first_sample + ended[-1].samples.size]
            yield _stretch(whole, sum(one.speech_ms for one in ended))


def transcribe_file(path: Path, engine: Engine, vad: SileroVad, language: str) -> FileTranscript:
    """What is said in a sound file of any length. Sound without speech gives an empty text.

    Raises what `read_file` and `Engine.transcribe` raise.
    """
    reader = Reader(engine, vad, language)
    texts = [segment.text for segment in reader.read(read_file(path))]
    return FileTranscript(join(texts), reader.audio_s, reader.decode_s)


def recognize_file(path: Path, listener: Listener, vad: SileroVad, understander: Understander) -> FileCommand:
    """The command in a sound file, in no context. Raises what `read_file` and `Engine.transcribe` raise."""
    return recognize(read_file(path), listener, vad, understander)


def recognize(blocks: Iterable[Samples], listener: Listener, vad: SileroVad, understander: Understander) -> FileCommand:
    """The same for sound in blocks."""
    spoken = understander.spoken
    sentences = Sentences(spoken.grammar, tuple(spoken.active({})))
    texts: list[str] = []
    best = Decision("none")
    decode_ms = 0.0
    speech = Speech(blocks, vad)
    for stretch in speech:
        recognition = listener.hear(
            stretch.samples,
            language=understander.language,
            speech_ms=stretch.speech_ms,
            ask=lambda _: sentences,
        )
        decode_ms += recognition.decode_ms + (recognition.hotwords_ms or 0.0) + (recognition.constrain_ms or 0.0)
        if recognition.text:
            texts.append(recognition.text)
        decision = decide(understander, recognition.candidates, recognition.free)
        if decision.confidence > best.confidence:
            best = decision
    return FileCommand(join(texts), best, speech.audio_s, decode_ms / 1000)


def _stretch(samples: Samples, speech_ms: int) -> Stretch:
    return Stretch(samples.astype(np.float32) / 32768.0, speech_ms)


def _listen(blocks: Iterable[Samples], vad: SileroVad) -> Iterator[tuple[Samples, list[Ended]]]:
    """Each block with the utterances that ended in it; the last one is empty."""
    vad.reset()  # the sound before may have broken off
    ear = Ear(Audio(), vad, partials=False)
    for block in blocks:
        yield block, [event for event in ear.hear(block) if isinstance(event, Ended)]
    yield np.zeros(0, dtype=np.int16), [event for event in ear.finish() if isinstance(event, Ended)]
